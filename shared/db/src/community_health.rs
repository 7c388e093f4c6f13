//! The health of a community: its jobs, and the problems that its audit log records.

use time::OffsetDateTime;

use crate::column::Column;
use crate::{DbError, TenantTx, named_query::named};

/// Jobs of a community that have not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenJobs {
    /// Created; no attempt has begun.
    pub queued: u32,
    /// An attempt has begun.
    pub running: u32,
    /// Due again after an attempt that failed.
    pub waiting: u32,
    /// Since when the job that is due longest waits; `None` when none is due.
    pub due_since: Option<OffsetDateTime>,
}

/// Jobs of one kind that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedJobs {
    /// Their kind.
    pub kind: String,
    /// Their number.
    pub count: u32,
    /// When the last one failed.
    pub last_at: OffsetDateTime,
    /// Its error.
    pub last_error: String,
}

/// Audit entries of one action that report a problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedProblem {
    /// The action: `role.broken`.
    pub action: String,
    /// Their number.
    pub count: u32,
    /// When the last one was written.
    pub last_at: OffsetDateTime,
    /// Its subject.
    pub last_subject: String,
    /// Its reason.
    pub last_reason: Option<String>,
}

impl TenantTx {
    /// The community's jobs that have not ended.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn open_jobs(&mut self, now: OffsetDateTime) -> Result<OpenJobs, DbError> {
        let row = named!(
            "community_health.open_jobs",
            sqlx::query!(
                r#"select count(*) filter (where state = 'queued') as "queued!",
                          count(*) filter (where state = 'running') as "running!",
                          count(*) filter (where state = 'waiting') as "waiting!",
                          min(due_at) filter (where state in ('queued', 'waiting') and due_at <= $2) as "due_since?"
                     from jobs where community_id = $1 and state in ('queued', 'running', 'waiting')"#,
                self.community.uuid(),
                now
            )
            .fetch_one(&mut *self.transaction)
        )?;
        let count = |number| Column("jobs", "count").count(number);
        Ok(OpenJobs {
            queued: count(row.queued)?,
            running: count(row.running)?,
            waiting: count(row.waiting)?,
            due_since: row.due_since,
        })
    }

    /// The community's jobs that failed after `since`, by kind, the kind that failed last first.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn failed_jobs(&mut self, since: OffsetDateTime) -> Result<Vec<FailedJobs>, DbError> {
        let rows = named!(
            "community_health.failed_jobs",
            sqlx::query!(
                r#"select kind, count(*) as "count!", max(finished_at) as "last_at!",
                          (array_agg(error order by finished_at desc))[1] as "last_error!"
                     from jobs where community_id = $1 and state = 'failed' and finished_at > $2
                    group by kind order by max(finished_at) desc"#,
                self.community.uuid(),
                since
            )
            .fetch_all(&mut *self.transaction)
        )?;
        rows.into_iter()
            .map(|row| {
                Ok(FailedJobs {
                    kind: row.kind,
                    count: Column("jobs", "count").count(row.count)?,
                    last_at: row.last_at,
                    last_error: row.last_error,
                })
            })
            .collect()
    }

    /// The audit entries after `since` that report a problem, by action, the latest action first: `*.broken`, `*.outcome_unknown`,
    /// `*.not_believed`.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn recorded_problems(&mut self, since: OffsetDateTime) -> Result<Vec<RecordedProblem>, DbError> {
        let rows = named!(
            "community_health.recorded_problems",
            sqlx::query!(
                r#"select action, count(*) as "count!", max(at) as "last_at!",
                          (array_agg(subject order by at desc, entry_id desc))[1] as "last_subject!",
                          (array_agg(reason order by at desc, entry_id desc))[1] as "last_reason?"
                     from audit_log
                    where community_id = $1 and at > $2 and action ~ '\.([a-z]+_)*(broken|outcome_unknown|not_believed)$'
                    group by action order by max(at) desc"#,
                self.community.uuid(),
                since
            )
            .fetch_all(&mut *self.transaction)
        )?;
        rows.into_iter()
            .map(|row| {
                Ok(RecordedProblem {
                    action: row.action,
                    count: Column("audit_log", "count").count(row.count)?,
                    last_at: row.last_at,
                    last_subject: row.last_subject,
                    last_reason: row.last_reason,
                })
            })
            .collect()
    }
}
