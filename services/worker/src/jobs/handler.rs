//! The handlers of jobs, and what an attempt is given.

use arrakis_contracts::JobKind;
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::JobOwner;
use super::owner::Attempt;
use crate::community::Community;
use crate::failure::Failure;
use crate::services::Services;

/// The handler of one kind of job, by whose jobs they are.
pub(crate) enum KindHandler {
    /// Of a community.
    Community(Box<dyn DynJobHandler>),
    /// Of the platform.
    Platform(Box<dyn DynPlatformJobHandler>),
    /// Of a community or of the platform.
    Either {
        /// For those of a community.
        community: Box<dyn DynJobHandler>,
        /// For those of the platform.
        platform: Box<dyn DynPlatformJobHandler>,
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
pub trait JobHandler: Send + Sync {
    /// The kind of job.
    fn kind(&self) -> JobKind;

    /// Whether a job of this kind with this payload is postponed while its community is frozen.
    fn waits_while_frozen(&self, payload: &Value) -> bool {
        let _ = payload;
        false
    }

    /// Runs an attempt. It may be called more than once for the same job, also at the same time.
    fn run(&self, run: &JobRun<'_>) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Makes what follows from a failure of the job that no further attempt follows, whose row states it already: an attempt failed
    /// permanently or found no use for the job, all retries failed, or each attempt killed its worker. It may be called more than once for the
    /// same job.
    ///
    /// # Errors
    /// Are logged.
    fn failed(&self, run: &JobRun<'_>, error: &str) -> impl Future<Output = Result<(), Failure>> + Send {
        let _ = (run, error);
        async { Ok(()) }
    }
}

/// The handler of one kind of job of the platform.
pub trait PlatformJobHandler: Send + Sync {
    /// The kind of job.
    fn kind(&self) -> JobKind;

    /// As [`JobHandler::run`].
    fn run(&self, run: &PlatformJobRun<'_>) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// A [`JobHandler`] as a trait object, with its futures on the heap.
pub(crate) trait DynJobHandler: Send + Sync {
    /// As [`JobHandler::kind`].
    fn kind(&self) -> JobKind;

    /// As [`JobHandler::waits_while_frozen`].
    fn waits_while_frozen(&self, payload: &Value) -> bool;

    /// As [`JobHandler::run`].
    fn run<'a>(&'a self, run: &'a JobRun<'_>) -> BoxFuture<'a, Result<(), Failure>>;

    /// As [`JobHandler::failed`].
    fn failed<'a>(&'a self, run: &'a JobRun<'_>, error: &'a str) -> BoxFuture<'a, Result<(), Failure>>;
}

impl<H: JobHandler> DynJobHandler for H {
    fn kind(&self) -> JobKind {
        JobHandler::kind(self)
    }

    fn waits_while_frozen(&self, payload: &Value) -> bool {
        JobHandler::waits_while_frozen(self, payload)
    }

    fn run<'a>(&'a self, run: &'a JobRun<'_>) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(JobHandler::run(self, run))
    }

    fn failed<'a>(&'a self, run: &'a JobRun<'_>, error: &'a str) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(JobHandler::failed(self, run, error))
    }
}

/// A [`PlatformJobHandler`] as a trait object, with its futures on the heap.
pub(crate) trait DynPlatformJobHandler: Send + Sync {
    /// As [`PlatformJobHandler::kind`].
    fn kind(&self) -> JobKind;

    /// As [`PlatformJobHandler::run`].
    fn run<'a>(&'a self, run: &'a PlatformJobRun<'_>) -> BoxFuture<'a, Result<(), Failure>>;
}

impl<H: PlatformJobHandler> DynPlatformJobHandler for H {
    fn kind(&self) -> JobKind {
        PlatformJobHandler::kind(self)
    }

    fn run<'a>(&'a self, run: &'a PlatformJobRun<'_>) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(PlatformJobHandler::run(self, run))
    }
}
