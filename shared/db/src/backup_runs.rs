//! Scheduled backups: the last run of each task of a community.
//!
//! A task is named as the store's schedule names it: `backup`, `snapshot`, `retention`. The rows decide what is due; the store has a
//! copy of the completed slots.

use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::column::Column;
use crate::{CommunityId, DbError, TenantTx, named_query::named};

/// The last run of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupRun {
    /// Name of the task.
    pub task: String,
    /// The time at which the last completed run was due; `None` before the first one.
    pub completed_slot: Option<OffsetDateTime>,
    /// When the last completed run ended.
    pub last_success_at: Option<OffsetDateTime>,
    /// When the last run ended, also one that failed.
    pub last_attempt_at: OffsetDateTime,
    /// Runs that failed since the last completed one.
    pub consecutive_failures: u32,
    /// Error of the last run, if it failed.
    pub last_error: Option<String>,
}

/// A task that is due without a completed run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueTask {
    /// Name of the task.
    pub task: String,
    /// Since when it is due for this community.
    pub since: OffsetDateTime,
}

/// Queries about the scheduled backups of a community.
#[derive(Debug)]
pub struct BackupRuns<'a> {
    connection: &'a mut PgConnection,
    community: CommunityId,
}

impl TenantTx {
    /// Queries about the scheduled backups of this community.
    pub fn backup_runs(&mut self) -> BackupRuns<'_> {
        BackupRuns {
            connection: &mut self.transaction,
            community: self.community,
        }
    }
}

impl BackupRuns<'_> {
    /// The last run of each task that has run, by task.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn all(&mut self) -> Result<Vec<BackupRun>, DbError> {
        let rows = named!(
            "backup_run.list",
            sqlx::query!(
                "select task, completed_slot, last_success_at, last_attempt_at, consecutive_failures, last_error
                   from backup_runs where community_id = $1 order by task",
                self.community.uuid()
            )
            .fetch_all(&mut *self.connection)
        )?;
        rows.into_iter()
            .map(|row| {
                let failures = Column("backup_runs", "consecutive_failures");
                Ok(BackupRun {
                    task: row.task,
                    completed_slot: row.completed_slot,
                    last_success_at: row.last_success_at,
                    last_attempt_at: row.last_attempt_at,
                    consecutive_failures: failures.count(i64::from(row.consecutive_failures))?,
                    last_error: row.last_error,
                })
            })
            .collect()
    }

    /// The tasks that are due without a completed run, by task, as [`BackupRuns::mark_due`] has recorded them.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn due(&mut self) -> Result<Vec<DueTask>, DbError> {
        named!(
            "backup_due.list",
            sqlx::query_as!(
                DueTask,
                "select task, due_since as since from backup_due where community_id = $1 order by task",
                self.community.uuid()
            )
            .fetch_all(&mut *self.connection)
        )
    }

    /// Records that the task is due, unless that is recorded.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn mark_due(&mut self, task: &str, now: OffsetDateTime) -> Result<(), DbError> {
        named!(
            "backup_due.mark",
            sqlx::query!(
                "insert into backup_due (community_id, task, due_since) values ($1, $2, $3) on conflict do nothing",
                self.community.uuid(),
                task,
                now
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    /// Records that the task is not due.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn clear_due(&mut self, task: &str) -> Result<(), DbError> {
        named!(
            "backup_due.clear",
            sqlx::query!(
                "delete from backup_due where community_id = $1 and task = $2",
                self.community.uuid(),
                task
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    /// Records a completed run of the task that was due at `slot`. A slot before the recorded one does not replace it.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn record_success(
        &mut self,
        task: &str,
        slot: OffsetDateTime,
        now: OffsetDateTime,
    ) -> Result<(), DbError> {
        named!(
            "backup_run.succeed",
            sqlx::query!(
                "insert into backup_runs (community_id, task, completed_slot, last_success_at, last_attempt_at)
                 values ($1, $2, $3, $4, $4)
                 on conflict (community_id, task) do update
                    set completed_slot = greatest(backup_runs.completed_slot, excluded.completed_slot),
                        last_success_at = excluded.last_success_at, last_attempt_at = excluded.last_attempt_at,
                        consecutive_failures = 0, last_error = null",
                self.community.uuid(),
                task,
                slot,
                now
            )
            .execute(&mut *self.connection)
        )?;
        self.clear_due(task).await
    }

    /// Records a run of the task that failed; returns the number of failures since the last completed run.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn record_failure(&mut self, task: &str, error: &str, now: OffsetDateTime) -> Result<u32, DbError> {
        let failures = named!(
            "backup_run.fail",
            sqlx::query_scalar!(
                "insert into backup_runs (community_id, task, last_attempt_at, consecutive_failures, last_error)
                 values ($1, $2, $3, 1, $4)
                 on conflict (community_id, task) do update
                    set last_attempt_at = excluded.last_attempt_at, last_error = excluded.last_error,
                        consecutive_failures = backup_runs.consecutive_failures + 1
                 returning consecutive_failures",
                self.community.uuid(),
                task,
                now,
                error
            )
            .fetch_one(&mut *self.connection)
        )?;
        Column("backup_runs", "consecutive_failures").count(i64::from(failures))
    }
}
