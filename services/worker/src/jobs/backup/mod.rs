//! The job `backup`: one task of the scheduled backups of a community's server: a backup (a live export, and the state where gaib keeps it
//! in the store), a snapshot, or the retention. By plan: free daily, premium hourly with a snapshot a week (`arrakis_vault::Task`).
//!
//! Running it twice is safe. A task whose slot is completed in the store's schedule is not repeated. An attempt that follows a killed one
//! uses the backup or snapshot that this one has listed: of a scheduled run by the time of its slot, of a requested one by the id of its job. What it
//! has not listed is in no list, and the retention lists or removes it. Two attempts at once: the earlier one ends before its next write, since each
//! write is preceded by the job's progress (`guard.rs`). At worst there is one export more. The retention is idempotent.
//!
//! Nothing here changes a server, so that backups of a frozen community run. A failed run is recorded, operators are notified, and the leader
//! enqueues another one after a pause that grows. It is a dead letter only where no attempt could record it, and is recorded then, too.
//!
//! While the bot is not in the server, backups and snapshots pause: no run of them has failed. Once a day a backup checks whether it is back, should
//! no event have reported it.

mod due;
mod end;
mod guard;
pub(crate) mod health;
mod run_due;
mod server;
mod tasks;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arrakis_broker::MAX_ATTEMPTS;
use arrakis_contracts::JobKind;
use arrakis_domain::Plan;
use arrakis_runtime::fail_point;
use arrakis_vault::{ServerId, Task, VaultError};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub(crate) use self::due::{due_requests, is_scheduled};
use self::guard::{AttemptGuard, guarded};
pub use self::run_due::{RunSummary, run_due};
pub use self::server::ENDPOINTS;
use self::tasks::{TaskResult, TaskRun};
use super::{JobHandler, JobRequest, JobRun};
use crate::failure::Failure;
use crate::scheduled_backup::Backups;

/// Jobs of this kind that one worker runs at once: a snapshot has the images of a server in memory.
pub(crate) const AT_ONCE: u16 = 4;
/// Interval of the heartbeat, which stores the progress.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// By how much the clock of the worker that runs a job may be behind that of the leader that enqueued it.
const MAX_CLOCK_SKEW: time::Duration = time::Duration::minutes(5);

/// The handler of `backup`.
#[derive(Debug)]
pub struct Backup;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    task: Task,
    /// Whether an operator requested it: it then runs although nothing is due.
    #[serde(default)]
    requested: bool,
}

/// Id of the run of a task that was due at `slot`: `backup:snapshot:2026-11-29T04`. After failed runs it has their number,
/// `backup:snapshot:2026-11-29T04:retry2`.
pub fn scheduled_id(task: Task, slot: OffsetDateTime, failures: u32) -> String {
    let id = format!("backup:{task}:{}T{:02}", slot.date(), slot.hour());
    match failures {
        0 => id,
        failures => format!("{id}:retry{failures}"),
    }
}

/// The slot in the id of a job; `None` in that of a requested one.
fn slot_of(id: &str, task: Task) -> Option<OffsetDateTime> {
    let rest = id.strip_prefix("backup:")?.strip_prefix(task.as_str())?;
    let hour = rest.strip_prefix(':')?.get(..13)?;
    OffsetDateTime::parse(&format!("{hour}:00:00Z"), &Rfc3339).ok()
}

/// The present time, and not before the slot of the job. A job starts up to a second before it is due, and by a clock that is behind the leader's, one
/// of the beginning of a slot would find the slot before completed and end without a run; its id would not be enqueued again.
fn not_before_slot(now: OffsetDateTime, id: &str, task: Task) -> OffsetDateTime {
    match slot_of(id, task) {
        Some(slot) if slot > now && slot - now <= MAX_CLOCK_SKEW => slot,
        _ => now,
    }
}

/// A run of a task, to enqueue.
pub fn request(id: String, task: Task) -> JobRequest {
    JobRequest {
        id,
        kind: JobKind::Backup,
        payload: json!({"task": task}),
    }
}

/// A run of a task that an operator requests, to enqueue.
pub fn on_request(id: String, task: Task) -> JobRequest {
    JobRequest {
        id,
        kind: JobKind::Backup,
        payload: json!({"task": task, "requested": true}),
    }
}

impl Payload {
    fn read(payload: &Value) -> Result<Self, Failure> {
        Self::deserialize(payload).map_err(|error| Failure::permanent(format!("invalid payload of a backup: {error}")))
    }

    /// The time at which the task was due; `None` for a requested one that the plan does not have.
    ///
    /// # Errors
    /// [`Failure::Drop`] for a scheduled task that the plan does not have.
    fn slot(&self, plan: Plan, now: OffsetDateTime) -> Result<Option<OffsetDateTime>, Failure> {
        let slot = self.task.newest_slot(plan, now);
        if slot.is_none() && !self.requested {
            return Err(Failure::drop(format!("the plan {plan} has no scheduled {}", self.task)));
        }
        Ok(slot)
    }
}

/// How an attempt ended that has not failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AttemptEnd {
    /// The task is completed.
    Completed,
    /// The bot is not in the server: there was nothing to read, and that is recorded.
    WithoutBot,
}

/// How an attempt has completed its task.
#[derive(Debug)]
struct Completed {
    /// When the attempt began.
    began: OffsetDateTime,
    /// The time at which the task was due; `None` for one that the plan does not have.
    slot: Option<OffsetDateTime>,
    /// What it has done; `None` if an earlier attempt has completed the task.
    result: Option<TaskResult>,
    took: Duration,
}

/// Counts the steps of a task.
#[derive(Debug, Default)]
struct Steps(AtomicUsize);

impl JobHandler for Backup {
    fn kind(&self) -> JobKind {
        JobKind::Backup
    }

    async fn run(&self, run: &JobRun<'_>) -> Result<(), Failure> {
        attempt(run, run.attempt >= MAX_ATTEMPTS).await?;
        Ok(())
    }

    /// Records the failure where no attempt has.
    async fn failed(&self, run: &JobRun<'_>, error: &str) -> Result<(), Failure> {
        let payload = Payload::read(run.payload)?;
        let slot = payload.slot(run.community.record.plan, run.services.now());
        // A run that the plan does not have was dropped, and has not failed.
        if slot.is_err() {
            return Ok(());
        }
        end::record_failure(run, payload.task, error).await
    }
}

/// Runs an attempt and records its outcome. `is_last`: no retry follows, so that a transient failure is recorded, too.
async fn attempt(run: &JobRun<'_>, is_last: bool) -> Result<AttemptEnd, Failure> {
    let payload = Payload::read(run.payload)?;
    let Some(backups) = &run.services.backups else {
        return Err(Failure::retry(
            "BACKUP_STORE of this worker is not set, and another worker has enqueued a backup: set it for all workers",
        ));
    };
    let began = run.services.now();
    match Box::pin(complete(run, backups, &payload, began)).await {
        Err(failure) if end::is_absence(&failure) => {
            end::end_without_bot(run, backups, &payload, began, &failure).await
        }
        result => {
            end::record(run, backups, payload.task, result, is_last).await?;
            Ok(AttemptEnd::Completed)
        }
    }
}

/// Completes the task: its work, then the schedule in the store.
async fn complete(
    run: &JobRun<'_>,
    backups: &Backups,
    payload: &Payload,
    began: OffsetDateTime,
) -> Result<Completed, Failure> {
    let started = Instant::now();
    let (task, plan) = (payload.task, run.community.record.plan);
    // By a wrong clock of this machine, the retention would expire what the plan keeps.
    if task == Task::Retention && run.services.discord.clock_offset_ms().is_none() {
        run.services.probe_discord().await?;
    }
    let now = not_before_slot(run.services.now(), run.id, task);
    let server = ServerId::new(run.community.guild().get());
    let slot = payload.slot(plan, now)?;
    run.progress(0, None).await?;
    let is_completed = match slot {
        Some(slot) if !payload.requested => is_completed(backups, server, task, slot).await?,
        _ => false,
    };
    if is_completed {
        let took = started.elapsed();
        return Ok(Completed {
            began,
            slot,
            result: None,
            took,
        });
    }
    // The store's records have the plan, which decides how long they are kept.
    if backups.vault.plan(server).await.map_err(failure)? != plan {
        backups.vault.set_plan(server, plan).await.map_err(failure)?;
    }
    let steps = Arc::new(Steps::default());
    let guard = Arc::new(AttemptGuard::of(run, steps.clone()));
    let vault = guarded(&backups.vault, &guard);
    let task_run = TaskRun {
        job: run,
        backups,
        vault: &vault,
        server,
        since: slot.filter(|_| !payload.requested),
        requested: payload.requested,
        now,
        steps: &steps,
    };
    let result = tokio::select! {
        result = Box::pin(task_run.run(task)) => result,
        failure = heartbeat(run, &steps) => return Err(failure),
    };
    let result = result.map_err(|failure| guard.failure().unwrap_or(failure))?;
    if let Some(slot) = slot {
        let completed = vault.complete_run(server, task, slot).await;
        completed.map_err(|error| guard.failure().unwrap_or_else(|| failure(error)))?;
    }
    fail_point::hit_at("worker.backup.completed", &[task.as_str()]).await;
    Ok(Completed {
        began,
        slot,
        result: Some(result),
        took: started.elapsed(),
    })
}

/// Whether the store's schedule has this slot, because an earlier attempt has completed the task.
async fn is_completed(backups: &Backups, server: ServerId, task: Task, slot: OffsetDateTime) -> Result<bool, Failure> {
    match backups.vault.schedule(server).await {
        Ok(schedule) => {
            let completed = schedule.completed.get(&task);
            Ok(completed.is_some_and(|completed| completed.0 >= slot))
        }
        // The run replaces it.
        Err(error) if error.is_damage() => Ok(false),
        Err(error) => Err(failure(error)),
    }
}

/// Stores the progress for as long as it is polled. Returns when this attempt must end.
async fn heartbeat(run: &JobRun<'_>, steps: &Steps) -> Failure {
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        match run.progress(steps.0.load(Ordering::Relaxed), None).await {
            Ok(()) => {}
            Err(Failure::Retry(error)) => tracing::warn!(%error, "the progress of a backup was not stored"),
            Err(failure) => return failure,
        }
    }
}

/// What happens to a run after an error of the vault.
fn failure(error: VaultError) -> Failure {
    if error.is_transient() {
        Failure::Retry(error.into())
    } else {
        Failure::Permanent(error.into())
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn ids_contain_task_slot_and_number_of_the_retry() {
        let slot = datetime!(2026-11-29 04:00 UTC);
        assert_eq!(scheduled_id(Task::Snapshot, slot, 0), "backup:snapshot:2026-11-29T04");
        assert_eq!(
            scheduled_id(Task::Backup, slot, 2),
            "backup:backup:2026-11-29T04:retry2"
        );
    }

    #[test]
    fn clock_behind_the_leaders_runs_the_slot_of_the_job() {
        let slot = datetime!(2026-11-29 04:00 UTC);
        let at = |now, id: &str| not_before_slot(now, id, Task::Backup);
        for id in [
            scheduled_id(Task::Backup, slot, 0),
            scheduled_id(Task::Backup, slot, 2),
            format!("{}~1", scheduled_id(Task::Backup, slot, 0)),
        ] {
            assert_eq!(at(slot - time::Duration::SECOND, &id), slot, "{id}");
            let later = slot + time::Duration::HOUR;
            assert_eq!(at(later, &id), later, "{id}");
            // A leader with a wrong clock completes no slots of the future.
            let day_before = slot - time::Duration::DAY;
            assert_eq!(at(day_before, &id), day_before, "{id}");
        }
        let id = "backup:backup:request:019ab3c2-0000-7000-8000-000000000000";
        assert_eq!(at(slot, id), slot);
    }

    #[test]
    fn payload_is_read_as_it_is_enqueued() {
        for task in Task::ALL {
            let payload = Payload::deserialize(&request("x".to_owned(), task).payload).unwrap();
            assert_eq!((payload.task, payload.requested), (task, false));
            let payload = Payload::deserialize(&on_request("x".to_owned(), task).payload).unwrap();
            assert_eq!((payload.task, payload.requested), (task, true));
        }
    }
}
