//! Runs that no attempt could record: their jobs are dead letters, the failure is recorded, and another run follows.

use std::time::Duration;

use arrakis_broker::{Message, PublishOutcome};
use arrakis_contracts::labels::HeaderValue;
use arrakis_contracts::{Job, JobKind, headers, names};
use arrakis_db::JobState;
use arrakis_domain::Plan;
use arrakis_test_support::eventually;
use arrakis_vault::Task;
use arrakis_worker::jobs::{self, backup};

use super::setup::{BackupFolder, advance, last_run, now, run};
use crate::platform::Platform;

/// Attempts of a message before the last one.
const BEFORE_THE_LAST: i64 = 3;
/// Attempts of a job behind which each further one fails it.
const MOST_STARTS: i64 = 12;

async fn until(platform: &Platform, job: &str, state: JobState) {
    let is_so = || async {
        let row = platform.tenant().await.jobs().get(job).await.unwrap();
        row.is_some_and(|row| row.state == state)
    };
    eventually(is_so, format!("the job to be {state:?}")).await;
}

/// Makes the job due after this number of starts, and delivers its message after this number of attempts.
async fn deliver(platform: &Platform, job: &str, starts: i64, attempts: i64) {
    let community = platform.community.id;
    let statement = format!(
        "set app.current_tenant = '{community}'; update jobs set due_at = now(), attempts = {starts} where job_id = '{job}'"
    );
    platform.sql(&statement).await;
    let body = Job::new(job, JobKind::Backup, Some(community.to_string())).encode();
    let id = format!("{community}:{job}");
    let mut message = Message::new(names::JOBS, JobKind::Backup.name(), id, "job", body);
    let attempts = HeaderValue::Integer(attempts);
    message.headers.insert(headers::ATTEMPTS.to_owned(), attempts);
    let published = platform.publisher.publish(&message).await.unwrap();
    assert_eq!(published, PublishOutcome::Confirmed);
}

/// The last retry of a worker without a store fails, or a run kills its worker each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_that_ends_as_a_dead_letter_is_recorded_and_repeated_after_a_pause() {
    let cases = [
        (1, BEFORE_THE_LAST, "BACKUP_STORE of this worker is not set"),
        (MOST_STARTS, 1, "it kills its worker"),
    ];
    for (starts, attempts, error) in cases {
        let (platform, worker) = Platform::with_worker().await;
        let folder = BackupFolder::create();
        let services = folder.services(&platform, &[]).await;
        let slot = Task::Backup.newest_slot(Plan::Premium, now(&services)).unwrap();
        let request = backup::request(backup::scheduled_id(Task::Backup, slot, 0), Task::Backup);
        jobs::enqueue(&services, platform.community.id, &request).await.unwrap();
        until(&platform, &request.id, JobState::Waiting).await;
        platform.take("arrakis.retry.5s").await;
        assert_eq!(last_run(&platform, Task::Backup).await, None, "a retry follows");

        deliver(&platform, &request.id, starts, attempts).await;
        until(&platform, &request.id, JobState::Failed).await;
        let recorded = || async { last_run(&platform, Task::Backup).await };
        let recorded = eventually(recorded, "the failure to be recorded").await;
        assert_eq!((recorded.consecutive_failures, recorded.completed_slot), (1, None));
        let found = recorded.last_error.unwrap();
        assert!(found.contains(error), "{found}");
        platform.until_messages(names::DEAD_LETTERS, 1).await;
        worker.stop().await.unwrap();

        assert_eq!(run(&services).await.failed, 0);
        let waiting = last_run(&platform, Task::Backup).await.unwrap();
        assert_eq!(waiting.consecutive_failures, 1, "the pause is not over");
        advance(&platform, &services, Duration::from_secs(11 * 60)).await;
        assert_eq!(run(&services).await.failed, 0);
        let repeated = last_run(&platform, Task::Backup).await.unwrap();
        assert_eq!((repeated.consecutive_failures, repeated.last_error), (0, None));
        assert!(repeated.completed_slot.is_some());
    }
}
