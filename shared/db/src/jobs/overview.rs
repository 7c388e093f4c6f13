//! The jobs that the status page shows: those that have not ended, and those that failed lately.

use time::OffsetDateTime;

use super::{JobRow, Row};
use crate::{Admin, DbError, TenantTx, named_query::named};

/// A job of any community, or of the platform.
#[derive(Clone, Debug, PartialEq)]
pub struct OverviewJob {
    /// Name of its community; `None` for a job of the platform.
    pub community: Option<String>,
    /// The job.
    pub job: JobRow,
}

impl TenantTx {
    /// The community's jobs that have not ended or failed after this time: running ones first, then failed ones, at most 100.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn overview_jobs(&mut self, failed_since: OffsetDateTime) -> Result<Vec<JobRow>, DbError> {
        let rows = named!(
            "job.overview",
            sqlx::query_as!(
                Row,
                "select job_id, kind, state, payload, attempts, progress_done, progress_total, error, due_at, created_at,
                        started_at, finished_at
                   from jobs
                  where community_id = $1
                    and (state in ('queued', 'running', 'waiting') or (state = 'failed' and finished_at > $2))
                  order by case state when 'running' then 0 when 'failed' then 1 else 2 end, due_at, job_id
                  limit 100",
                self.community.uuid(),
                failed_since
            )
            .fetch_all(&mut *self.transaction)
        )?;
        rows.into_iter().map(JobRow::try_from).collect()
    }
}

/// A row with the name of its community.
struct NamedRow {
    community: Option<String>,
    job_id: String,
    kind: String,
    state: String,
    payload: serde_json::Value,
    attempts: i32,
    progress_done: i32,
    progress_total: Option<i32>,
    error: Option<String>,
    due_at: OffsetDateTime,
    created_at: OffsetDateTime,
    started_at: Option<OffsetDateTime>,
    finished_at: Option<OffsetDateTime>,
}

impl TryFrom<NamedRow> for OverviewJob {
    type Error = DbError;

    fn try_from(row: NamedRow) -> Result<Self, DbError> {
        let job = Row {
            job_id: row.job_id,
            kind: row.kind,
            state: row.state,
            payload: row.payload,
            attempts: row.attempts,
            progress_done: row.progress_done,
            progress_total: row.progress_total,
            error: row.error,
            due_at: row.due_at,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
        };
        Ok(Self {
            community: row.community,
            job: JobRow::try_from(job)?,
        })
    }
}

impl Admin {
    /// The jobs of all communities and of the platform that have not ended or failed after this time: running ones first, then failed ones, at
    /// most 200.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn overview_jobs(&self, failed_since: OffsetDateTime) -> Result<Vec<OverviewJob>, DbError> {
        let mut connection = self.database().connection("job.overview_of_all").await?;
        let rows = named!(
            "job.overview_of_all",
            sqlx::query_as!(
                NamedRow,
                r#"select community as "community?", job_id as "job_id!", kind as "kind!", state as "state!", payload as "payload!",
                          attempts as "attempts!", progress_done as "progress_done!", progress_total as "progress_total?",
                          error as "error?", due_at as "due_at!", created_at as "created_at!", started_at as "started_at?",
                          finished_at as "finished_at?"
                     from (select c.name as community, j.job_id, j.kind, j.state, j.payload, j.attempts, j.progress_done,
                                  j.progress_total, j.error, j.due_at, j.created_at, j.started_at, j.finished_at
                             from jobs j join communities c on c.community_id = j.community_id
                            where j.state in ('queued', 'running', 'waiting') or (j.state = 'failed' and j.finished_at > $1)
                            union all
                           select null, job_id, kind, state, payload, attempts, progress_done, progress_total, error, due_at,
                                  created_at, started_at, finished_at
                             from platform_jobs
                            where state in ('queued', 'running', 'waiting') or (state = 'failed' and finished_at > $1)) as every_job
                    order by case state when 'running' then 0 when 'failed' then 1 else 2 end, due_at, job_id
                    limit 200"#,
                failed_since
            )
            .fetch_all(&mut *connection)
        )?;
        connection.release();
        rows.into_iter().map(OverviewJob::try_from).collect()
    }
}
