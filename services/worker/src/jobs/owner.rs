//! To whom a job belongs, and with that the table of its row.

use arrakis_db::{CommunityId, DbError, GlobalTx, JobOutcome, Jobs, TenantTx};

use crate::failure::Failure;
use crate::services::Services;

/// To whom a job belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobOwner {
    /// A community: its row is in `jobs`.
    Community(CommunityId),
    /// The platform: its row is in `platform_jobs`.
    Platform,
}

/// A transaction on the table of an owner's jobs.
pub(super) enum JobTx {
    Community(TenantTx),
    Platform(GlobalTx),
}

impl JobOwner {
    pub(super) async fn begin(self, services: &Services) -> Result<JobTx, DbError> {
        Ok(match self {
            Self::Community(id) => JobTx::Community(services.database.tenant(id).await?),
            Self::Platform => JobTx::Platform(services.database.global().await?),
        })
    }

    /// The community as the message of a job names it.
    pub(super) fn community(self) -> Option<String> {
        match self {
            Self::Community(id) => Some(id.to_string()),
            Self::Platform => None,
        }
    }
}

impl JobTx {
    pub(super) fn jobs(&mut self) -> Jobs<'_> {
        match self {
            Self::Community(tx) => tx.jobs(),
            Self::Platform(tx) => tx.jobs(),
        }
    }

    pub(super) async fn commit(self) -> Result<(), DbError> {
        match self {
            Self::Community(tx) => tx.commit().await,
            Self::Platform(tx) => tx.commit().await,
        }
    }
}

/// An attempt at a job, as its row names it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt<'a> {
    pub(super) owner: JobOwner,
    pub(super) id: &'a str,
    pub(super) number: u32,
}

impl Attempt<'_> {
    /// Stores the progress; a [`Failure::Drop`] if another worker has started the job since.
    pub(super) async fn progress(self, services: &Services, done: usize, total: Option<usize>) -> Result<(), Failure> {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let mut tx = self.owner.begin(services).await?;
        let is_latest = tx
            .jobs()
            .progress(self.id, self.number, count(done), total.map(count))
            .await?;
        tx.commit().await?;
        if is_latest {
            Ok(())
        } else {
            Err(Failure::drop("another worker has started this job"))
        }
    }

    /// Stores how the attempt ended; false if another worker has started the job since, and then nothing changes.
    pub(super) async fn end(self, services: &Services, outcome: &JobOutcome<'_>) -> Result<bool, Failure> {
        let mut tx = self.owner.begin(services).await?;
        let is_latest = tx.jobs().end(self.id, self.number, outcome).await?;
        tx.commit().await?;
        Ok(is_latest)
    }
}
