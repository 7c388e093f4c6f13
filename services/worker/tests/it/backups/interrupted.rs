//! Runs that are interrupted: a worker is killed, or a process ends between an object and its record.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrakis_contracts::names;
use arrakis_db::{JobStart, JobState, NewJob};
use arrakis_iac::state::State;
use arrakis_test_support::{Process, eventually_within};
use arrakis_vault::catalogue::{CatalogueError, CatalogueHook, HookedCatalogue, RecordWrite};
use arrakis_vault::store::{HookedStore, StoreHook, StoreOperation};
use arrakis_vault::{
    BackupRecord, Catalogue, LimitPolicy, LocalSigner, ObjectKey, ObjectStore, RecordKind, StoreError, Task, Vault,
    VaultParts,
};
use arrakis_worker::services::Services;
use async_trait::async_trait;
use serde_json::json;
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::setup::{BackupFolder, advance, exports, last_run, listed, now, run, server, vault, write_state};
use crate::platform::{Platform, Worker};

/// How long a worker process may take until its fail point kills it.
const KILL_LIMIT: Duration = Duration::from_secs(30);
/// How long all tasks may take. The leader looks for what is due each minute.
const RUN_LIMIT: Duration = Duration::from_secs(100);

/// Starts a worker process with this fail point.
fn start(platform: &Platform, folder: &BackupFolder, point: &str) -> Process {
    let health = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut environment = folder.environment(platform);
    environment.push(("HEALTH_ADDR", health.to_string()));
    environment.push(("ARRAKIS_FAIL_POINTS", format!("{point}=kill")));
    let program = Path::new(env!("CARGO_BIN_EXE_arrakis-worker"));
    Process::start_at(program, &[], environment)
}

/// A worker that is killed at this point; another one completes every task, and nothing is listed twice.
async fn killed_at(point: &str) {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    let mut state = State::new("a-lineage");
    write_state(&platform, &folder, &mut state).await;
    let began = OffsetDateTime::now_utc();
    let mut killed = start(&platform, &folder, point);
    let status = killed.ended(KILL_LIMIT).await;
    assert_eq!(status.code(), None, "{point}: {:#?}", killed.lines());
    let _second = Worker::start(&folder.environment(&platform)).await;
    let is_completed = || async {
        for task in Task::ALL {
            let run = last_run(&platform, task).await;
            if run.is_none_or(|run| run.completed_slot.is_none()) {
                return false;
            }
        }
        true
    };
    eventually_within(
        RUN_LIMIT,
        is_completed,
        format!("all tasks to be completed after {point}"),
    )
    .await;
    let services = folder.services(&platform, &[]).await;
    // The backup of the next hour may have followed.
    let most = 1 + usize::from(OffsetDateTime::now_utc().hour() != began.hour());
    let backups = listed(&platform, &services, RecordKind::Backup).await;
    assert!((1..=most).contains(&backups), "{point}: {backups} backups");
    assert_eq!(listed(&platform, &services, RecordKind::Snapshot).await, 1, "{point}");
    let exports = exports(&platform, &services).await;
    assert!((1..=1 + most).contains(&exports), "{point}: {exports} exports");
    assert_eq!(platform.messages(names::DEAD_LETTERS).await, 0, "{point}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_killed_before_an_export_is_continued_by_another() {
    killed_at("worker.backup.read[backup]").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_killed_after_a_backup_is_listed_makes_no_second_one() {
    killed_at("worker.backup.listed[backup]").await;
    killed_at("worker.backup.exported").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_killed_around_a_snapshot_makes_no_second_one() {
    killed_at("worker.backup.read[snapshot]").await;
    killed_at("worker.backup.listed[snapshot]").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_killed_after_the_schedule_is_stored_does_not_repeat_the_run() {
    killed_at("worker.backup.completed[backup]").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_killed_during_the_retention_is_continued_by_another() {
    killed_at("worker.backup.recovered").await;
}

/// Delays the insertion of each record until it may continue.
#[derive(Debug)]
struct DelayedInsertion {
    /// Whether the record is inserted before the delay: only the response is missing then.
    inserts_first: bool,
    reached: Arc<Notify>,
    may_continue: CancellationToken,
}

#[async_trait]
impl CatalogueHook for DelayedInsertion {
    async fn before(
        &self,
        catalogue: &dyn Catalogue,
        write: RecordWrite,
        record: &BackupRecord,
    ) -> Result<(), CatalogueError> {
        if write != RecordWrite::Insert {
            return Ok(());
        }
        if self.inserts_first {
            catalogue.insert(record).await?;
        }
        self.reached.notify_one();
        self.may_continue.cancelled().await;
        Ok(())
    }
}

/// Delays the first write of a snapshot until it may continue.
#[derive(Debug)]
struct DelayedSnapshot {
    reached: Arc<Notify>,
    may_continue: CancellationToken,
}

#[async_trait]
impl StoreHook for DelayedSnapshot {
    async fn before(
        &self,
        _store: &dyn ObjectStore,
        operation: StoreOperation,
        key: &ObjectKey,
    ) -> Result<(), StoreError> {
        let is_snapshot = operation == StoreOperation::Put && key.as_str().starts_with("snapshots/");
        if is_snapshot && !self.may_continue.is_cancelled() {
            self.reached.notify_one();
            self.may_continue.cancelled().await;
        }
        Ok(())
    }
}

/// The services of a worker that waits before it inserts a record; where it has come to that, and what lets it continue.
async fn stopping(platform: &Platform, folder: &BackupFolder) -> (Services, Arc<Notify>, CancellationToken) {
    stopping_at_record(platform, folder, false).await
}

/// The same, where `inserts_first`: after it has inserted the record.
async fn stopping_at_record(
    platform: &Platform,
    folder: &BackupFolder,
    inserts_first: bool,
) -> (Services, Arc<Notify>, CancellationToken) {
    let (reached, may_continue) = (Arc::new(Notify::new()), CancellationToken::new());
    let mut stopping = folder.services(platform, &[]).await;
    let backups = stopping.backups.take().unwrap();
    let parts = VaultParts {
        store: backups.vault().store().clone(),
        catalogue: Arc::new(HookedCatalogue::new(
            backups.vault().catalogue().clone(),
            Arc::new(DelayedInsertion {
                inserts_first,
                reached: reached.clone(),
                may_continue: may_continue.clone(),
            }),
        )),
        signer: Arc::new(LocalSigner::open(&folder.signing_key()).unwrap()),
        limits: LimitPolicy::ByPlan,
    };
    stopping.backups = Some(backups.with_vault(Vault::new(parts)));
    (stopping, reached, may_continue)
}

/// Starts another attempt at the only running backup job.
async fn take_over(platform: &Platform) {
    let later = OffsetDateTime::now_utc() + time::Duration::DAY;
    let mut tx = platform.tenant().await;
    let running = tx.jobs().due_of_kinds(&["backup"], later, later, 10).await.unwrap();
    let [job] = &running[..] else { panic!("{running:?}") };
    assert!(matches!(
        tx.jobs().start(&job.id, later).await.unwrap(),
        JobStart::Run { attempt: 2, .. }
    ));
    tx.commit().await.unwrap();
}

/// A machine pauses for minutes while a file of a snapshot is written, and its job is taken over meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempt_that_has_lost_its_job_writes_nothing_more() {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    let (reached, may_continue) = (Arc::new(Notify::new()), CancellationToken::new());
    let mut services = folder.services(&platform, &[]).await;
    let backups = services.backups.take().unwrap();
    let parts = VaultParts {
        store: Arc::new(HookedStore::new(
            backups.vault().store().clone(),
            Arc::new(DelayedSnapshot {
                reached: reached.clone(),
                may_continue: may_continue.clone(),
            }),
        )),
        catalogue: backups.vault().catalogue().clone(),
        signer: Arc::new(LocalSigner::open(&folder.signing_key()).unwrap()),
        limits: LimitPolicy::ByPlan,
    };
    services.backups = Some(backups.with_vault(Vault::new(parts)));
    let (summary, ()) = tokio::join!(run(&services), async {
        reached.notified().await;
        take_over(&platform).await;
        may_continue.cancel();
    });
    // The backup before it, and the retention.
    assert_eq!((summary.completed, summary.failed, summary.skipped), (2, 0, 1));
    assert_eq!(last_run(&platform, Task::Snapshot).await, None);
    assert_eq!(listed(&platform, &services, RecordKind::Snapshot).await, 0);
    let objects = vault(&services).store().list("snapshots/").await.unwrap();
    assert!(objects.len() <= 1, "the one whose write had begun: {objects:?}");
}

/// A worker is killed while the catalogue's response is missing: the record is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requested_snapshot_that_is_listed_is_not_made_again() {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    let services = folder.services(&platform, &[]).await;
    advance(&platform, &services, Duration::ZERO).await;
    assert_eq!(run(&services).await.failed, 0);
    let id = "backup:snapshot:request:019ab3c2-0000-7000-8000-000000000000";
    let job = NewJob {
        id,
        kind: "backup",
        payload: json!({"task": "snapshot", "requested": true}),
        due_at: OffsetDateTime::now_utc() - time::Duration::MINUTE,
    };
    let mut tx = platform.tenant().await;
    assert!(tx.jobs().enqueue(&job).await.unwrap());
    tx.commit().await.unwrap();
    let (stopping, reached, _) = stopping_at_record(&platform, &folder, true).await;
    tokio::select! {
        summary = run(&stopping) => panic!("{summary:?}"),
        () = reached.notified() => {}
    }
    advance(&platform, &services, Duration::from_secs(600)).await;
    let summary = run(&services).await;
    assert!(summary.completed >= 1 && summary.failed == 0, "{summary:?}");
    let mut tx = platform.tenant().await;
    let job = tx.jobs().get(id).await.unwrap().unwrap();
    assert_eq!((job.state, job.attempts), (JobState::Succeeded, 2));
    let listed = vault(&services).list(server(&platform), RecordKind::Snapshot, 10, None, now(&services));
    let listed = listed.await.unwrap().records;
    let of_request = listed
        .iter()
        .filter(|record| record.message.as_deref().is_some_and(|message| message.ends_with(id)));
    assert_eq!(of_request.count(), 1, "{listed:?}");
}

/// A worker receives the message of a job that this process has taken over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_that_another_process_has_started_since_is_skipped_and_not_failed() {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    let mut state = State::new("a-lineage");
    write_state(&platform, &folder, &mut state).await;
    let (stopping, reached, may_continue) = stopping(&platform, &folder).await;
    let (summary, ()) = tokio::join!(run(&stopping), async {
        reached.notified().await;
        take_over(&platform).await;
        may_continue.cancel();
    });
    // The snapshot and the retention follow.
    assert_eq!((summary.completed, summary.failed, summary.skipped), (2, 0, 1));
    assert_eq!(last_run(&platform, Task::Backup).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backup_without_a_record_is_not_listed_until_the_retention_finds_it_whole() {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    let mut state = State::new("a-lineage");
    write_state(&platform, &folder, &mut state).await;
    let (stopping, reached, _) = stopping(&platform, &folder).await;
    // The run ends where a process would be killed: the object is written, its record is not.
    tokio::select! {
        summary = run(&stopping) => panic!("{summary:?}"),
        () = reached.notified() => {}
    }
    let services = folder.services(&platform, &[]).await;
    assert_eq!(listed(&platform, &services, RecordKind::Backup).await, 0);
    let objects = vault(&services)
        .store()
        .list(&format!("state/{}/", server(&platform)))
        .await
        .unwrap();
    assert_eq!(objects.len(), 1);
    // Later, another process takes the job over, and the retention finds the object.
    advance(&platform, &services, Duration::from_secs(2 * 3_600)).await;
    assert_eq!(run(&services).await.failed, 0);
    assert_eq!(listed(&platform, &services, RecordKind::Backup).await, 2);
    assert_eq!(listed(&platform, &services, RecordKind::Snapshot).await, 1);
}
