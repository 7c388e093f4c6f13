//! Enqueues jobs: the row first, then the message. A lost message is published again by the leader.

use arrakis_broker::{Message, PublishOutcome, Publisher};
use arrakis_contracts::{Job, JobKind, names};
use arrakis_db::{CommunityId, Database, JobRow, NewJob};
use serde_json::Value;
use time::OffsetDateTime;

use super::JobOwner;
use crate::failure::Failure;
use crate::services::Services;

/// A job to enqueue.
#[derive(Debug, Clone)]
pub struct JobRequest {
    /// The job's id: kind and time slot, or kind and cause. A second job with the same id is not enqueued.
    pub id: String,
    /// The kind of job.
    pub kind: JobKind,
    /// Input of the job, by kind.
    pub payload: Value,
}

impl JobRequest {
    /// The row of this job, due at this time.
    pub(crate) fn row(&self, due_at: OffsetDateTime) -> NewJob<'_> {
        NewJob {
            id: &self.id,
            kind: self.kind.name(),
            payload: self.payload.clone(),
            due_at,
        }
    }
}

/// Stores a job, due now, and publishes its message; false if a job with this id exists. If the message is lost, the leader publishes it
/// again.
///
/// # Errors
/// If Postgres is unavailable.
pub async fn enqueue(services: &Services, community: CommunityId, request: &JobRequest) -> Result<bool, Failure> {
    enqueue_for(services, JobOwner::Community(community), request).await
}

/// [`enqueue`] for a job of either owner.
pub(super) async fn enqueue_for(services: &Services, owner: JobOwner, request: &JobRequest) -> Result<bool, Failure> {
    let mut tx = owner.begin(services).await?;
    let stored = tx.jobs().enqueue(&request.row(services.now())).await?;
    tx.commit().await?;
    if stored {
        publish(&services.publisher, owner, &request.id, request.kind).await;
    }
    Ok(stored)
}

/// [`enqueue`] for a job of the platform. Also for tools, which have no more than these two connections.
///
/// # Errors
/// As there.
pub async fn enqueue_for_platform(
    database: &Database,
    publisher: &Publisher,
    request: &JobRequest,
    now: OffsetDateTime,
) -> Result<bool, Failure> {
    let mut tx = database.global().await?;
    let stored = tx.jobs().enqueue(&request.row(now)).await?;
    tx.commit().await?;
    if stored {
        publish(publisher, JobOwner::Platform, &request.id, request.kind).await;
    }
    Ok(stored)
}

/// Jobs of an owner and of these kinds that are due and that no worker runs, as [`arrakis_db::Jobs::due_of_kinds`].
///
/// # Errors
/// If Postgres is unavailable.
pub(crate) async fn due(
    services: &Services,
    owner: JobOwner,
    kinds: &[JobKind],
    now: OffsetDateTime,
    silent_since: OffsetDateTime,
    limit: u32,
) -> Result<Vec<JobRow>, Failure> {
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    let mut tx = owner.begin(services).await?;
    let due = tx.jobs().due_of_kinds(&kinds, now, silent_since, limit).await?;
    tx.commit().await?;
    Ok(due)
}

/// Publishes the message of a stored job. After an error the leader publishes it again.
pub(crate) async fn publish(publisher: &Publisher, owner: JobOwner, id: &str, kind: JobKind) {
    let community = owner.community();
    let message_id = format!("{}:{id}", community.as_deref().unwrap_or("platform"));
    let job = Job::new(id, kind, community);
    let message = Message::new(names::JOBS, kind.name(), message_id, "job", job.encode());
    match publisher.publish(&message).await {
        Ok(PublishOutcome::Confirmed) => {}
        Ok(PublishOutcome::Unroutable { reply }) => {
            tracing::error!(
                id,
                reply,
                "no queue is bound for this kind of job; the leader will publish it again"
            );
        }
        Err(error) => tracing::warn!(id, %error, "the job was not published; the leader will publish it again"),
    }
}
