//! A process that ends at any request. The next one lists only what is whole, and recovers the rest.

use std::sync::Arc;

use arrakis_domain::Plan;
use arrakis_vault::catalogue::CatalogueError;
use arrakis_vault::store::{ListedObject, ObjectHead, Tags, Version};
use arrakis_vault::{
    BackupRecord, Catalogue, Condition, FileCatalogue, FolderStore, LimitPolicy, ListRequest, LockWait, NewObject,
    NewSnapshot, Object, ObjectKey, ObjectStore, Page, RecordKind, ServerId, Signer, StoreError, Use, Vault,
    VaultError, VaultParts,
};
use async_trait::async_trait;
use parking_lot::Mutex;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::support::{LocalVault, NOW, SERVER, deployment, expected, new_backup, new_snapshot, state};

/// The requests that are executed before the process ends. Later ones are not; the one at the end is executed without a response.
#[derive(Debug)]
struct Lifetime(Mutex<usize>);

/// What happens to a request.
enum Fate {
    Answered,
    Unanswered,
    NotSent,
}

impl Lifetime {
    /// A request takes two steps, so that the last one is sent without a response at an odd number of them.
    fn next(&self) -> Fate {
        let mut left = self.0.lock();
        let fate = match *left {
            0 => Fate::NotSent,
            1 => Fate::Unanswered,
            _ => Fate::Answered,
        };
        *left = left.saturating_sub(2);
        fate
    }

    /// Runs a request; returns `ended` where the process ends before its response.
    async fn run<T: Send, E: Send>(
        &self,
        request: impl Future<Output = Result<T, E>> + Send,
        ended: E,
    ) -> Result<T, E> {
        match self.next() {
            Fate::Answered => request.await,
            Fate::Unanswered => {
                let _ = request.await;
                Err(ended)
            }
            Fate::NotSent => Err(ended),
        }
    }
}

#[derive(Debug)]
struct DyingStore {
    store: Arc<dyn ObjectStore>,
    lifetime: Arc<Lifetime>,
}

impl DyingStore {
    async fn run<T: Send>(&self, request: impl Future<Output = Result<T, StoreError>> + Send) -> Result<T, StoreError> {
        let ended = StoreError::UnknownOutcome {
            operation: "write",
            object: "an object".to_owned(),
            reason: "the process ended".to_owned(),
        };
        self.lifetime.run(request, ended).await
    }
}

#[async_trait]
impl ObjectStore for DyingStore {
    fn describe(&self, key: &str) -> String {
        self.store.describe(key)
    }

    fn deletes_tagged(&self) -> bool {
        self.store.deletes_tagged()
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.run(self.store.check()).await
    }

    async fn put(&self, key: &ObjectKey, object: NewObject, condition: &Condition) -> Result<Version, StoreError> {
        self.run(self.store.put(key, object, condition)).await
    }

    async fn get(&self, key: &ObjectKey) -> Result<Object, StoreError> {
        self.run(self.store.get(key)).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectHead, StoreError> {
        self.run(self.store.head(key)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ListedObject>, StoreError> {
        self.run(self.store.list(prefix)).await
    }

    async fn delete(&self, key: &ObjectKey, only: Option<&Version>) -> Result<(), StoreError> {
        self.run(self.store.delete(key, only)).await
    }

    async fn tags(&self, key: &ObjectKey) -> Result<Tags, StoreError> {
        self.run(self.store.tags(key)).await
    }

    async fn set_tags(&self, key: &ObjectKey, tags: &Tags) -> Result<(), StoreError> {
        self.run(self.store.set_tags(key, tags)).await
    }
}

#[derive(Debug)]
struct DyingCatalogue {
    catalogue: Arc<dyn Catalogue>,
    lifetime: Arc<Lifetime>,
}

impl DyingCatalogue {
    async fn run<T: Send>(
        &self,
        request: impl Future<Output = Result<T, CatalogueError>> + Send,
    ) -> Result<T, CatalogueError> {
        let ended = CatalogueError::Unavailable {
            operation: "write",
            item: "a record".to_owned(),
            attempts: 1,
            reason: "the process ended".to_owned(),
        };
        self.lifetime.run(request, ended).await
    }
}

#[async_trait]
impl Catalogue for DyingCatalogue {
    fn describe(&self) -> String {
        self.catalogue.describe()
    }

    async fn insert(&self, record: &BackupRecord) -> Result<(), CatalogueError> {
        self.run(self.catalogue.insert(record)).await
    }

    async fn get(&self, id: Uuid, server: Option<ServerId>) -> Result<Option<BackupRecord>, CatalogueError> {
        self.run(self.catalogue.get(id, server)).await
    }

    async fn list(&self, request: &ListRequest) -> Result<Page, CatalogueError> {
        self.run(self.catalogue.list(request)).await
    }

    async fn delete(&self, record: &BackupRecord) -> Result<(), CatalogueError> {
        self.run(self.catalogue.delete(record)).await
    }

    async fn set_expiry(&self, record: &BackupRecord, expires: Option<OffsetDateTime>) -> Result<(), CatalogueError> {
        self.run(self.catalogue.set_expiry(record, expires)).await
    }

    async fn take(&self, wanted: &Use) -> Result<bool, CatalogueError> {
        self.run(self.catalogue.take(wanted)).await
    }

    async fn give_back(&self, taken: &Use) -> Result<(), CatalogueError> {
        self.run(self.catalogue.give_back(taken)).await
    }

    async fn plan(&self, server: ServerId) -> Result<Plan, CatalogueError> {
        self.run(self.catalogue.plan(server)).await
    }

    async fn set_plan(&self, server: ServerId, plan: Plan) -> Result<(), CatalogueError> {
        self.run(self.catalogue.set_plan(server, plan)).await
    }

    async fn servers(&self) -> Result<Vec<ServerId>, CatalogueError> {
        self.run(self.catalogue.servers()).await
    }
}

/// The same vault in a process that ends after these steps.
fn dying(local: &LocalVault, steps: usize) -> Vault {
    let lifetime = Arc::new(Lifetime(Mutex::new(steps)));
    Vault::new(VaultParts {
        store: Arc::new(DyingStore {
            store: Arc::clone(local.vault.store()),
            lifetime: Arc::clone(&lifetime),
        }),
        catalogue: Arc::new(DyingCatalogue {
            catalogue: Arc::clone(local.vault.catalogue()),
            lifetime,
        }),
        signer: local.signer.clone() as Arc<dyn Signer>,
        limits: LimitPolicy::ByPlan,
    })
}

#[derive(Clone, Copy, Debug)]
enum Work {
    CreateBackup,
    CreateSnapshot,
    DeleteBackup,
    DeleteSnapshot,
    Retain,
}

async fn work(vault: &Vault, work: Work, records: &[BackupRecord]) -> Result<(), VaultError> {
    let state = state(SERVER, 9);
    match work {
        Work::CreateBackup => vault.create_backup(new_backup(SERVER, &state), NOW).await.map(drop),
        Work::CreateSnapshot => vault.create_snapshot(new_snapshot(SERVER, &state), NOW).await.map(drop),
        Work::DeleteBackup => vault.delete(&records[0], NOW).await,
        Work::DeleteSnapshot => vault.delete(&records[1], NOW).await,
        Work::Retain => vault.apply_retention(SERVER, NOW + Duration::days(30)).await.map(drop),
    }
}

/// A vault with two backups and two snapshots; the older ones are returned.
async fn filled() -> (LocalVault, Vec<BackupRecord>) {
    let local = LocalVault::new(LimitPolicy::ByPlan);
    let mut records = Vec::new();
    for day in 0..2 {
        let (state, now) = (state(SERVER, 1), NOW + Duration::days(day));
        records.push(
            local
                .vault
                .create_backup(new_backup(SERVER, &state), now)
                .await
                .unwrap(),
        );
        records.push(
            local
                .vault
                .create_snapshot(new_snapshot(SERVER, &state), now)
                .await
                .unwrap(),
        );
    }
    records.truncate(2);
    (local, records)
}

/// Everything that is listed is whole. Returns how many records there are.
async fn check_listed(vault: &Vault, now: OffsetDateTime, context: &str) -> usize {
    let report = vault.verify_all(SERVER, now, &mut |_, _| {}).await.unwrap();
    let is_whole = report.unusable.damaged.is_empty() && report.records.is_empty() && report.registry.is_none();
    assert!(is_whole, "{context}: {report:?}");
    report.whole
}

#[tokio::test]
async fn interrupted_creation_of_a_backup_is_completed_or_removed() {
    interrupt(Work::CreateBackup).await;
}

#[tokio::test]
async fn interrupted_creation_of_a_snapshot_is_completed_or_removed() {
    interrupt(Work::CreateSnapshot).await;
}

#[tokio::test]
async fn interrupted_deletion_of_a_backup_is_completed() {
    interrupt(Work::DeleteBackup).await;
}

#[tokio::test]
async fn interrupted_deletion_of_a_snapshot_is_completed() {
    interrupt(Work::DeleteSnapshot).await;
}

#[tokio::test]
async fn interrupted_retention_is_completed() {
    interrupt(Work::Retain).await;
}

/// Interrupts the work at each request, before and after its effect.
async fn interrupt(kind: Work) {
    let (filled, records) = filled().await;
    for steps in 0.. {
        let local = filled.copy();
        let context = format!("{kind:?} after {steps} steps");
        let done = work(&dying(&local, steps), kind, &records).await;
        let now = match kind {
            Work::Retain => NOW + Duration::days(30),
            _ => NOW + Duration::days(2),
        };
        check_listed(&local.vault, now, &context).await;
        // Objects have the time of the test's machine.
        let later = OffsetDateTime::now_utc().max(now) + Duration::hours(2);
        let report = local.vault.recover(SERVER, later).await.unwrap();
        assert!(report.damaged.is_empty(), "{context}: {report:?}");
        let whole = check_listed(&local.vault, now, &context).await;
        let (before, after) = match kind {
            Work::CreateBackup | Work::CreateSnapshot => (4, 5),
            Work::DeleteBackup | Work::DeleteSnapshot => (4, 3),
            Work::Retain => (4, 2),
        };
        if done.is_ok() {
            assert_eq!(whole, after, "{context}");
        } else {
            assert!(
                (before.min(after)..=before.max(after)).contains(&whole),
                "{context}: {whole}"
            );
        }
        every_object_has_a_record(&local.vault, now, &context).await;
        if done.is_ok() {
            // It took several requests, or the test interrupts nothing.
            assert!(steps >= 6, "{context}");
            break;
        }
    }
}

async fn every_object_has_a_record(vault: &Vault, now: OffsetDateTime, context: &str) {
    let mut known = Vec::new();
    for kind in [RecordKind::Backup, RecordKind::Snapshot] {
        let page = vault.list(SERVER, kind, 100, None, now).await.unwrap();
        known.extend(page.records.iter().map(|record| match kind {
            RecordKind::Backup => record.object().unwrap().to_string(),
            RecordKind::Snapshot => format!("snapshots/{SERVER}/{}/", record.id),
        }));
    }
    for prefix in ["state/", "snapshots/"] {
        for object in vault.store().list(prefix).await.unwrap() {
            let has_record = known.iter().any(|known| object.key.as_str().starts_with(known));
            assert!(has_record, "{context}: {} has no record", object.key);
        }
    }
}

#[tokio::test]
async fn interrupted_deployment_is_recorded_once_when_it_is_repeated() {
    for steps in 0.. {
        let local = LocalVault::new(LimitPolicy::ByPlan);
        local.vault.record_deployment(SERVER, &deployment(0)).await.unwrap();
        let recorded = deployment(1);
        let done = dying(&local, steps).record_deployment(SERVER, &recorded).await;
        local.vault.record_deployment(SERVER, &recorded).await.unwrap();
        let registry = local.vault.theme_registry(SERVER).await.unwrap();
        assert_eq!(registry.deployments.len(), 2, "after {steps} steps");
        let rebuilt = local.vault.rebuild_theme_registry(SERVER).await.unwrap();
        assert_eq!(rebuilt.registry, registry, "after {steps} steps");
        if done.is_ok() {
            assert!(steps >= 6);
            break;
        }
    }
}

#[tokio::test]
async fn interrupted_export_leaves_the_earlier_one() {
    for steps in 0.. {
        let local = LocalVault::new(LimitPolicy::ByPlan);
        local.vault.write_export(SERVER, b"first", NOW).await.unwrap();
        let later = NOW + Duration::days(1);
        let done = dying(&local, steps).write_export(SERVER, b"second", later).await;
        let latest = local.vault.latest_export(SERVER).await.unwrap().unwrap().yaml;
        assert!(
            latest == b"second" || (done.is_err() && latest == b"first"),
            "after {steps} steps"
        );
        if done.is_ok() {
            assert!(steps >= 6);
            break;
        }
    }
}

#[tokio::test]
async fn lock_of_a_stopped_process_is_an_error_that_may_end_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let wait = || LockWait {
        limit: std::time::Duration::ZERO,
        ..LockWait::default()
    };
    let store = FolderStore::new(folder.path()).waiting(wait());
    let catalogue = FileCatalogue::new(folder.path()).waiting(wait());
    store.check().await.unwrap();
    let holder = std::fs::File::options()
        .write(true)
        .open(folder.path().join(".lock"))
        .unwrap();
    holder.lock().unwrap();
    let key: ObjectKey = "a".parse().unwrap();
    let refused = store.put(&key, NewObject::new("x"), &Condition::Any).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::LockHeld { .. }) && refused.is_transient(),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("has held"), "{refused}");
    let refused = catalogue.set_plan(SERVER, Plan::Premium).await.unwrap_err();
    assert!(
        matches!(refused, CatalogueError::LockHeld { .. }) && refused.is_transient(),
        "{refused:?}"
    );
    // Reads need no lock.
    assert!(store.get(&key).await.unwrap_err().is_not_found());
    assert_eq!(catalogue.plan(SERVER).await.unwrap(), Plan::Free);
    drop(holder);
    store.put(&key, NewObject::new("x"), &Condition::Any).await.unwrap();
}

#[tokio::test]
async fn snapshot_with_a_chosen_id_is_created_once_whenever_the_process_dies() {
    let id = Uuid::from_u128(7);
    for steps in 0.. {
        let local = LocalVault::new(LimitPolicy::Unlimited);
        let state = state(SERVER, 1);
        let new = || NewSnapshot {
            id: Some(id),
            ..new_snapshot(SERVER, &state)
        };
        let first = dying(&local, steps).create_snapshot(new(), NOW).await;
        let again = local.vault.create_snapshot(new(), NOW).await.unwrap();
        assert_eq!(again.id, id);
        let listed = local.vault.list(SERVER, RecordKind::Snapshot, 9, None, NOW).await;
        assert_eq!(
            listed.unwrap().records,
            std::slice::from_ref(&again),
            "after {steps} steps"
        );
        local.vault.verify(&again).await.unwrap();
        if first.is_ok() {
            assert!(steps > 10, "{steps}");
            return;
        }
    }
}

#[tokio::test]
async fn interrupted_snapshot_is_not_the_result_of_a_creation_of_another_content_or_time() {
    let id = Uuid::from_u128(7);
    let (present, younger) = (state(SERVER, 1), NOW + Duration::minutes(10));
    for (later, config) in [
        (younger, b"server:\n  name: Arrakeen\n".as_slice()),
        (NOW + Duration::days(3), new_snapshot(SERVER, &present).config),
    ] {
        let mut finished = 0;
        for steps in 0.. {
            let local = LocalVault::new(LimitPolicy::Unlimited);
            let first = NewSnapshot {
                id: Some(id),
                ..new_snapshot(SERVER, &present)
            };
            let first = dying(&local, steps).create_snapshot(first, NOW).await;
            let again = NewSnapshot {
                id: Some(id),
                config,
                ..new_snapshot(SERVER, &present)
            };
            let again = local.vault.create_or_finish_snapshot(again, later).await.unwrap();
            assert!(!again.is_finished, "after {steps} steps");
            assert_eq!(again.record.created, later, "after {steps} steps");
            let read = local
                .vault
                .read_snapshot(&again.record, &expected(SERVER))
                .await
                .unwrap();
            assert_eq!(read.config(), config, "after {steps} steps");
            // That of the interrupted creation stays as it was.
            check_listed(&local.vault, later, &format!("after {steps} steps")).await;
            assert!(
                again
                    .listed
                    .iter()
                    .all(|record| record.created == NOW && record.id == id)
            );
            finished += again.listed.len();
            if first.is_ok() {
                break;
            }
        }
        assert!(finished > 0, "{config:?}");
    }
}

#[tokio::test]
async fn comment_with_the_time_makes_no_other_snapshot() {
    let local = LocalVault::new(LimitPolicy::Unlimited);
    let present = state(SERVER, 1);
    let with = |config: &'static [u8]| NewSnapshot {
        id: Some(Uuid::from_u128(7)),
        config,
        ..new_snapshot(SERVER, &present)
    };
    let first = local
        .vault
        .create_snapshot(with(b"# read at 1\nroles: {}\n"), NOW)
        .await
        .unwrap();
    let again = with(b"# read at 2\nroles: {}\n");
    let again = local
        .vault
        .create_or_finish_snapshot(again, NOW + Duration::SECOND)
        .await
        .unwrap();
    assert!(again.is_finished && again.listed.is_empty(), "{again:?}");
    assert_eq!(again.record, first);
}
