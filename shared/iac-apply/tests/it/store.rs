//! The store: no partial writes, one writer, and no lock that remains without a holder. Every backend must pass these tests.

use std::str::FromStr as _;

use arrakis_iac_apply::store::{
    Backend, LocalStore, LockHolder, ServerMarker, ServerRecords, StoreError, WorkspaceName,
};
use tempfile::TempDir;

fn holder(who: &str) -> LockHolder {
    LockHolder {
        who: who.to_owned(),
        host: "arrakeen".to_owned(),
        operation: "apply".to_owned(),
    }
}

fn local(folder: &TempDir) -> LocalStore {
    LocalStore::new(folder.path().join(".gaib"), "arrakeen")
}

fn default() -> WorkspaceName {
    WorkspaceName::default()
}

#[tokio::test]
async fn backup_is_the_state_before_the_operation() {
    let folder = tempfile::tempdir().unwrap();
    let store = local(&folder);
    assert_eq!(store.read(&default()).await.unwrap(), None);
    let mut guard = store.lock(&default(), &holder("stilgar")).await.unwrap();
    guard.write(b"one").await.unwrap();
    guard.write(b"two").await.unwrap();
    guard.release().await.unwrap();
    assert_eq!(store.read_previous(&default()).await.unwrap(), None);
    let mut guard = store.lock(&default(), &holder("stilgar")).await.unwrap();
    guard.write(b"three").await.unwrap();
    guard.write(b"four").await.unwrap();
    drop(guard);
    assert_eq!(store.read(&default()).await.unwrap().as_deref(), Some(&b"four"[..]));
    assert_eq!(
        store.read_previous(&default()).await.unwrap().as_deref(),
        Some(&b"two"[..])
    );
    let folder = store.state_path(&default());
    let names: Vec<_> = folder
        .parent()
        .unwrap()
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        names.iter().all(|name| !name.to_string_lossy().starts_with(".gaib-")),
        "{names:?}"
    );
}

#[tokio::test]
async fn invalid_state_is_renamed_and_keeps_the_backup() {
    let folder = tempfile::tempdir().unwrap();
    let store = local(&folder);
    for state in [b"one", b"two"] {
        let mut guard = store.lock(&default(), &holder("stilgar")).await.unwrap();
        guard.write(state).await.unwrap();
    }
    std::fs::write(store.state_path(&default()), b"damaged").unwrap();
    let mut guard = store.lock(&default(), &holder("stilgar")).await.unwrap();
    let aside = guard.set_aside().await.unwrap().unwrap();
    assert_eq!(std::fs::read(&aside).unwrap(), b"damaged");
    assert_eq!(guard.set_aside().await.unwrap(), None);
    guard.write(b"three").await.unwrap();
    drop(guard);
    let read = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap()).unwrap();
    assert_eq!(read(store.read(&default()).await.unwrap()), "three");
    assert_eq!(read(store.read_previous(&default()).await.unwrap()), "one");
}

#[tokio::test]
async fn lock_is_exclusive_and_names_its_holder() {
    let folder = tempfile::tempdir().unwrap();
    let store = local(&folder);
    let guard = store.lock(&default(), &holder("stilgar")).await.unwrap();
    let refused = store.lock(&default(), &holder("chani")).await.unwrap_err();
    let words = refused.to_string();
    assert!(
        words.contains("stilgar on arrakeen") && words.contains("wait until it has ended"),
        "{words}"
    );
    let id = guard.record().id.clone();
    let alive = store.unlock(&default(), &id, true).await.unwrap_err();
    assert!(matches!(alive, StoreError::Alive(_)), "{alive}");
    guard.release().await.unwrap();
    assert_eq!(store.held(&default()).await.unwrap(), None);
    assert!(store.lock(&default(), &holder("chani")).await.is_ok());
}

/// What an operation leaves that died: its record, and no lock of the system's.
fn left_by_the_dead(store: &LocalStore, host: &str) {
    let state = store.state_path(&default());
    let folder = state.parent().unwrap();
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("lock.json"), DEAD.replace("HOST", host)).unwrap();
}

const DEAD: &str = r#"{"id": "7", "who": "jamis", "host": "HOST", "operation": "apply",
    "since": "2026-11-21T10:00:00Z", "process": 4242}"#;

#[tokio::test]
async fn abandoned_lock_is_taken_over_only_on_the_same_machine() {
    let folder = tempfile::tempdir().unwrap();
    let store = local(&folder);
    left_by_the_dead(&store, "arrakeen");
    assert!(!store.held(&default()).await.unwrap().unwrap().alive);
    let guard = store.lock(&default(), &holder("chani")).await.unwrap();
    assert_eq!(guard.left_behind().unwrap().who, "jamis");
    drop(guard);

    left_by_the_dead(&store, "carthag");
    let refused = store.lock(&default(), &holder("chani")).await.unwrap_err();
    assert!(refused.to_string().contains("force-unlock 7"), "{refused}");
    let other = store.unlock(&default(), "8", true).await.unwrap_err();
    assert!(matches!(other, StoreError::OtherLock { .. }), "{other}");
    let plain = store.unlock(&default(), "7", false).await.unwrap_err();
    assert!(matches!(plain, StoreError::OfAnOperation(_)), "{plain}");
    store.unlock(&default(), "7", true).await.unwrap();
    assert!(store.lock(&default(), &holder("chani")).await.is_ok());
}

#[tokio::test]
async fn permanent_lock_is_released_by_id() {
    let folder = tempfile::tempdir().unwrap();
    let store = local(&folder);
    let record = store.lock_permanently(&default(), &holder("stilgar")).await.unwrap();
    let refused = store.lock(&default(), &holder("chani")).await.unwrap_err();
    assert!(
        refused.to_string().contains(&format!("unlock {}", record.id)),
        "{refused}"
    );
    store.unlock(&default(), &record.id, false).await.unwrap();
    assert!(store.lock(&default(), &holder("chani")).await.is_ok());
    let nothing = store.unlock(&default(), &record.id, false).await.unwrap_err();
    assert!(matches!(nothing, StoreError::NotLocked(_)), "{nothing}");
}

#[tokio::test]
async fn only_one_of_many_concurrent_operations_gets_the_lock() {
    let folder = tempfile::tempdir().unwrap();
    let store = local(&folder);
    let tries = (0..16).map(|index| {
        let store = store.clone();
        tokio::spawn(async move { store.lock(&default(), &holder(&index.to_string())).await })
    });
    let mut held = Vec::new();
    for attempt in tries.collect::<Vec<_>>() {
        held.extend(attempt.await.unwrap().ok());
    }
    assert_eq!(held.len(), 1);
}

#[tokio::test]
async fn workspaces_are_created_selected_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let store = local(&folder);
    let staging = WorkspaceName::from_str("staging").unwrap();
    assert_eq!(store.selected().await.unwrap(), default());
    assert_eq!(store.chosen().await.unwrap(), None);
    assert!(matches!(store.select(&staging).await, Err(StoreError::NoWorkspace(_))));
    assert!(matches!(
        store.lock(&staging, &holder("x")).await,
        Err(StoreError::NoWorkspace(_))
    ));
    store.create_workspace(&staging).await.unwrap();
    assert!(matches!(
        store.create_workspace(&staging).await,
        Err(StoreError::WorkspaceExists(_))
    ));
    store.select(&staging).await.unwrap();
    assert_eq!(store.selected().await.unwrap(), staging);
    assert_eq!(store.workspaces().await.unwrap(), [default(), staging.clone()]);
    let guard = store.lock(&staging, &holder("stilgar")).await.unwrap();
    assert!(matches!(
        store.delete_workspace(&staging).await,
        Err(StoreError::Locked { .. })
    ));
    drop(guard);
    store.delete_workspace(&staging).await.unwrap();
    assert_eq!(store.workspaces().await.unwrap(), [default()]);
}

#[test]
fn server_lock_is_exclusive_and_names_its_holder() {
    let folder = tempfile::tempdir().unwrap();
    let servers = ServerRecords::new(folder.path(), "discord.com");
    let lock = servers.lock(7, &holder("stilgar")).unwrap();
    let refused = servers.lock(7, &holder("chani")).unwrap_err();
    assert!(
        matches!(refused, StoreError::ServerLocked { guild: 7, .. }),
        "{refused}"
    );
    assert!(refused.to_string().contains("stilgar on arrakeen"), "{refused}");
    assert!(servers.lock(8, &holder("chani")).is_ok());
    let emulator = ServerRecords::new(folder.path(), "127.0.0.1:4010");
    assert!(emulator.lock(7, &holder("chani")).is_ok());
    drop(lock);
    assert!(servers.lock(7, &holder("chani")).is_ok());
}

#[test]
fn marker_outlives_the_lock() {
    let folder = tempfile::tempdir().unwrap();
    let servers = ServerRecords::new(folder.path(), "discord.com");
    assert_eq!(servers.marker(7).unwrap(), None);
    let owner = ServerMarker::new("default", "/srv/sietch/.gaib/workspaces/default/state.json", "lineage");
    let lock = servers.lock(7, &holder("stilgar")).unwrap();
    lock.claim(&owner).unwrap();
    drop(lock);
    let read = servers.marker(7).unwrap().unwrap();
    assert_eq!((read.workspace.as_str(), read.lineage.as_str()), ("default", "lineage"));
    assert_eq!(read.folder().unwrap().to_str(), Some("/srv/sietch"));
    for (text, why) in [
        ("{", "EOF"),
        (
            r#"{"version": 9, "workspace": "a", "state": "b", "lineage": "c", "since": "2026-11-21T10:00:00Z"}"#,
            "version 9",
        ),
    ] {
        std::fs::write(folder.path().join("discord.com/7/owner.json"), text).unwrap();
        let unreadable = servers.marker(7).unwrap_err().to_string();
        assert!(
            unreadable.contains("owner.json") && unreadable.contains(why),
            "{unreadable}"
        );
    }
}

#[tokio::test]
async fn symbolic_link_to_a_state_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = local(&folder);
    let shared = folder.path().join("shared.json");
    std::fs::write(&shared, "old").unwrap();
    let path = store.state_path(&default());
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(&shared, &path).unwrap();
    let mut guard = store.lock(&default(), &holder("stilgar")).await.unwrap();
    guard.write(b"new").await.unwrap();
    assert_eq!(std::fs::read(&shared).unwrap(), b"new");
    assert!(std::fs::symlink_metadata(&path).unwrap().is_symlink());
}

#[tokio::test]
async fn only_an_unused_workspace_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = local(&folder);
    let root = folder.path().join(".gaib");
    let guard = store.lock(&default(), &holder("stilgar")).await.unwrap();
    store.remove_unused(&default());
    guard.release().await.unwrap();
    assert!(root.is_dir());
    store.remove_unused(&default());
    assert!(!root.exists());
    store.lock_permanently(&default(), &holder("stilgar")).await.unwrap();
    store.remove_unused(&default());
    assert!(store.held(&default()).await.unwrap().is_some());
    let id = store.held(&default()).await.unwrap().unwrap().record.id;
    store.unlock(&default(), &id, false).await.unwrap();
    let mut guard = store.lock(&default(), &holder("stilgar")).await.unwrap();
    guard.write(b"one").await.unwrap();
    guard.release().await.unwrap();
    store.remove_unused(&default());
    assert_eq!(store.read(&default()).await.unwrap().as_deref(), Some(&b"one"[..]));
}
