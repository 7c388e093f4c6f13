//! What holds for every backend. A new backend runs these tests by `conformance!`.

use std::any::Any;
use std::str::FromStr as _;
use std::sync::Arc;

use arrakis_iac_apply::store::{Backend, SetAside, StoreError, WorkspaceName};

use super::{default, holder};

/// A backend without states, on the machine `arrakeen`.
pub(super) struct Fixture {
    pub(super) backend: Arc<dyn Backend>,
    /// Its folder and its services, which end with it.
    _resources: Box<dyn Any + Send>,
}

impl Fixture {
    pub(super) fn new(backend: impl Backend + 'static, resources: impl Any + Send) -> Self {
        Self {
            backend: Arc::new(backend),
            _resources: Box::new(resources),
        }
    }
}

/// Runs every test of this module on the backend that an async function opens.
macro_rules! conformance {
    ($open:path) => {
        $crate::store::common::conformance!($open:
            backup_is_the_state_before_the_operation
            state_that_is_set_aside_keeps_the_backup
            lock_is_exclusive_and_names_its_holder
            permanent_lock_is_released_by_id
            lock_is_removed_only_by_its_own_id
            only_one_of_many_concurrent_operations_gets_the_lock
            workspaces_are_created_selected_and_deleted
            workspaces_have_states_of_their_own
        );
    };
    ($open:path: $($test:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                $crate::store::common::$test($open().await).await;
            }
        )+
    };
}
pub(super) use conformance;

async fn read(backend: &dyn Backend) -> Option<String> {
    text(backend.read(&default()).await.unwrap())
}

async fn previous(backend: &dyn Backend) -> Option<String> {
    text(backend.read_previous(&default()).await.unwrap())
}

fn text(bytes: Option<Vec<u8>>) -> Option<String> {
    bytes.map(|bytes| String::from_utf8(bytes).unwrap())
}

/// Writes these states in one operation.
async fn write(backend: &dyn Backend, states: &[&str]) {
    let mut guard = backend.lock(&default(), &holder("stilgar")).await.unwrap();
    for state in states {
        guard.write(state.as_bytes()).await.unwrap();
    }
    guard.release().await.unwrap();
}

pub(super) async fn backup_is_the_state_before_the_operation(fixture: Fixture) {
    let backend = &*fixture.backend;
    assert_eq!(read(backend).await, None);
    write(backend, &["one", "two"]).await;
    assert_eq!(previous(backend).await, None);
    write(backend, &["three", "four"]).await;
    assert_eq!(read(backend).await.as_deref(), Some("four"));
    assert_eq!(previous(backend).await.as_deref(), Some("two"));
    write(backend, &[]).await;
    assert_eq!(previous(backend).await.as_deref(), Some("two"));
}

pub(super) async fn state_that_is_set_aside_keeps_the_backup(fixture: Fixture) {
    let backend = &*fixture.backend;
    write(backend, &["one"]).await;
    write(backend, &["two"]).await;
    for (reason, word) in [(SetAside::Damaged, "damaged"), (SetAside::Migrated, "migrated")] {
        let mut guard = backend.lock(&default(), &holder("stilgar")).await.unwrap();
        let aside = guard.set_aside(reason).await.unwrap().unwrap();
        assert!(aside.contains(word), "{aside}");
        assert_eq!(guard.set_aside(reason).await.unwrap(), None);
        assert_eq!(read(backend).await, None);
        guard.write(b"three").await.unwrap();
        guard.release().await.unwrap();
        assert_eq!(read(backend).await.as_deref(), Some("three"));
        assert_eq!(previous(backend).await.as_deref(), Some("one"));
    }
}

pub(super) async fn lock_is_exclusive_and_names_its_holder(fixture: Fixture) {
    let backend = &*fixture.backend;
    let guard = backend.lock(&default(), &holder("stilgar")).await.unwrap();
    let refused = backend.lock(&default(), &holder("chani")).await.unwrap_err();
    let words = refused.to_string();
    assert!(
        words.contains("stilgar on arrakeen") && words.contains("wait until it has ended"),
        "{words}"
    );
    let held = backend.held(&default()).await.unwrap().unwrap();
    assert_eq!((&held.record, held.alive), (guard.record(), true));
    let id = guard.record().id.clone();
    let alive = backend.unlock(&default(), &id, true).await.unwrap_err();
    assert!(matches!(alive, StoreError::Alive(_)), "{alive}");
    guard.release().await.unwrap();
    assert_eq!(backend.held(&default()).await.unwrap(), None);
    let guard = backend.lock(&default(), &holder("chani")).await.unwrap();
    guard.release().await.unwrap();
}

pub(super) async fn permanent_lock_is_released_by_id(fixture: Fixture) {
    let backend = &*fixture.backend;
    let record = backend.lock_permanently(&default(), &holder("stilgar")).await.unwrap();
    assert!(!backend.held(&default()).await.unwrap().unwrap().alive);
    let refused = backend.lock(&default(), &holder("chani")).await.unwrap_err();
    assert!(
        refused.to_string().contains(&format!("unlock {}", record.id)),
        "{refused}"
    );
    backend.unlock(&default(), &record.id, false).await.unwrap();
    let guard = backend.lock(&default(), &holder("chani")).await.unwrap();
    guard.release().await.unwrap();
    let nothing = backend.unlock(&default(), &record.id, false).await.unwrap_err();
    assert!(matches!(nothing, StoreError::NotLocked(_)), "{nothing}");
}

pub(super) async fn lock_is_removed_only_by_its_own_id(fixture: Fixture) {
    let backend = &*fixture.backend;
    let record = backend.lock_permanently(&default(), &holder("stilgar")).await.unwrap();
    for force in [false, true] {
        let other = backend.unlock(&default(), "8", force).await.unwrap_err();
        assert!(matches!(other, StoreError::OtherLock { .. }), "{other}");
    }
    assert_eq!(backend.held(&default()).await.unwrap().unwrap().record, record);
}

pub(super) async fn only_one_of_many_concurrent_operations_gets_the_lock(fixture: Fixture) {
    let tries = (0..16).map(|index: u32| {
        let backend = Arc::clone(&fixture.backend);
        tokio::spawn(async move { backend.lock(&default(), &holder(&index.to_string())).await })
    });
    let mut held = Vec::new();
    for attempt in tries.collect::<Vec<_>>() {
        held.extend(attempt.await.unwrap().ok());
    }
    assert_eq!(held.len(), 1);
}

pub(super) async fn workspaces_are_created_selected_and_deleted(fixture: Fixture) {
    let backend = &*fixture.backend;
    let staging = WorkspaceName::from_str("staging").unwrap();
    assert_eq!(backend.selected().await.unwrap(), default());
    assert_eq!(backend.chosen().await.unwrap(), None);
    assert!(matches!(
        backend.select(&staging).await,
        Err(StoreError::NoWorkspace(_))
    ));
    assert!(matches!(
        backend.lock(&staging, &holder("x")).await,
        Err(StoreError::NoWorkspace(_))
    ));
    backend.create_workspace(&staging).await.unwrap();
    assert!(matches!(
        backend.create_workspace(&staging).await,
        Err(StoreError::WorkspaceExists(_))
    ));
    backend.select(&staging).await.unwrap();
    assert_eq!(backend.selected().await.unwrap(), staging);
    assert_eq!(backend.workspaces().await.unwrap(), [default(), staging.clone()]);
    let guard = backend.lock(&staging, &holder("stilgar")).await.unwrap();
    assert!(matches!(
        backend.delete_workspace(&staging).await,
        Err(StoreError::Locked { .. })
    ));
    guard.release().await.unwrap();
    backend.delete_workspace(&staging).await.unwrap();
    assert_eq!(backend.workspaces().await.unwrap(), [default()]);
    assert!(matches!(
        backend.delete_workspace(&staging).await,
        Err(StoreError::NoWorkspace(_))
    ));
}

pub(super) async fn workspaces_have_states_of_their_own(fixture: Fixture) {
    let backend = &*fixture.backend;
    let staging = WorkspaceName::from_str("staging").unwrap();
    backend.create_workspace(&staging).await.unwrap();
    write(backend, &["one"]).await;
    let mut guard = backend.lock(&staging, &holder("chani")).await.unwrap();
    guard.write(b"two").await.unwrap();
    guard.release().await.unwrap();
    assert_eq!(read(backend).await.as_deref(), Some("one"));
    assert_eq!(text(backend.read(&staging).await.unwrap()).as_deref(), Some("two"));
    assert_ne!(backend.describe(&default()), backend.describe(&staging));
    // A new workspace of the same name does not have the state of the deleted one.
    backend.delete_workspace(&staging).await.unwrap();
    backend.create_workspace(&staging).await.unwrap();
    assert_eq!(backend.read(&staging).await.unwrap(), None);
}
