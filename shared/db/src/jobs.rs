//! Background work: one row a job. `docs/jobs.md` has the diagram of its states.
//!
//! The queue's message only wakes a worker; the row decides. [`TenantTx::jobs`] are a community's, [`GlobalTx::jobs`] the
//! platform's, in tables of the same form. Whoever runs a job holds the number of its attempt: a runner that was given up
//! and comes back late changes nothing.

mod queries;

use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::row::Column;
use crate::{CommunityId, DbError, GlobalTx, TenantTx};

/// Where a job is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobState {
    /// Made; nobody has begun.
    Queued,
    /// Somebody is at it, or was when they died.
    Running,
    /// Failed in a way that may pass; due again later.
    Waiting,
    /// Done.
    Succeeded,
    /// Failed for good.
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

    /// As the column writes it.
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

    /// No way leads out of it.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// A job to make.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJob<'a> {
    /// Kind and time slot, or kind and what asked for it: `reconcile:2026-11-21T06`. The same id makes one job.
    pub id: &'a str,
    /// Kind, as its queue is called.
    pub kind: &'a str,
    /// What the kind needs to know; an object.
    pub payload: Value,
    /// Not before this.
    pub due_at: OffsetDateTime,
}

/// A job's row.
#[derive(Clone, Debug, PartialEq)]
pub struct JobRow {
    /// Its id.
    pub id: String,
    /// Its kind.
    pub kind: String,
    /// Where it is.
    pub state: JobState,
    /// What it was made with.
    pub payload: Value,
    /// How often it was begun.
    pub attempts: u32,
    /// Steps done in this attempt.
    pub progress_done: u32,
    /// Steps in all, once known.
    pub progress_total: Option<u32>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// Not before this.
    pub due_at: OffsetDateTime,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When the latest attempt began.
    pub started_at: Option<OffsetDateTime>,
    /// When it reached its end.
    pub finished_at: Option<OffsetDateTime>,
}

/// What [`Jobs::start`] found.
#[derive(Clone, Debug, PartialEq)]
pub enum Start {
    /// The caller runs it.
    Run {
        /// Number of this attempt, from 1: what every further call is made with.
        attempt: u32,
        /// Its kind.
        kind: String,
        /// What it was made with.
        payload: Value,
    },
    /// Not before this.
    NotDue(OffsetDateTime),
    /// It has reached its end: ack and forget.
    Finished(JobState),
    /// There is no such job.
    Unknown,
}

/// How an attempt ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// Done.
    Succeeded,
    /// May pass: again from `due_at` on.
    Retry {
        /// Why.
        error: &'a str,
        /// When.
        due_at: OffsetDateTime,
    },
    /// For good.
    Failed {
        /// Why.
        error: &'a str,
    },
}

/// Queries about the jobs of a community or of the platform.
#[derive(Debug)]
pub struct Jobs<'a> {
    connection: &'a mut PgConnection,
    owner: Option<CommunityId>,
}

impl TenantTx {
    /// The community's jobs.
    pub fn jobs(&mut self) -> Jobs<'_> {
        Jobs {
            owner: Some(self.community),
            connection: &mut self.transaction,
        }
    }
}

impl GlobalTx {
    /// The platform's own jobs.
    pub fn jobs(&mut self) -> Jobs<'_> {
        Jobs {
            owner: None,
            connection: &mut self.transaction,
        }
    }
}

/// Runs the query of this name on the table of whose jobs these are.
macro_rules! either {
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
    /// Makes a job. False when there is one of this id, whatever has become of it.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn enqueue(&mut self, job: &NewJob<'_>) -> Result<bool, DbError> {
        either!(self, enqueue(job))
    }

    /// The job of this id.
    ///
    /// # Errors
    /// When the database is away or the row is corrupt.
    pub async fn get(&mut self, id: &str) -> Result<Option<JobRow>, DbError> {
        either!(self, get(id))?.map(JobRow::try_from).transpose()
    }

    /// Begins an attempt. A job that is running already is begun again: its message came twice, or its runner died. Both
    /// runners may be at it then; the earlier one's word no longer counts.
    ///
    /// # Errors
    /// When the database is away or the row is corrupt.
    pub async fn start(&mut self, id: &str, now: OffsetDateTime) -> Result<Start, DbError> {
        if let Some((attempts, kind, payload)) = either!(self, start(id, now))? {
            let attempt = Column("jobs", "attempts").count(i64::from(attempts))?;
            return Ok(Start::Run { attempt, kind, payload });
        }
        Ok(match self.get(id).await? {
            None => Start::Unknown,
            Some(job) if job.state.is_final() => Start::Finished(job.state),
            Some(job) => Start::NotDue(job.due_at),
        })
    }

    /// Notes how far this attempt is. False when it is no longer the latest: stop.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn progress(&mut self, id: &str, attempt: u32, done: u32, total: Option<u32>) -> Result<bool, DbError> {
        either!(self, progress(id, attempt, done, total))
    }

    /// Ends an attempt. False when it is no longer the latest, and then nothing changes.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn end(&mut self, id: &str, attempt: u32, outcome: &Outcome<'_>) -> Result<bool, DbError> {
        match outcome {
            Outcome::Succeeded => either!(self, finish(id, attempt, JobState::Succeeded, None)),
            Outcome::Failed { error } => either!(self, finish(id, attempt, JobState::Failed, Some(error))),
            Outcome::Retry { error, due_at } => either!(self, wait(id, attempt, error, *due_at)),
        }
    }

    /// Jobs that nobody runs though they are due, the longest due first: what the clock publishes again, since the message of
    /// one may be lost between the row and the queue. Running ones are among them when nothing was heard of them since
    /// `silent_since`.
    ///
    /// # Errors
    /// When the database is away or a row is corrupt.
    pub async fn due(
        &mut self,
        now: OffsetDateTime,
        silent_since: OffsetDateTime,
        limit: u32,
    ) -> Result<Vec<JobRow>, DbError> {
        either!(self, due(now, silent_since, limit))?
            .into_iter()
            .map(JobRow::try_from)
            .collect()
    }

    /// Forgets jobs that ended before `before`. Answers how many.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn prune(&mut self, before: OffsetDateTime) -> Result<u64, DbError> {
        either!(self, prune(before))
    }
}

/// As both tables have it.
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
            .ok_or_else(|| column("state").corrupt(&row.state, "no such state"))?;
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
