//! Records how an attempt ended, in PostgreSQL, metrics, the log and notices.

use arrakis_vault::{ServerId, Task};

use super::Completed;
use super::tasks::TaskResult;
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
            record_success(run, task, &completed).await?;
            if let Some(result) = completed.result {
                metrics.completed(task, completed.took, result.bytes);
                report_success(run, backups, task, &result).await;
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

async fn record_success(run: &JobRun<'_>, task: Task, completed: &Completed) -> Result<(), Failure> {
    let Some(slot) = completed.slot else {
        return Ok(());
    };
    let mut tx = run.services.database.tenant(run.community.id()).await?;
    tx.backup_runs()
        .record_success(task.as_str(), slot, run.services.now())
        .await?;
    tx.commit().await?;
    Ok(())
}

async fn report_success(run: &JobRun<'_>, backups: &Backups, task: Task, result: &TaskResult) {
    let detail = result.detail.join("; ");
    let guild = run.community.guild();
    tracing::info!(%guild, task = task.as_str(), bytes = result.bytes, detail, "a scheduled backup has completed");
    for warning in &result.warnings {
        tracing::error!(%guild, task = task.as_str(), warning, "a scheduled backup needs an operator");
    }
    let notice = if result.warnings.is_empty() {
        notice(run, task, RunOutcome::Success, detail)
    } else {
        notice(run, task, RunOutcome::Failure, result.warnings.join("\n"))
    };
    backups.notifier.send(&notice, &run.services.metrics.backups).await;
}

/// Records the failure of a run, once for each job, and notifies operators.
///
/// # Errors
/// If Postgres is unavailable.
pub(super) async fn record_failure(run: &JobRun<'_>, task: Task, error: &str) -> Result<(), Failure> {
    let mut tx = run.services.database.tenant(run.community.id()).await?;
    if !tx.claim(&format!("{}#failed", run.id)).await? {
        return Ok(());
    }
    let failures = tx
        .backup_runs()
        .record_failure(task.as_str(), error, run.services.now())
        .await?;
    tx.commit().await?;
    let guild = run.community.guild();
    tracing::error!(%guild, task = task.as_str(), failures, error, "a scheduled backup failed; it is repeated after a pause");
    // A worker without a store is one of the causes.
    let Some(backups) = &run.services.backups else {
        return Ok(());
    };
    backups.changed.notify_one();
    let notice = notice(run, task, RunOutcome::Failure, error.to_owned());
    backups.notifier.send(&notice, &run.services.metrics.backups).await;
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
