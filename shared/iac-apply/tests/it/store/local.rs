//! States in files of a folder.

use arrakis_iac_apply::store::{Backend, LocalStore, SetAside, StoreError};
use tempfile::TempDir;

use super::common::{Fixture, conformance};
use super::{default, holder};

conformance!(open);

async fn open() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    Fixture::new(local(&folder), folder)
}

fn local(folder: &TempDir) -> LocalStore {
    LocalStore::new(folder.path().join(".gaib"), "arrakeen")
}

#[tokio::test]
async fn writes_leave_no_temporary_files_and_a_dropped_lock_is_released() {
    let folder = tempfile::tempdir().unwrap();
    let store = local(&folder);
    for state in [b"one", b"two"] {
        let mut guard = store.lock(&default(), &holder("stilgar")).await.unwrap();
        guard.write(state).await.unwrap();
        drop(guard);
    }
    let state = store.state_path(&default());
    let names: Vec<_> = state
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
    let aside = guard.set_aside(SetAside::Damaged).await.unwrap().unwrap();
    assert_eq!(std::fs::read(&aside).unwrap(), b"damaged");
    assert_eq!(guard.set_aside(SetAside::Damaged).await.unwrap(), None);
    guard.write(b"three").await.unwrap();
    drop(guard);
    let read = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap()).unwrap();
    assert_eq!(read(store.read(&default()).await.unwrap()), "three");
    assert_eq!(read(store.read_previous(&default()).await.unwrap()), "one");
}

/// What an interrupted operation leaves: its record, and no lock of the operating system.
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
