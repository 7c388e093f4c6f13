//! The handlers of jobs, and what an attempt is given.

use arrakis_contracts::JobKind;
use async_trait::async_trait;
use serde_json::Value;

use super::JobOwner;
use super::owner::Attempt;
use crate::community::Community;
use crate::failure::Failure;
use crate::services::Services;

/// The handler of one kind of job, by whose jobs they are.
pub(crate) enum KindHandler {
    /// Of a community.
    Community(Box<dyn JobHandler>),
    /// Of the platform.
    Platform(Box<dyn PlatformJobHandler>),
    /// Of a community or of the platform.
    Either {
        /// For those of a community.
        community: Box<dyn JobHandler>,
        /// For those of the platform.
        platform: Box<dyn PlatformJobHandler>,
    },
}

impl KindHandler {
    /// The kind of job.
    pub(crate) fn kind(&self) -> JobKind {
        match self {
            Self::Community(handler) | Self::Either { community: handler, .. } => handler.kind(),
            Self::Platform(handler) => handler.kind(),
        }
    }
}

/// One attempt at a job.
#[derive(Debug)]
pub struct JobRun<'a> {
    /// Clients of Postgres, Redis and Discord.
    pub services: &'a Services,
    /// The community that the job belongs to.
    pub community: &'a Community,
    /// The job's id.
    pub id: &'a str,
    /// Number of this attempt, counted from 1.
    pub attempt: u32,
    /// The payload that the job was enqueued with.
    pub payload: &'a Value,
}

impl JobRun<'_> {
    /// Stores the progress. To be called at least every 30 s: a job without progress for 5 minutes is started again.
    ///
    /// # Errors
    /// [`Failure::Drop`] if another worker has started the job since; this attempt must end.
    pub async fn progress(&self, done: usize, total: Option<usize>) -> Result<(), Failure> {
        let attempt = Attempt {
            owner: JobOwner::Community(self.community.id()),
            id: self.id,
            number: self.attempt,
        };
        attempt.progress(self.services, done, total).await
    }
}

/// One attempt at a job of the platform.
#[derive(Debug)]
pub struct PlatformJobRun<'a> {
    /// Clients of Postgres, Redis, Discord and the chains.
    pub services: &'a Services,
    /// The job's id.
    pub id: &'a str,
    /// Number of this attempt, counted from 1.
    pub attempt: u32,
    /// The payload that the job was enqueued with.
    pub payload: &'a Value,
}

impl PlatformJobRun<'_> {
    /// As [`JobRun::progress`].
    ///
    /// # Errors
    /// As there.
    pub async fn progress(&self, done: usize, total: Option<usize>) -> Result<(), Failure> {
        let attempt = Attempt {
            owner: JobOwner::Platform,
            id: self.id,
            number: self.attempt,
        };
        attempt.progress(self.services, done, total).await
    }
}

/// The handler of one kind of job.
#[async_trait]
pub trait JobHandler: Send + Sync {
    /// The kind of job.
    fn kind(&self) -> JobKind;

    /// Whether a job of this kind with this payload is postponed while its community is frozen.
    fn waits_while_frozen(&self, payload: &Value) -> bool {
        let _ = payload;
        false
    }

    /// Runs an attempt. It may be called more than once for the same job, also at the same time.
    async fn run(&self, run: &JobRun<'_>) -> Result<(), Failure>;

    /// Makes what follows from a failure of the job that no further attempt follows, whose row states it already: an attempt failed
    /// permanently or found no use for the job, all retries failed, or each attempt killed its worker. It may be called more than once for the
    /// same job.
    ///
    /// # Errors
    /// Are logged.
    async fn failed(&self, run: &JobRun<'_>, error: &str) -> Result<(), Failure> {
        let _ = (run, error);
        Ok(())
    }
}

/// The handler of one kind of job of the platform.
#[async_trait]
pub trait PlatformJobHandler: Send + Sync {
    /// The kind of job.
    fn kind(&self) -> JobKind;

    /// As [`JobHandler::run`].
    async fn run(&self, run: &PlatformJobRun<'_>) -> Result<(), Failure>;
}
