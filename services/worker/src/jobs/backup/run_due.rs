//! Runs all due backups once in this process, for a container that a timer starts (`EventBridge` and Fargate). Also what a killed process
//! has left, and what is enqueued and no worker runs.
//!
//! The rows of jobs are the same as those of the leader, so that workers and such a container do not run a task twice.

use arrakis_contracts::JobKind;
use arrakis_db::{CommunityId, JobOutcome, JobStart};
use futures_util::future::join_all;
use serde_json::Value;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::{AT_ONCE, AttemptEnd, Backup, attempt, due_requests};
use crate::community::Community;
use crate::failure::Failure;
use crate::jobs::{JobHandler as _, JobOwner, JobRequest, JobRun, due};
use crate::services::Services;

/// A due row counts as left behind after this time: until then its message may be in transit.
const LEFT_AFTER: time::Duration = time::Duration::seconds(30);
/// A running row without progress for this long counts as left behind.
const NO_PROGRESS_AFTER: time::Duration = time::Duration::minutes(5);
/// Rows of one community that are taken over at once.
const TAKEN_OVER: u32 = 10;

/// What a call of [`run_due`] has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunSummary {
    /// Runs that completed.
    pub completed: usize,
    /// Runs that failed, and communities that could not be read. They are due again after a pause.
    pub failed: usize,
    /// Runs that another process has begun meanwhile, and runs for servers that the bot has left.
    pub skipped: usize,
}

impl RunSummary {
    fn add(&mut self, other: Self) {
        self.completed += other.completed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// Runs everything that is due, each task of each community once, and sends the notices. Ends early when `stop` is cancelled; the rest is due
/// then.
///
/// # Errors
/// If the communities cannot be listed. A run that fails is recorded, and stops no other.
pub async fn run_due(services: &Services, stop: &CancellationToken) -> Result<RunSummary, Failure> {
    let mut summary = RunSummary::default();
    let communities: Vec<CommunityId> = services
        .database
        .routes()
        .await?
        .into_iter()
        .map(|(_, community)| community)
        .collect();
    for chunk in communities.chunks(usize::from(AT_ONCE)) {
        let runs = chunk
            .iter()
            .map(|community| Box::pin(run_community(services, *community)));
        let ended = tokio::select! {
            ended = join_all(runs) => ended,
            () = stop.cancelled() => break,
        };
        for (community, ended) in chunk.iter().zip(ended) {
            match ended {
                Ok(of_community) => summary.add(of_community),
                Err(failure) => {
                    tracing::error!(%community, %failure, "the due backups of a community were not run");
                    summary.failed += 1;
                }
            }
        }
    }
    // Without workers, nothing else sends them. What is not sent is sent by the next call.
    if let Err(failure) = services.send_notices(services.now()).await {
        tracing::warn!(%failure, "the notices were not sent");
    }
    Ok(summary)
}

async fn run_community(services: &Services, id: CommunityId) -> Result<RunSummary, Failure> {
    let (mut summary, now) = (RunSummary::default(), services.now());
    let Some(community) = Community::load(services, id).await? else {
        return Ok(summary);
    };
    let owner = JobOwner::Community(id);
    let left = due(
        services,
        owner,
        &[JobKind::Backup],
        now - LEFT_AFTER,
        now - NO_PROGRESS_AFTER,
        TAKEN_OVER,
    );
    for row in left.await? {
        summary.add(run_row(services, &community, &row.id).await?);
    }
    for request in due_requests(services, id, now).await? {
        // A leader may have enqueued it meanwhile: its message is in the queue then.
        if !insert(services, id, &request, now).await? {
            summary.skipped += 1;
            continue;
        }
        summary.add(run_row(services, &community, &request.id).await?);
    }
    Ok(summary)
}

/// Stores the row of a job whose message is not published: this process runs it.
async fn insert(
    services: &Services,
    community: CommunityId,
    request: &JobRequest,
    now: OffsetDateTime,
) -> Result<bool, Failure> {
    let mut tx = services.database.tenant(community).await?;
    let is_new = tx.jobs().enqueue(&request.row(now)).await?;
    tx.commit().await?;
    Ok(is_new)
}

/// One attempt at the job of a row, without retries.
async fn run_row(services: &Services, community: &Community, id: &str) -> Result<RunSummary, Failure> {
    let mut summary = RunSummary::default();
    let mut tx = services.database.tenant(community.id()).await?;
    let started = tx.jobs().start(id, services.now()).await?;
    tx.commit().await?;
    let JobStart::Run { attempt, payload, .. } = started else {
        summary.skipped = 1;
        return Ok(summary);
    };
    match run_attempt(services, community, id, attempt, &payload).await? {
        Ended::Completed => summary.completed = 1,
        Ended::Failed => summary.failed = 1,
        Ended::Overtaken | Ended::WithoutBot => summary.skipped = 1,
    }
    Ok(summary)
}

/// How an attempt ended.
enum Ended {
    Completed,
    Failed,
    /// Another process has started the job since, as a worker to which its message was delivered: the outcome is that one's.
    Overtaken,
    /// The bot is not in the server.
    WithoutBot,
}

/// Runs an attempt and stores its outcome.
async fn run_attempt(
    services: &Services,
    community: &Community,
    id: &str,
    number: u32,
    payload: &Value,
) -> Result<Ended, Failure> {
    let run = JobRun {
        services,
        community,
        id,
        attempt: number,
        payload,
    };
    let result = attempt(&run, true).await;
    let error = result.as_ref().err().map(ToString::to_string);
    let outcome = match &error {
        None => JobOutcome::Succeeded,
        Some(error) => JobOutcome::Failed { error },
    };
    let mut tx = services.database.tenant(community.id()).await?;
    let is_latest = tx.jobs().end(id, number, &outcome).await?;
    tx.commit().await?;
    if !is_latest {
        return Ok(Ended::Overtaken);
    }
    match result {
        Ok(AttemptEnd::Completed) => Ok(Ended::Completed),
        Ok(AttemptEnd::WithoutBot) => Ok(Ended::WithoutBot),
        Err(failure) => {
            Backup.failed(&run, &failure.to_string()).await?;
            Ok(Ended::Failed)
        }
    }
}
