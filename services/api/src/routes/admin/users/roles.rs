//! What follows a suspension or its end: a tier sync of the member in every community, which removes or gives back the roles.
//!
//! The jobs are stored in the transaction of the change, so none is lost, and published after its commit. A job whose message is lost is
//! published by the workers' leader within 30 s.

use arrakis_broker::{Message, PublishOutcome};
use arrakis_contracts::{Job, JobKind, job, names};
use arrakis_db::registry::{IdentityRecord, Refusal, RegistryError};
use arrakis_db::{CommunityId, DbError, GlobalTx, NewJob};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::user::{User, unknown_user};
use crate::problem::{Problem, ProblemKind};
use crate::services::Services;

/// A user after a change.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChangedUser {
    /// The user
    pub(crate) user: User,
    /// Number of communities in which the user's roles are being changed
    pub(crate) communities: usize,
}

/// Jobs that were stored and wait for their messages.
#[derive(Debug)]
pub(crate) struct StoredJobs {
    id: String,
    communities: Vec<CommunityId>,
}

/// Stores a tier sync of the user in each community.
pub(crate) async fn store_jobs(tx: &mut GlobalTx, record: &IdentityRecord, cause: &str) -> Result<StoredJobs, DbError> {
    let id = format!("{}:{cause}:{}", JobKind::TierSync, Uuid::now_v7());
    let Some(user) = record.identity.discord_user else {
        let communities = Vec::new();
        return Ok(StoredJobs { id, communities });
    };
    let new = NewJob {
        id: &id,
        kind: JobKind::TierSync.name(),
        payload: job::tier_sync_of_member(user.get()),
        due_at: OffsetDateTime::now_utc(),
    };
    let communities = tx.enqueue_in_communities_of(user, &new).await?;
    Ok(StoredJobs { id, communities })
}

impl StoredJobs {
    /// Publishes the messages of the jobs, all at once. Returns their number.
    pub(crate) async fn publish(&self, services: &Services) -> usize {
        let publish = |community| publish(services, community, &self.id);
        futures_util::future::join_all(self.communities.iter().copied().map(publish)).await;
        self.communities.len()
    }
}

async fn publish(services: &Services, community: CommunityId, id: &str) {
    let kind = JobKind::TierSync;
    let job = Job::new(id, kind, Some(community.to_string()));
    let message = Message::new(names::JOBS, kind.name(), format!("{community}:{id}"), "job", job.encode());
    let problem = match services.publisher.publish(&message).await {
        Ok(PublishOutcome::Confirmed) => return,
        Ok(PublishOutcome::Unroutable { reply }) => reply,
        Err(error) => error.to_string(),
    };
    services.metrics.unpublished_jobs.inc();
    tracing::warn!(id, %community, error = problem, "the job was not published; the leader of the workers will publish it");
}

/// The problem of an operation that the registry did not carry out.
pub(crate) fn problem_of(error: RegistryError) -> Problem {
    match error {
        RegistryError::Db(error) => error.into(),
        RegistryError::Refused(Refusal::UnknownIdentity) => unknown_user(),
        RegistryError::Refused(Refusal::NotSuspended) => {
            Problem::new(ProblemKind::NotSuspended, "the user is not suspended, so there is nothing to end")
        }
        RegistryError::Refused(Refusal::EndOfSuspension) => {
            Problem::new(ProblemKind::InvalidBody, "until: the end of a suspension must be in the future")
        }
        RegistryError::Refused(refusal) => Problem::internal(format!("the registry refused a suspension or its end: {refusal}")),
    }
}
