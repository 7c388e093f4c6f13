//! Which runs of a community are due.

use arrakis_db::{BackupRun, CommunityId};
use arrakis_domain::Plan;
use arrakis_vault::Task;
use time::{Duration, OffsetDateTime};

use super::{request, scheduled_id};
use crate::failure::Failure;
use crate::jobs::JobRequest;
use crate::services::Services;

/// Pause after the first failed run; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::minutes(10);
/// Longest pause after a failed run.
const MAX_PAUSE: Duration = Duration::hours(6);

/// A run that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DueRun {
    pub(super) task: Task,
    /// The time at which it was due.
    pub(super) slot: OffsetDateTime,
    /// Failed runs since the last completed one.
    pub(super) failures: u32,
}

/// The jobs of a community that are due and not enqueued yet. While a job of a task waits or runs, no other one of this task is due.
///
/// # Errors
/// If Postgres is unavailable.
pub(crate) async fn due_requests(
    services: &Services,
    community: CommunityId,
    now: OffsetDateTime,
) -> Result<Vec<JobRequest>, Failure> {
    let mut tx = services.database.tenant(community).await?;
    let Some(record) = tx.communities().get().await? else {
        return Ok(Vec::new());
    };
    let runs = tx.backup_runs().all().await?;
    let mut requests = Vec::new();
    for due in due_runs(record.plan, &runs, now) {
        let request = request(scheduled_id(due.task, due.slot, due.failures), due.task);
        let on_request = super::on_request(String::new(), due.task);
        let kind = request.kind.name();
        let is_pending = tx.jobs().is_pending(kind, &request.payload).await?
            || tx.jobs().is_pending(kind, &on_request.payload).await?;
        if !is_pending && tx.jobs().get(&request.id).await?.is_none() {
            requests.push(request);
        }
    }
    tx.commit().await?;
    Ok(requests)
}

/// The due runs of a community with this plan. Runs that were missed are one run, that of the newest slot.
pub(super) fn due_runs(plan: Plan, runs: &[BackupRun], now: OffsetDateTime) -> Vec<DueRun> {
    let due = |task: Task| {
        let run = runs.iter().find(|run| run.task == task.as_str());
        let slot = task.due(plan, run.and_then(|run| run.completed_slot), now)?;
        let failures = run.map_or(0, |run| run.consecutive_failures);
        let waits = run.is_some_and(|run| failures > 0 && now < run.last_attempt_at + pause(failures));
        (!waits).then_some(DueRun { task, slot, failures })
    };
    Task::ALL.into_iter().filter_map(due).collect()
}

/// The pause after this many failed runs.
fn pause(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(10);
    (FIRST_PAUSE * (1_i32 << doublings)).min(MAX_PAUSE)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    /// A Wednesday.
    const NOW: OffsetDateTime = datetime!(2026-12-02 12:30 UTC);

    fn completed(task: Task, slot: OffsetDateTime) -> BackupRun {
        BackupRun {
            task: task.as_str().to_owned(),
            completed_slot: Some(slot),
            last_success_at: Some(slot),
            last_attempt_at: slot,
            consecutive_failures: 0,
            last_error: None,
        }
    }

    fn slots(plan: Plan, runs: &[BackupRun], now: OffsetDateTime) -> Vec<(Task, OffsetDateTime)> {
        let due = due_runs(plan, runs, now).into_iter();
        due.map(|due| (due.task, due.slot)).collect()
    }

    #[test]
    fn tasks_that_never_ran_are_due_at_once() {
        assert_eq!(
            slots(Plan::Free, &[], NOW),
            [
                (Task::Backup, datetime!(2026-12-02 03:00 UTC)),
                (Task::Retention, datetime!(2026-12-02 05:00 UTC))
            ]
        );
        assert_eq!(
            slots(Plan::Premium, &[], NOW),
            [
                (Task::Backup, datetime!(2026-12-02 12:00 UTC)),
                (Task::Snapshot, datetime!(2026-11-29 04:00 UTC)),
                (Task::Retention, datetime!(2026-12-02 05:00 UTC))
            ]
        );
    }

    #[test]
    fn missed_runs_are_one_run() {
        let runs = [
            completed(Task::Backup, datetime!(2026-11-20 03:00 UTC)),
            completed(Task::Retention, datetime!(2026-12-02 05:00 UTC)),
        ];
        assert_eq!(
            slots(Plan::Free, &runs, NOW),
            [(Task::Backup, datetime!(2026-12-02 03:00 UTC))]
        );
    }

    #[test]
    fn failed_run_is_due_again_after_a_pause_that_grows() {
        let mut run = completed(Task::Backup, datetime!(2026-12-01 03:00 UTC));
        run.last_attempt_at = NOW;
        let is_due = |run: &BackupRun, after: Duration| {
            let due = due_runs(Plan::Free, std::slice::from_ref(run), NOW + after);
            due.iter()
                .any(|due| due.task == Task::Backup && due.failures == run.consecutive_failures)
        };
        for (failures, minutes) in [(1, 10), (2, 20), (3, 40), (6, 320), (7, 360), (500, 360)] {
            run.consecutive_failures = failures;
            assert!(
                !is_due(&run, Duration::minutes(minutes) - Duration::SECOND),
                "{failures}"
            );
            assert!(is_due(&run, Duration::minutes(minutes)), "{failures}");
        }
    }
}
