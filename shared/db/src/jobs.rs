//! Jobs: one row each. `docs/jobs.md` has the diagram of states.
//!
//! The queue's message only wakes a worker; the row decides. [`TenantTx::jobs`] are a community's jobs, [`GlobalTx::jobs`]
//! the platform's, in tables of the same columns. Each write names the number of the attempt, so that an earlier attempt
//! that still runs changes nothing.

mod overview;
mod queries;

pub use self::overview::OverviewJob;
use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::column::Column;
use crate::{CommunityId, DbError, GlobalTx, TenantTx, UserId, named_query::named};

/// State of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobState {
    /// Created; no attempt has begun.
    Queued,
    /// An attempt has begun; its worker may have died since.
    Running,
    /// The last attempt failed with a transient error; due again later.
    Waiting,
    /// Succeeded.
    Succeeded,
    /// Failed permanently.
    Failed,
}

impl JobState {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::Queued,
        Self::Running,
        Self::Waiting,
        Self::Succeeded,
        Self::Failed,
    ];

    /// The state as the column stores it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }

    /// Whether the job has ended.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// A job to create.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJob<'a> {
    /// Kind and time slot, or kind and cause: `reconcile:2026-11-21T06`. The same id creates one job.
    pub id: &'a str,
    /// Kind: the name of its queue.
    pub kind: &'a str,
    /// Parameters of the kind, a JSON object.
    pub payload: Value,
    /// Not to be run before this time.
    pub due_at: OffsetDateTime,
}

/// A job's row.
#[derive(Clone, Debug, PartialEq)]
pub struct JobRow {
    /// Its id.
    pub id: String,
    /// Its kind.
    pub kind: String,
    /// Its state.
    pub state: JobState,
    /// Its parameters.
    pub payload: Value,
    /// Number of attempts that have begun.
    pub attempts: u32,
    /// Steps done in the latest attempt.
    pub progress_done: u32,
    /// Total number of steps, once known.
    pub progress_total: Option<u32>,
    /// Error of the last attempt that failed.
    pub error: Option<String>,
    /// Not to be run before this time.
    pub due_at: OffsetDateTime,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// When the latest attempt began.
    pub started_at: Option<OffsetDateTime>,
    /// When it succeeded or failed.
    pub finished_at: Option<OffsetDateTime>,
}

/// Result of [`Jobs::start`].
#[derive(Clone, Debug, PartialEq)]
pub enum JobStart {
    /// The caller runs this attempt.
    Run {
        /// Number of this attempt, from 1; a parameter of every further call.
        attempt: u32,
        /// Its kind.
        kind: String,
        /// Its parameters.
        payload: Value,
    },
    /// The job must not run before this time.
    NotDue(OffsetDateTime),
    /// The job has ended: acknowledge the message.
    Finished(JobState),
    /// There is no job of this id.
    Unknown,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobOutcome<'a> {
    /// The job succeeded.
    Succeeded,
    /// A transient failure: the job is due again at `due_at`.
    Retry {
        /// The error.
        error: &'a str,
        /// When the job is due again.
        due_at: OffsetDateTime,
    },
    /// A permanent failure.
    Failed {
        /// The error.
        error: &'a str,
    },
}

/// Queries about the jobs of a community, or of the platform.
#[derive(Debug)]
pub struct Jobs<'a> {
    connection: &'a mut PgConnection,
    owner: Option<CommunityId>,
}

impl TenantTx {
    /// Queries about the community's jobs.
    pub fn jobs(&mut self) -> Jobs<'_> {
        Jobs {
            owner: Some(self.community),
            connection: &mut self.transaction,
        }
    }
}

impl GlobalTx {
    /// Queries about the platform's jobs.
    pub fn jobs(&mut self) -> Jobs<'_> {
        Jobs {
            owner: None,
            connection: &mut self.transaction,
        }
    }
}

impl GlobalTx {
    /// Creates a job in each community that this user is in, and returns these communities. The transaction must have the admin login,
    /// since it spans tenants: with the application's login no community is found.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn enqueue_in_communities_of(
        &mut self,
        user: UserId,
        job: &NewJob<'_>,
    ) -> Result<Vec<CommunityId>, DbError> {
        let communities = named!(
            "job.enqueue_in_communities_of",
            sqlx::query_scalar!(
                "insert into jobs (community_id, job_id, kind, payload, due_at)
                 select c.community_id, $2, $3, $4, $5 from communities c
                  where exists (select from profiles p
                                 where p.community_id = c.community_id and p.user_id = $1 and p.left_at is null)
                 on conflict do nothing
                 returning community_id",
                user.stored(),
                job.id,
                job.kind,
                job.payload,
                job.due_at
            )
            .fetch_all(&mut *self.transaction)
        )?;
        Ok(communities.into_iter().map(CommunityId::from_uuid).collect())
    }
}

/// Runs the query of this name on the table of the tenant's or of the platform's jobs.
macro_rules! on_table {
    ($self:ident, $query:ident ( $($argument:expr),* )) => {
        match $self.owner {
            Some(community) => {
                queries::tenant::$query(&mut *$self.connection, Some(community.uuid()), $($argument),*).await
            }
            None => queries::platform::$query(&mut *$self.connection, None, $($argument),*).await,
        }
    };
}

impl Jobs<'_> {
    /// Creates a job. False when a job of this id exists, in whatever state.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn enqueue(&mut self, job: &NewJob<'_>) -> Result<bool, DbError> {
        on_table!(self, enqueue(job))
    }

    /// The job of this id.
    ///
    /// # Errors
    /// When the database is unavailable or the row is corrupt.
    pub async fn get(&mut self, id: &str) -> Result<Option<JobRow>, DbError> {
        on_table!(self, get(id))?.map(JobRow::try_from).transpose()
    }

    /// Begins an attempt. A job that is running already begins another attempt: its message was redelivered, or its worker
    /// died. Two attempts may then run; writes of the earlier one are ignored.
    ///
    /// # Errors
    /// When the database is unavailable or the row is corrupt.
    pub async fn start(&mut self, id: &str, now: OffsetDateTime) -> Result<JobStart, DbError> {
        if let Some((attempts, kind, payload)) = on_table!(self, start(id, now))? {
            let attempt = Column("jobs", "attempts").count(i64::from(attempts))?;
            return Ok(JobStart::Run { attempt, kind, payload });
        }
        Ok(match self.get(id).await? {
            None => JobStart::Unknown,
            Some(job) if job.state.is_final() => JobStart::Finished(job.state),
            Some(job) => JobStart::NotDue(job.due_at),
        })
    }

    /// Records the progress of an attempt. False when it is no longer the latest attempt, and must stop.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn progress(&mut self, id: &str, attempt: u32, done: u32, total: Option<u32>) -> Result<bool, DbError> {
        on_table!(self, progress(id, attempt, done, total))
    }

    /// Ends an attempt. False when it is no longer the latest attempt, and then nothing changes.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn end(&mut self, id: &str, attempt: u32, outcome: &JobOutcome<'_>) -> Result<bool, DbError> {
        match outcome {
            JobOutcome::Succeeded => on_table!(self, finish(id, attempt, JobState::Succeeded, None)),
            JobOutcome::Failed { error } => on_table!(self, finish(id, attempt, JobState::Failed, Some(error))),
            JobOutcome::Retry { error, due_at } => on_table!(self, wait(id, attempt, error, *due_at)),
        }
    }

    /// Jobs that are due and not running, the longest due first, at most `limit`. Includes running jobs whose row was not updated since
    /// `silent_since`. The leader publishes their messages again, because a message may be lost between the commit of the row
    /// and the queue.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn due(
        &mut self,
        now: OffsetDateTime,
        silent_since: OffsetDateTime,
        limit: u32,
    ) -> Result<Vec<JobRow>, DbError> {
        let rows = on_table!(self, due(None, now, silent_since, limit))?;
        rows.into_iter().map(JobRow::try_from).collect()
    }

    /// [`Jobs::due`] of these kinds alone: others do not count towards `limit`.
    ///
    /// # Errors
    /// As there.
    pub async fn due_of_kinds(
        &mut self,
        kinds: &[&str],
        now: OffsetDateTime,
        silent_since: OffsetDateTime,
        limit: u32,
    ) -> Result<Vec<JobRow>, DbError> {
        let kinds: Vec<String> = kinds.iter().map(ToString::to_string).collect();
        let rows = on_table!(self, due(Some(kinds.as_slice()), now, silent_since, limit))?;
        rows.into_iter().map(JobRow::try_from).collect()
    }

    /// Sets when a job that no attempt runs is due. False when there is no such job, or an attempt runs.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn postpone(&mut self, id: &str, due_at: OffsetDateTime) -> Result<bool, DbError> {
        on_table!(self, postpone(id, due_at))
    }

    /// Replaces the parameters of a job of which no attempt has begun. False when there is no such job, or an attempt has begun.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn set_payload(&mut self, id: &str, payload: &Value) -> Result<bool, DbError> {
        on_table!(self, set_payload(id, payload))
    }

    /// Whether a job of this kind with this payload waits or runs.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn is_pending(&mut self, kind: &str, payload: &Value) -> Result<bool, DbError> {
        on_table!(self, is_pending(kind, payload))
    }

    /// Deletes jobs that ended before `before`; returns how many.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn prune(&mut self, before: OffsetDateTime) -> Result<u64, DbError> {
        on_table!(self, prune(before))
    }
}

/// A row of either table.
struct Row {
    job_id: String,
    kind: String,
    state: String,
    payload: Value,
    attempts: i32,
    progress_done: i32,
    progress_total: Option<i32>,
    error: Option<String>,
    due_at: OffsetDateTime,
    created_at: OffsetDateTime,
    started_at: Option<OffsetDateTime>,
    finished_at: Option<OffsetDateTime>,
}

impl TryFrom<Row> for JobRow {
    type Error = DbError;

    fn try_from(row: Row) -> Result<Self, DbError> {
        let column = |name| Column("jobs", name);
        let state = JobState::ALL
            .into_iter()
            .find(|state| state.as_str() == row.state)
            .ok_or_else(|| column("state").corrupt(&row.state, "unknown state"))?;
        let total = row
            .progress_total
            .map(|total| column("progress_total").count(i64::from(total)));
        Ok(Self {
            id: row.job_id,
            kind: row.kind,
            state,
            payload: row.payload,
            attempts: column("attempts").count(i64::from(row.attempts))?,
            progress_done: column("progress_done").count(i64::from(row.progress_done))?,
            progress_total: total.transpose()?,
            error: row.error,
            due_at: row.due_at,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
        })
    }
}
