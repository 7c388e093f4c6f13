//! Publishing the messages of jobs that a request has stored. The rows are committed first, so none is lost: a job whose message is lost is
//! published by the workers' leader within 30 s.

use std::cell::RefCell;
use std::future::Future;

use arrakis_broker::{Message, PublishOutcome};
use arrakis_contracts::{Job, JobKind, names};
use arrakis_db::CommunityId;
use futures_util::future::join_all;

use crate::services::Services;

/// A job whose row is stored.
#[derive(Debug, Clone)]
pub(crate) struct StoredJob {
    /// Id of the job's row.
    pub(crate) id: String,
    /// Kind of the job, which decides its queue.
    pub(crate) kind: JobKind,
    /// Its community; `None` for a job of the platform.
    pub(crate) community: Option<CommunityId>,
}

tokio::task_local! {
    /// Jobs that the request in progress has stored.
    static STORED: RefCell<Vec<StoredJob>>;
}

/// Adds a job that the request in progress has stored, in a transaction that is not committed yet, to those that [`publish_after`]
/// publishes.
pub(crate) fn note(job: StoredJob) {
    // Outside of `publish_after` nothing is published, and the workers' leader does it.
    let _ = STORED.try_with(|stored| stored.borrow_mut().push(job));
}

/// Runs an operation; if it succeeds, publishes the jobs that were added by [`note`].
pub(crate) async fn publish_after<T, E>(
    services: &Services,
    operation: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let noting = async {
        let result = operation.await;
        (result, STORED.with(RefCell::take))
    };
    let (result, stored) = STORED.scope(RefCell::default(), noting).await;
    if result.is_ok() {
        publish(services, &stored).await;
    }
    result
}

/// Publishes the messages of these jobs concurrently. A failure is logged and counted, not returned: the workers' leader publishes the
/// message within 30 s.
pub(crate) async fn publish(services: &Services, jobs: &[StoredJob]) {
    join_all(jobs.iter().map(|job| publish_one(services, job))).await;
}

async fn publish_one(services: &Services, stored: &StoredJob) {
    let community = stored.community.map(|community| community.to_string());
    let message_id = match &community {
        Some(community) => format!("{community}:{}", stored.id),
        None => stored.id.clone(),
    };
    let job = Job::new(&stored.id, stored.kind, community);
    let message = Message::new(names::JOBS, stored.kind.name(), message_id, "job", job.encode());
    let problem = match services.publisher.publish(&message).await {
        Ok(PublishOutcome::Confirmed) => return,
        Ok(PublishOutcome::Unroutable { reply }) => reply,
        Err(error) => error.to_string(),
    };
    services.metrics.unpublished_jobs.inc();
    tracing::warn!(
        id = stored.id,
        error = problem,
        "the job was not published; the leader of the workers will publish it"
    );
}
