//! Records how an attempt ended, in PostgreSQL, metrics, the log and notices. A notice is stored with the outcome, and sent later.

use arrakis_iac_apply::ReadError;
use arrakis_vault::{ServerId, Task};
use time::OffsetDateTime;

use super::tasks::TaskResult;
use super::{AttemptEnd, Completed, Payload};
use crate::failure::Failure;
use crate::jobs::JobRun;
use crate::scheduled_backup::{Backups, Notice, NoticeTask, RunOutcome};

/// Records the outcome of an attempt. A transient failure is recorded only after the last attempt; until then it is retried.
///
/// # Errors
/// What happens to the job. A recorded failure is a [`Failure::Drop`]: the leader enqueues another run.
pub(super) async fn record(
    run: &JobRun<'_>,
    backups: &Backups,
    task: Task,
    result: Result<Completed, Failure>,
    is_last: bool,
) -> Result<(), Failure> {
    let metrics = &run.services.metrics.backups;
    metrics.count_run(task, result.as_ref().map_or_else(Failure::class, |_| "ok"));
    match result {
        Ok(completed) => {
            record_success(run, backups, task, &completed).await?;
            if let Some(result) = completed.result {
                metrics.completed(task, completed.took, result.bytes);
                log_success(run, task, &result);
            }
            backups.changed.notify_one();
            Ok(())
        }
        Err(Failure::Drop(why)) => Err(Failure::Drop(why)),
        Err(Failure::Retry(error)) if !is_last => Err(Failure::Retry(error)),
        Err(failure) => {
            let error = failure.to_string();
            record_failure(run, task, &error).await?;
            Err(Failure::Drop(error))
        }
    }
}

async fn record_success(run: &JobRun<'_>, backups: &Backups, task: Task, completed: &Completed) -> Result<(), Failure> {
    let now = run.services.now();
    let mut tx = run.services.database.tenant(run.community.id()).await?;
    if let Some(slot) = completed.slot {
        tx.backup_runs().record_success(task.as_str(), slot, now).await?;
    }
    if let Some(result) = &completed.result {
        // The retention does not read the server.
        if task != Task::Retention {
            tx.bot_presence().record_present(completed.began).await?;
        }
        let id = format!("{}#completed", run.id);
        backups
            .notifier
            .store(&mut tx, &id, &success_notice(run, task, result), now)
            .await?;
    }
    tx.commit().await?;
    Ok(())
}

fn log_success(run: &JobRun<'_>, task: Task, result: &TaskResult) {
    let detail = result.detail.join("; ");
    let guild = run.community.guild();
    tracing::info!(%guild, task = task.as_str(), bytes = result.bytes, detail, "a scheduled backup has completed");
    for warning in &result.warnings {
        tracing::error!(%guild, task = task.as_str(), warning, "a scheduled backup needs an operator");
    }
}

fn success_notice(run: &JobRun<'_>, task: Task, result: &TaskResult) -> Notice {
    if result.warnings.is_empty() {
        notice(run, task, RunOutcome::Success, result.detail.join("; "))
    } else {
        notice(run, task, RunOutcome::Failure, result.warnings.join("\n"))
    }
}

/// Whether a run has failed because the bot is not in the server.
pub(super) fn is_absence(failure: &Failure) -> bool {
    match failure {
        Failure::Permanent(error) => matches!(error.downcast_ref(), Some(ReadError::NoServer(_))),
        _ => false,
    }
}

/// Records that the bot is not in the server, as the response to this run shows, which is no failure of it. `seen_at`: before the server was
/// read.
///
/// # Errors
/// If Postgres is unavailable; [`Failure::Drop`] for a run that an operator has requested.
pub(super) async fn end_without_bot(
    run: &JobRun<'_>,
    backups: &Backups,
    payload: &Payload,
    seen_at: OffsetDateTime,
    failure: &Failure,
) -> Result<AttemptEnd, Failure> {
    let task = payload.task;
    let mut tx = run.services.database.tenant(run.community.id()).await?;
    // A requested run fails as a job, and is not recorded as a failed run of the task for that.
    tx.claim(&failed_claim(run.id)).await?;
    let is_new = run
        .services
        .record_absence(&mut tx, &run.community.record, seen_at)
        .await?;
    tx.commit().await?;
    let guild = run.community.guild();
    if is_new {
        tracing::warn!(%guild, task = task.as_str(), "the bot is not in the server; its backups and snapshots pause");
    }
    run.services.metrics.backups.count_run(task, "drop");
    backups.changed.notify_one();
    if payload.requested {
        return Err(Failure::Drop(failure.to_string()));
    }
    Ok(AttemptEnd::WithoutBot)
}

/// The claim that what follows from the failure of a run was recorded.
fn failed_claim(id: &str) -> String {
    format!("{id}#failed")
}

/// Records the failure of a run, once for each job, with a notice to operators.
///
/// # Errors
/// If Postgres is unavailable.
pub(super) async fn record_failure(run: &JobRun<'_>, task: Task, error: &str) -> Result<(), Failure> {
    let now = run.services.now();
    let claim = failed_claim(run.id);
    let mut tx = run.services.database.tenant(run.community.id()).await?;
    if !tx.claim(&claim).await? {
        return Ok(());
    }
    let failures = tx.backup_runs().record_failure(task.as_str(), error, now).await?;
    // A worker without a store is one of the causes.
    if let Some(backups) = &run.services.backups {
        let notice = notice(run, task, RunOutcome::Failure, error.to_owned());
        backups.notifier.store(&mut tx, &claim, &notice, now).await?;
    }
    tx.commit().await?;
    let guild = run.community.guild();
    tracing::error!(%guild, task = task.as_str(), failures, error, "a scheduled backup failed; it is repeated after a pause");
    if let Some(backups) = &run.services.backups {
        backups.changed.notify_one();
    }
    Ok(())
}

fn notice(run: &JobRun<'_>, task: Task, outcome: RunOutcome, detail: String) -> Notice {
    let record = &run.community.record;
    Notice {
        outcome,
        task: NoticeTask::Backup(task),
        server: ServerId::new(run.community.guild().get()),
        community: record.name.clone(),
        plan: record.plan,
        detail,
        at: run.services.now(),
    }
}
