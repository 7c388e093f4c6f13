//! Which runs of a community are due.

use arrakis_db::{BackupRun, BotAbsence, CommunityId, DbError, TenantTx};
use arrakis_domain::Plan;
use arrakis_vault::Task;
use time::{Duration, OffsetDateTime};

use super::{request, scheduled_id};
use crate::failure::Failure;
use crate::jobs::{JobRequest, copy_id};
use crate::services::Services;

/// Pause after the first failed run; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::minutes(10);
/// Longest pause after a failed run.
const MAX_PAUSE: Duration = Duration::hours(6);
/// Interval at which a backup checks whether the bot is back in the server.
const ABSENCE_CHECK: Duration = Duration::DAY;
/// Most runs of a task for one slot that ended neither completed nor failed.
const MAX_COPIES: usize = 10;

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
    let mut requests = Vec::new();
    for due in read_due(&mut tx, record.plan, now).await? {
        let id = scheduled_id(due.task, due.slot, due.failures);
        let mut request = request(id, due.task);
        let on_request = super::on_request(String::new(), due.task);
        let kind = request.kind.name();
        let is_pending = tx.jobs().is_pending(kind, &request.payload).await?
            || tx.jobs().is_pending(kind, &on_request.payload).await?;
        if is_pending {
            continue;
        }
        if let Some(id) = unused_id(&mut tx, &request.id).await? {
            // The job of the first id may have ended since the runs were read.
            let is_still_due = id == request.id || read_due(&mut tx, record.plan, now).await?.contains(&due);
            request.id = id;
            if is_still_due {
                requests.push(request);
            }
        }
    }
    tx.commit().await?;
    Ok(requests)
}

async fn read_due(tx: &mut TenantTx, plan: Plan, now: OffsetDateTime) -> Result<Vec<DueRun>, DbError> {
    let runs = tx.backup_runs().all().await?;
    let absence = tx.bot_presence().absence().await?;
    Ok(due_runs(plan, &runs, absence.as_ref(), now))
}

/// This id, or that of a copy where its job has ended although the slot is due: the plan did not have the task when the job ran. `None` while one
/// waits or runs, and after many copies.
async fn unused_id(tx: &mut TenantTx, id: &str) -> Result<Option<String>, DbError> {
    let mut id = id.to_owned();
    for _ in 0..=MAX_COPIES {
        match tx.jobs().get(&id).await? {
            None => return Ok(Some(id)),
            Some(job) if job.state.is_final() => id = copy_id(&id),
            Some(_) => return Ok(None),
        }
    }
    Ok(None)
}

/// The due runs of a community with this plan. Runs that were missed are one run, that of the newest slot.
pub(super) fn due_runs(
    plan: Plan,
    runs: &[BackupRun],
    absence: Option<&BotAbsence>,
    now: OffsetDateTime,
) -> Vec<DueRun> {
    let due = |task: Task| {
        if absence.is_some_and(|absence| is_paused(task) && !checks_absence(task, absence, now)) {
            return None;
        }
        let run = runs.iter().find(|run| run.task == task.as_str());
        let slot = task.due(plan, run.and_then(|run| run.completed_slot), now)?;
        let failures = run.map_or(0, |run| run.consecutive_failures);
        let waits = run.is_some_and(|run| failures > 0 && now < run.last_attempt_at + pause(failures));
        (!waits).then_some(DueRun { task, slot, failures })
    };
    Task::ALL.into_iter().filter_map(due).collect()
}

/// Whether runs of a task are scheduled: the plan has it, and the bot is in the server where the task reads it.
pub(crate) fn is_scheduled(task: Task, plan: Plan, absence: Option<&BotAbsence>, now: OffsetDateTime) -> bool {
    task.newest_slot(plan, now).is_some() && !(absence.is_some() && is_paused(task))
}

/// Whether a task pauses while the bot is not in the server. The retention does not read the server: what is stored expires as before.
const fn is_paused(task: Task) -> bool {
    match task {
        Task::Backup | Task::Snapshot => true,
        Task::Retention => false,
    }
}

/// Whether a run checks that the bot is still absent.
fn checks_absence(task: Task, absence: &BotAbsence, now: OffsetDateTime) -> bool {
    task == Task::Backup && absence.seen_at + ABSENCE_CHECK <= now
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
        let due = due_runs(plan, runs, None, now).into_iter();
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
    fn without_the_bot_only_the_retention_and_a_daily_check_are_due() {
        let tasks = |seen: Duration| {
            let absence = BotAbsence {
                since: datetime!(2026-11-01 00:00 UTC),
                seen_at: NOW - seen,
            };
            let due = due_runs(Plan::Premium, &[], Some(&absence), NOW).into_iter();
            due.map(|due| due.task).collect::<Vec<_>>()
        };
        assert_eq!(tasks(Duration::DAY - Duration::SECOND), [Task::Retention]);
        assert_eq!(tasks(Duration::DAY), [Task::Backup, Task::Retention]);
    }

    #[test]
    fn failed_run_is_due_again_after_a_pause_that_grows() {
        let mut run = completed(Task::Backup, datetime!(2026-12-01 03:00 UTC));
        run.last_attempt_at = NOW;
        let is_due = |run: &BackupRun, after: Duration| {
            let due = due_runs(Plan::Free, std::slice::from_ref(run), None, NOW + after);
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
