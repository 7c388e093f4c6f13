//! States in an object store that several machines share. The store is a folder here; `s3.rs` runs the same on S3.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrakis_iac_apply::store::{
    Backend, LockHolder, LockRecord, LockTable, RemoteStore, ServerMarker, StateLock, StoreError,
};
use arrakis_vault::{FolderStore, NewObject, ObjectStore};
use async_trait::async_trait;
use tempfile::TempDir;

use super::common::{Fixture, conformance};
use super::faulty::{Fault, FaultyStore};
use super::{default, holder};

conformance!(open);

async fn open() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    Fixture::new(machine(&folder, "arrakeen"), folder)
}

fn objects(folder: &TempDir) -> FolderStore {
    FolderStore::new(folder.path().join("shared"))
}

/// The store as a machine of this name uses it.
fn machine(folder: &TempDir, host: &str) -> RemoteStore {
    over(Arc::new(objects(folder)), folder, host)
}

fn over(objects: Arc<dyn ObjectStore>, folder: &TempDir, host: &str) -> RemoteStore {
    RemoteStore::new(objects, folder.path().join(host).join(".gaib"), host)
}

fn on(host: &str) -> LockHolder {
    LockHolder {
        host: host.to_owned(),
        ..holder("stilgar")
    }
}

/// Locks in a table beside the object store.
mod table {
    use super::*;

    #[derive(Debug, Default)]
    struct MemoryLocks(Mutex<BTreeMap<String, LockRecord>>);

    #[async_trait]
    impl LockTable for MemoryLocks {
        async fn create(&self, name: &str, record: &LockRecord) -> Result<bool, StoreError> {
            let mut records = self.0.lock().unwrap();
            let is_free = !records.contains_key(name);
            if is_free {
                records.insert(name.to_owned(), record.clone());
            }
            Ok(is_free)
        }

        async fn read(&self, name: &str) -> Result<Option<LockRecord>, StoreError> {
            Ok(self.0.lock().unwrap().get(name).cloned())
        }

        async fn remove(&self, name: &str, id: &str) -> Result<bool, StoreError> {
            let mut records = self.0.lock().unwrap();
            let is_own = records.get(name).is_some_and(|record| record.id == id);
            if is_own {
                records.remove(name);
            }
            Ok(is_own)
        }

        async fn remove_unreadable(&self, _name: &str) -> Result<bool, StoreError> {
            Ok(false)
        }
    }

    async fn open() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let store = machine(&folder, "arrakeen").with_locks(Arc::new(MemoryLocks::default()));
        Fixture::new(store, folder)
    }

    conformance!(open);
}

#[tokio::test]
async fn state_and_lock_are_the_same_on_all_machines() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (machine(&folder, "arrakeen"), machine(&folder, "carthag"));
    let mut guard = one.lock(&default(), &on("arrakeen")).await.unwrap();
    guard.write(b"one").await.unwrap();
    assert_eq!(other.read(&default()).await.unwrap().as_deref(), Some(&b"one"[..]));
    let refused = other.lock(&default(), &on("carthag")).await.unwrap_err().to_string();
    let id = &guard.record().id;
    assert!(
        refused.contains("stilgar on arrakeen") && refused.contains(&format!("force-unlock {id}")),
        "{refused}"
    );
    guard.release().await.unwrap();
    let guard = other.lock(&default(), &on("carthag")).await.unwrap();
    guard.release().await.unwrap();
    // The selection is one of each machine.
    let staging = "staging".parse().unwrap();
    one.create_workspace(&staging).await.unwrap();
    one.select(&staging).await.unwrap();
    assert_eq!(other.selected().await.unwrap(), default());
    other.select(&staging).await.unwrap();
}

#[tokio::test]
async fn abandoned_lock_is_removed_by_force_unlock_and_by_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let store = machine(&folder, "arrakeen");
    let guard = store.lock(&default(), &on("arrakeen")).await.unwrap();
    let id = guard.record().id.clone();
    // As after a SIGKILL, for another process: the record stays, and no process of this folder holds the system's lock.
    std::mem::forget(guard);
    let other_folder = folder.path().join("other/.gaib");
    let after = RemoteStore::new(Arc::new(objects(&folder)), other_folder, "arrakeen");
    let refused = after.lock(&default(), &on("arrakeen")).await.unwrap_err();
    assert!(refused.to_string().contains(&format!("force-unlock {id}")), "{refused}");
    let held = after.held(&default()).await.unwrap().unwrap();
    assert_eq!((held.record.id.as_str(), held.alive), (id.as_str(), false));
    let plain = after.unlock(&default(), &id, false).await.unwrap_err();
    assert!(matches!(plain, StoreError::OfAnOperation(_)), "{plain}");
    let removed = after.unlock(&default(), &id, true).await.unwrap();
    assert_eq!(removed.id, id);
    let guard = after.lock(&default(), &on("arrakeen")).await.unwrap();
    assert_eq!(guard.left_behind(), None);
    guard.release().await.unwrap();
}

/// The holder releases its lock between the attempt to take it and the read of its record, this many times.
#[derive(Debug)]
struct ReleasedMeanwhile(Mutex<u64>);

#[async_trait]
impl LockTable for ReleasedMeanwhile {
    async fn create(&self, _name: &str, _record: &LockRecord) -> Result<bool, StoreError> {
        let mut left = self.0.lock().unwrap();
        let is_taken = *left == 0;
        *left = left.saturating_sub(1);
        Ok(is_taken)
    }

    async fn read(&self, _name: &str) -> Result<Option<LockRecord>, StoreError> {
        Ok(None)
    }

    async fn remove(&self, _name: &str, _id: &str) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn remove_unreadable(&self, _name: &str) -> Result<bool, StoreError> {
        Ok(false)
    }
}

/// No request has a response.
#[derive(Debug)]
struct Unresponsive;

impl Unresponsive {
    fn failed(operation: &'static str) -> StoreError {
        StoreError::LockTable {
            operation,
            lock: "workspaces/default/lock.json".to_owned(),
            reason: "no response".to_owned(),
            is_unknown: true,
        }
    }
}

#[async_trait]
impl LockTable for Unresponsive {
    async fn create(&self, _name: &str, _record: &LockRecord) -> Result<bool, StoreError> {
        Err(Self::failed("write"))
    }

    async fn read(&self, _name: &str) -> Result<Option<LockRecord>, StoreError> {
        Err(Self::failed("read"))
    }

    async fn remove(&self, _name: &str, _id: &str) -> Result<bool, StoreError> {
        Err(Self::failed("delete"))
    }

    async fn remove_unreadable(&self, _name: &str) -> Result<bool, StoreError> {
        Err(Self::failed("delete"))
    }
}

#[tokio::test]
async fn lock_that_is_released_meanwhile_is_taken_and_no_id_is_invented() {
    let folder = tempfile::tempdir().unwrap();
    let locks = |times| Arc::new(ReleasedMeanwhile(Mutex::new(times)));
    let store = machine(&folder, "arrakeen").with_locks(locks(2));
    let guard = store.lock(&default(), &on("arrakeen")).await.unwrap();
    guard.release().await.unwrap();
    let store = machine(&folder, "arrakeen").with_locks(locks(3));
    let refused = store.lock(&default(), &on("arrakeen")).await.unwrap_err().to_string();
    assert!(
        refused.contains("run the command again") && !refused.contains("unlock") && !refused.contains("(lock "),
        "{refused}"
    );
}

#[tokio::test]
async fn lock_whose_request_and_removal_have_no_response_may_stay_and_its_id_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = machine(&folder, "arrakeen").with_locks(Arc::new(Unresponsive));
    let failed = store.lock(&default(), &on("arrakeen")).await.unwrap_err();
    let StoreError::LockMayStay { id, .. } = &failed else {
        panic!("{failed}");
    };
    let text = failed.to_string();
    assert!(
        text.contains("no response") && text.contains(&format!("force-unlock {id}")),
        "{text}"
    );
}

#[tokio::test]
async fn unreadable_records_of_locks_are_removed_and_readable_ones_stay() {
    let folder = tempfile::tempdir().unwrap();
    let store = machine(&folder, "arrakeen");
    let servers = store.servers("discord.com");
    let record = LockRecord::of_this_process(&on("arrakeen"));
    let guard = store.lock(&default(), &on("arrakeen")).await.unwrap();
    let of_server = servers.lock(7, &record).await.unwrap();
    assert_eq!(
        store.remove_unreadable_locks(&default()).await.unwrap(),
        Vec::<String>::new()
    );
    let names = ["servers/discord.com/7/lock.json", "workspaces/default/lock.json"];
    for name in names {
        std::fs::write(folder.path().join("shared").join(name), "{\"id\"").unwrap();
    }
    for refused in [
        store.lock(&default(), &on("carthag")).await.unwrap_err(),
        servers.lock(7, &record).await.unwrap_err(),
        store.unlock(&default(), &record.id, true).await.unwrap_err(),
    ] {
        assert!(
            matches!(refused, StoreError::LockRecord { is_shared: true, .. }),
            "{refused}"
        );
    }
    assert_eq!(store.remove_unreadable_locks(&default()).await.unwrap(), names);
    assert!(guard.release().await.is_err());
    of_server.unlock().await.unwrap();
    let guard = store.lock(&default(), &on("carthag")).await.unwrap();
    guard.release().await.unwrap();
    servers.lock(7, &record).await.unwrap().unlock().await.unwrap();
}

#[tokio::test]
async fn operation_whose_lock_was_removed_cannot_write_after_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (machine(&folder, "arrakeen"), machine(&folder, "carthag"));
    let mut first = one.lock(&default(), &on("arrakeen")).await.unwrap();
    first.write(b"one").await.unwrap();
    let id = first.record().id.clone();
    other.unlock(&default(), &id, true).await.unwrap();
    let mut second = other.lock(&default(), &on("carthag")).await.unwrap();
    second.write(b"two").await.unwrap();
    let refused = first.write(b"three").await.unwrap_err();
    assert!(matches!(refused, StoreError::StateChanged { .. }), "{refused}");
    let lost = first.release().await.unwrap_err();
    assert!(matches!(lost, StoreError::LockLost { .. }), "{lost}");
    // The lock of the second operation is not released by the first one.
    assert!(one.held(&default()).await.unwrap().is_some());
    second.write(b"four").await.unwrap();
    second.release().await.unwrap();
    assert_eq!(one.read(&default()).await.unwrap().as_deref(), Some(&b"four"[..]));
}

#[tokio::test]
async fn next_operation_cannot_write_after_one_whose_lock_was_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (machine(&folder, "arrakeen"), machine(&folder, "carthag"));
    let mut first = one.lock(&default(), &on("arrakeen")).await.unwrap();
    let id = first.record().id.clone();
    other.unlock(&default(), &id, true).await.unwrap();
    let mut second = other.lock(&default(), &on("carthag")).await.unwrap();
    first.write(b"one").await.unwrap();
    let refused = second.write(b"two").await.unwrap_err();
    assert!(matches!(refused, StoreError::StateChanged { .. }), "{refused}");
    second.release().await.unwrap();
    assert_eq!(one.read(&default()).await.unwrap().as_deref(), Some(&b"one"[..]));
}

/// Every operation counts the state up by one, while locks are removed at random moments. As many operations succeed as the
/// state says: no two have written on the same state.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_write_is_lost_while_locks_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (done, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let operations = (0..4).map(|number: u32| {
        let (store, host) = (machine(&folder, &format!("host-{number}")), format!("host-{number}"));
        let (done, written) = (Arc::clone(&done), Arc::clone(&written));
        tokio::spawn(async move {
            while !done.load(Ordering::Relaxed) {
                let Ok(guard) = store.lock(&default(), &on(&host)).await else {
                    tokio::task::yield_now().await;
                    continue;
                };
                if count_up(&store, guard).await && written.fetch_add(1, Ordering::Relaxed) >= 60 {
                    done.store(true, Ordering::Relaxed);
                }
            }
        })
    });
    let operations: Vec<_> = operations.collect();
    let remover = machine(&folder, "carthag");
    while !done.load(Ordering::Relaxed) {
        if let Ok(Some(held)) = remover.held(&default()).await {
            let _ = remover.unlock(&default(), &held.record.id, true).await;
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    for operation in operations {
        operation.await.unwrap();
    }
    assert_eq!(number(&remover).await, written.load(Ordering::Relaxed));
}

async fn number(store: &RemoteStore) -> u64 {
    let bytes = store.read(&default()).await.unwrap();
    bytes.map_or(0, |bytes| String::from_utf8(bytes).unwrap().parse().unwrap())
}

async fn count_up(store: &RemoteStore, mut guard: Box<dyn StateLock>) -> bool {
    let next = number(store).await + 1;
    tokio::time::sleep(Duration::from_millis(1)).await;
    let is_written = guard.write(next.to_string().as_bytes()).await.is_ok();
    let _ = guard.release().await;
    is_written
}

#[tokio::test]
async fn state_that_is_written_without_a_lock_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let store = machine(&folder, "arrakeen");
    let mut guard = store.lock(&default(), &on("arrakeen")).await.unwrap();
    guard.write(b"one").await.unwrap();
    std::fs::write(store.describe(&default()), b"manually").unwrap();
    let refused = guard.write(b"two").await.unwrap_err();
    assert!(matches!(refused, StoreError::StateChanged { .. }), "{refused}");
    guard.release().await.unwrap();
    assert_eq!(store.read(&default()).await.unwrap().as_deref(), Some(&b"manually"[..]));
    // The next operation begins with what is there, and keeps it.
    let mut guard = store.lock(&default(), &on("arrakeen")).await.unwrap();
    guard.write(b"three").await.unwrap();
    guard.release().await.unwrap();
    assert_eq!(
        store.read_previous(&default()).await.unwrap().as_deref(),
        Some(&b"manually"[..])
    );
}

#[tokio::test]
async fn store_that_ignores_conditions_is_refused_before_the_first_lock() {
    let folder = tempfile::tempdir().unwrap();
    let faulty = FaultyStore::ignoring_conditions(objects(&folder));
    let store = over(Arc::new(faulty), &folder, "arrakeen");
    let refused = store.lock(&default(), &on("arrakeen")).await.unwrap_err();
    assert!(refused.to_string().contains("ignores conditions"), "{refused}");
    assert_eq!(store.held(&default()).await.unwrap(), None);
}

#[tokio::test]
async fn unknown_outcome_of_a_lock_leaves_no_lock() {
    for fault in [Fault::LostResponse, Fault::Refused] {
        let folder = tempfile::tempdir().unwrap();
        let faulty = FaultyStore::new(objects(&folder));
        let store = over(Arc::new(faulty.clone()), &folder, "arrakeen");
        faulty.arm("workspaces/default/lock.json", fault);
        let failed = store.lock(&default(), &on("arrakeen")).await.unwrap_err();
        assert!(failed.to_string().contains("outcome unknown"), "{failed}");
        let guard = store.lock(&default(), &on("arrakeen")).await.unwrap();
        guard.release().await.unwrap();
    }
}

#[tokio::test]
async fn lock_that_the_next_operation_takes_before_its_repeated_release_is_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let faulty = FaultyStore::new(objects(&folder));
    let store = over(Arc::new(faulty.clone()), &folder, "arrakeen");
    let mut guard = store.lock(&default(), &on("arrakeen")).await.unwrap();
    guard.write(b"one").await.unwrap();
    let next = LockRecord::of_this_process(&on("carthag"));
    faulty.overtake_deletion(NewObject::new(serde_json::to_vec(&next).unwrap()));
    guard.release().await.unwrap();
    let held = machine(&folder, "carthag").held(&default()).await.unwrap().unwrap();
    assert_eq!(held.record, next);
}

#[tokio::test]
async fn unknown_outcome_of_a_write_ends_the_writes_of_the_operation() {
    for fault in [Fault::LostResponse, Fault::Refused] {
        let folder = tempfile::tempdir().unwrap();
        let faulty = FaultyStore::new(objects(&folder));
        let store = over(Arc::new(faulty.clone()), &folder, "arrakeen");
        let mut guard = store.lock(&default(), &on("arrakeen")).await.unwrap();
        guard.write(b"one").await.unwrap();
        faulty.arm("state.json", fault);
        assert!(guard.write(b"two").await.is_err());
        let again = guard.write(b"three").await;
        assert_eq!(again.is_ok(), fault == Fault::Refused);
        guard.release().await.unwrap();
        let state = store.read(&default()).await.unwrap().unwrap();
        assert_eq!(
            state,
            if fault == Fault::Refused {
                b"three".to_vec()
            } else {
                b"two".to_vec()
            }
        );
    }
}

#[tokio::test]
async fn unused_workspace_is_removed_and_a_used_one_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = machine(&folder, "arrakeen");
    let staging = "staging".parse().unwrap();
    store.create_workspace(&staging).await.unwrap();
    let guard = store.lock(&staging, &on("arrakeen")).await.unwrap();
    store.remove_unused(&staging).await;
    guard.release().await.unwrap();
    assert_eq!(store.workspaces().await.unwrap().len(), 2);
    store.remove_unused(&staging).await;
    assert_eq!(store.workspaces().await.unwrap(), [default()]);
    store.create_workspace(&staging).await.unwrap();
    let mut guard = store.lock(&staging, &on("arrakeen")).await.unwrap();
    guard.write(b"one").await.unwrap();
    guard.release().await.unwrap();
    store.remove_unused(&staging).await;
    assert_eq!(store.workspaces().await.unwrap().len(), 2);
}

#[tokio::test]
async fn server_lock_and_marker_are_the_same_on_all_machines() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (machine(&folder, "arrakeen"), machine(&folder, "carthag"));
    let (servers, others) = (one.servers("discord.com"), other.servers("discord.com"));
    let record = LockRecord::of_this_process(&on("arrakeen"));
    let lock = servers.lock(7, &record).await.unwrap();
    let refused = others.lock(7, &record).await.unwrap_err().to_string();
    assert!(
        refused.contains("stilgar on arrakeen") && refused.contains(&format!("force-unlock {}", record.id)),
        "{refused}"
    );
    assert_eq!(others.marker(7).await.unwrap(), None);
    let state = one.describe(&default());
    let marker = ServerMarker::new("default", &state, "lineage").in_store_of("/srv/sietch");
    lock.claim(&marker).await.unwrap();
    assert_eq!(others.marker(7).await.unwrap(), Some(marker));
    assert_eq!(others.servers_of(state.as_ref()).await.unwrap(), [7]);
    assert_eq!(
        others.servers_of("/elsewhere".as_ref()).await.unwrap(),
        Vec::<u64>::new()
    );
    // An emulator has servers with ids of its own.
    let emulator = other.servers("127.0.0.1:4010");
    assert_eq!(emulator.marker(7).await.unwrap(), None);
    emulator.lock(7, &record).await.unwrap().unlock().await.unwrap();
    lock.unlock().await.unwrap();
    let lock = others.lock(7, &record).await.unwrap();
    lock.release().await.unwrap();
    lock.unlock().await.unwrap();
    assert_eq!(servers.marker(7).await.unwrap(), None);
}

#[tokio::test]
async fn force_unlock_removes_the_locks_of_the_servers_too() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (machine(&folder, "arrakeen"), machine(&folder, "carthag"));
    let guard = one.lock(&default(), &on("arrakeen")).await.unwrap();
    let record = guard.record().clone();
    let lock = one.servers("discord.com").lock(7, &record).await.unwrap();
    other.unlock(&default(), &record.id, true).await.unwrap();
    let next = LockRecord::of_this_process(&on("carthag"));
    let taken = other.servers("discord.com").lock(7, &next).await.unwrap();
    // The operation whose locks were removed releases none of the next one.
    lock.unlock().await.unwrap();
    assert!(guard.release().await.is_err());
    assert!(other.servers("discord.com").lock(7, &record).await.is_err());
    taken.unlock().await.unwrap();
    // The lock of a server alone is removed by the id as well.
    let _left = one.servers("discord.com").lock(7, &record).await.unwrap();
    assert!(other.unlock(&default(), &record.id, false).await.is_err());
    other.unlock(&default(), &record.id, true).await.unwrap();
    other
        .servers("discord.com")
        .lock(7, &next)
        .await
        .unwrap()
        .unlock()
        .await
        .unwrap();
}
