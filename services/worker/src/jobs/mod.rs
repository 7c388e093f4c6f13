//! Background work, one file for each kind. The row in Postgres is the truth; the queue's message only wakes a worker
//! (`docs/jobs.md`).
//!
//! A job may be begun twice, and by two workers at once: every file says why that is safe. To add one: a file with a type
//! that implements [`JobHandler`], and its line in `all`.

pub mod reconcile;
pub mod tier_sync;

use std::sync::Arc;
use std::time::Duration;

use arrakis_broker::{Delivery, Handler, MAX_ATTEMPTS, Message, PublishOutcome as Published, Verdict};
use arrakis_contracts::dead_letter::DeadLetterReason;
use arrakis_contracts::{Job, JobKind, headers, names};
use arrakis_db::{CommunityId, JobOutcome, JobStart, JobState, NewJob, with_connection_wait};
use async_trait::async_trait;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, field, info_span};

use crate::community::Community;
use crate::failure::Failure;
use crate::services::{POSTGRES_WAIT, Services};

/// How long one run may take before it is stopped and tried again. Well below the broker's `consumer_timeout` of 30 minutes;
/// kinds that take longer run in parts of [`PART`].
pub(crate) const LIMIT: Duration = Duration::from_secs(15 * 60);
/// When a long kind ends its part and leaves the rest to the next, which is behind everything that waits: who asks for one
/// member's roles waits no longer than this for large communities.
pub(crate) const PART: Duration = Duration::from_secs(60);
/// How long a job may go on when the worker leaves; another worker has it then.
const FINISH_WITHIN: Duration = Duration::from_secs(3);
/// How often a job may be begun. A job that takes its worker down each time never comes to fail; here it does.
const MOST_BEGINNINGS: u32 = 12;

/// Every kind that has a handler.
pub(crate) fn all() -> Vec<Box<dyn JobHandler>> {
    vec![Box::new(tier_sync::TierSync), Box::new(reconcile::Reconcile)]
}

/// One attempt at a job.
#[derive(Debug)]
pub struct Run<'a> {
    /// Database, cache, Discord.
    pub services: &'a Services,
    /// Whose job it is.
    pub community: &'a Community,
    /// Its id.
    pub id: &'a str,
    /// Number of this attempt, from 1.
    pub attempt: u32,
    /// What it was made with.
    pub payload: &'a Value,
}

impl Run<'_> {
    /// Notes how far it is; to be called at least every half minute, since a job that says nothing for long is begun anew.
    ///
    /// # Errors
    /// [`Failure::Drop`] when another worker has begun it since: stop.
    pub async fn progress(&self, done: usize, total: Option<usize>) -> Result<(), Failure> {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let mut tx = self.services.database.tenant(self.community.id()).await?;
        let latest = tx
            .jobs()
            .progress(self.id, self.attempt, count(done), total.map(count))
            .await?;
        tx.commit().await?;
        if latest {
            Ok(())
        } else {
            Err(Failure::drop("another worker has begun this job"))
        }
    }
}

/// Runs jobs of one kind.
#[async_trait]
pub trait JobHandler: Send + Sync {
    /// Which.
    fn kind(&self) -> JobKind;

    /// Does the work. May be called more than once for the same job, also at the same time.
    async fn run(&self, run: &Run<'_>) -> Result<(), Failure>;
}

/// Handles the queues of jobs.
#[derive(Clone)]
pub struct Jobs {
    services: Arc<Services>,
    stop: CancellationToken,
    handlers: Arc<Vec<Box<dyn JobHandler>>>,
}

impl std::fmt::Debug for Jobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.handlers.iter().map(|handler| handler.kind()))
            .finish()
    }
}

impl Handler for Jobs {
    async fn handle(&self, delivery: Delivery) -> Verdict {
        let job = match Job::decode(delivery.body()) {
            Ok(job) => job,
            Err(error) => {
                return Verdict::DeadLetter {
                    reason: DeadLetterReason::Unreadable,
                    error: error.to_string(),
                };
            }
        };
        let span = info_span!(
            "job.message.handle",
            job.id = job.id,
            job.kind = job.kind.name(),
            community = job.community,
            attempt = field::Empty,
            duration_ms = field::Empty,
        );
        let handled = self.handle_one(&delivery, &job).instrument(span.clone());
        let verdict = with_connection_wait(POSTGRES_WAIT, handled).await;
        let took = delivery.received().elapsed();
        span.record("duration_ms", u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        let labels = [job.kind.name(), verdict.name()];
        self.services.metrics.jobs.with_label_values(&labels).inc();
        verdict
    }
}

impl Jobs {
    /// Handles jobs with these services, and gives back what is not done soon after `stop`.
    pub fn new(services: Arc<Services>, stop: CancellationToken) -> Self {
        Self {
            services,
            stop,
            handlers: Arc::new(all()),
        }
    }

    async fn handle_one(&self, delivery: &Delivery, job: &Job) -> Verdict {
        let Some(handler) = self.handlers.iter().find(|handler| handler.kind() == job.kind) else {
            return Failure::permanent(format!("no handler for {} in this build", job.kind)).into();
        };
        match self.begin(delivery, job).await {
            Ok(Begun::Yes(begun)) => {
                tracing::Span::current().record("attempt", begun.attempt);
                let run = begun.run(&self.services, job);
                tokio::select! {
                    done = handler.run(&run) => self.end(delivery, &run, done).await,
                    () = leaving(&self.stop) => Verdict::Requeue,
                }
            }
            Ok(Begun::No(why)) => Verdict::Drop { why },
            Err(failure) => failure.into(),
        }
    }

    async fn begin(&self, delivery: &Delivery, job: &Job) -> Result<Begun, Failure> {
        let community = job
            .community
            .as_deref()
            .ok_or_else(|| Failure::permanent("the job names no community"))?;
        let id: CommunityId = community
            .parse()
            .map_err(|why| Failure::permanent(format!("community \"{community}\": {why}")))?;
        let Some(community) = Community::load(&self.services, id).await? else {
            return Ok(Begun::No("the community is gone".to_owned()));
        };
        let mut tx = self.services.database.tenant(id).await?;
        let start = tx.jobs().start(&job.id, self.services.now()).await?;
        if let JobStart::Run { attempt, .. } = start
            && attempt > MOST_BEGINNINGS
        {
            let error = format!("begun {attempt} times and never ended: it takes its worker down");
            tx.jobs()
                .end(&job.id, attempt, &JobOutcome::Failed { error: &error })
                .await?;
            tx.commit().await?;
            return Err(Failure::permanent(error));
        }
        tx.commit().await?;
        Ok(match start {
            JobStart::Run { attempt, payload, .. } => Begun::Yes(Box::new(BegunJob {
                community,
                attempt,
                payload,
            })),
            // The clock publishes it when it is time.
            JobStart::NotDue(at) => Begun::No(format!("not due before {at}")),
            JobStart::Finished(JobState::Failed) if was_replayed(delivery) => self.run_again(id, &job.id).await?,
            JobStart::Finished(state) => Begun::No(format!("ended before: {}", state.as_str())),
            JobStart::Unknown => Begun::No("there is no such job (any more)".to_owned()),
        })
    }

    /// A failed job keeps its row and its reason; what an operator replays is a new one with the same payload.
    async fn run_again(&self, community: CommunityId, id: &str) -> Result<Begun, Failure> {
        let mut tx = self.services.database.tenant(community).await?;
        let failed = tx.jobs().get(id).await?;
        tx.commit().await?;
        let Some(failed) = failed else {
            return Ok(Begun::No("there is no such job (any more)".to_owned()));
        };
        let kind = failed.kind.parse().map_err(Failure::permanent)?;
        let planned = Planned {
            id: again(id),
            kind,
            payload: failed.payload,
        };
        enqueue(&self.services, community, &planned).await?;
        Ok(Begun::No(format!(
            "it had failed for good and runs again as {}",
            planned.id
        )))
    }

    /// Writes down how the attempt ended, then says what becomes of the message.
    async fn end(&self, delivery: &Delivery, run: &Run<'_>, done: Result<(), Failure>) -> Verdict {
        let text = done.as_ref().err().map(ToString::to_string).unwrap_or_default();
        let wait = names::RETRY_SECONDS.get(delivery.attempts() as usize).copied();
        let last = delivery.attempts() + 1 >= MAX_ATTEMPTS;
        let (outcome, verdict) = match (done, wait) {
            (Ok(()), _) => (JobOutcome::Succeeded, Verdict::Done),
            // Its server or its reason is gone; where another worker has begun it, the row is that one's and stays as it is.
            (Err(Failure::Drop(why)), _) => (JobOutcome::Failed { error: &text }, Verdict::Drop { why }),
            (Err(Failure::Retry(_)), Some(seconds)) if !last => {
                let due_at = run.services.now() + time::Duration::seconds(i64::from(seconds));
                let outcome = JobOutcome::Retry { error: &text, due_at };
                (outcome, Verdict::Retry { error: text.clone() })
            }
            (Err(failure), _) => {
                let reason = match failure {
                    Failure::Permanent(_) => DeadLetterReason::Permanent,
                    _ => DeadLetterReason::Exhausted,
                };
                let error = text.clone();
                (
                    JobOutcome::Failed { error: &text },
                    Verdict::DeadLetter { reason, error },
                )
            }
        };
        match self.write_end(run, &outcome).await {
            Ok(()) => verdict,
            // The row still says "running": the message must come again, whatever the work came to.
            Err(failure) => Verdict::Retry {
                error: format!("writing down how the job ended: {failure}"),
            },
        }
    }

    async fn write_end(&self, run: &Run<'_>, outcome: &JobOutcome<'_>) -> Result<(), Failure> {
        let mut tx = self.services.database.tenant(run.community.id()).await?;
        tx.jobs().end(run.id, run.attempt, outcome).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// A job may be cut off anywhere: who begins it next finds what is done.
async fn leaving(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(FINISH_WITHIN).await;
}

/// The tool for dead letters puts a letter back with the key it first had and without the count of its attempts.
fn was_replayed(delivery: &Delivery) -> bool {
    delivery.attempts() == 0 && delivery.headers().contains_key(headers::ORIGIN_KEY)
}

/// `x` → `x~1` → `x~2`: replaying one letter twice asks for one job.
fn again(id: &str) -> String {
    let counted = id
        .rsplit_once('~')
        .and_then(|(base, n)| Some((base, n.parse::<u32>().ok()?)));
    match counted {
        Some((base, n)) => format!("{base}~{}", n + 1),
        None => format!("{id}~1"),
    }
}

enum Begun {
    Yes(Box<BegunJob>),
    No(String),
}

struct BegunJob {
    community: Community,
    attempt: u32,
    payload: Value,
}

impl BegunJob {
    fn run<'a>(&'a self, services: &'a Services, job: &'a Job) -> Run<'a> {
        Run {
            services,
            community: &self.community,
            id: &job.id,
            attempt: self.attempt,
            payload: &self.payload,
        }
    }
}

/// A job to be made.
#[derive(Debug, Clone)]
pub struct Planned {
    /// Kind and time slot, or kind and what asked for it.
    pub id: String,
    /// Kind.
    pub kind: JobKind,
    /// What the kind needs to know.
    pub payload: Value,
}

/// Makes a job, due now, and wakes a worker for it; false when there is one of this id. A wake-up that is lost is found by
/// the clock.
///
/// # Errors
/// When Postgres is away.
pub async fn enqueue(services: &Services, community: CommunityId, planned: &Planned) -> Result<bool, Failure> {
    let mut tx = services.database.tenant(community).await?;
    let job = NewJob {
        id: &planned.id,
        kind: planned.kind.name(),
        payload: planned.payload.clone(),
        due_at: services.now(),
    };
    let made = tx.jobs().enqueue(&job).await?;
    tx.commit().await?;
    if made {
        wake(services, community, &planned.id, planned.kind).await;
    }
    Ok(made)
}

/// Publishes the message that wakes a worker. The row is committed: a failure here costs time and no job.
pub(crate) async fn wake(services: &Services, community: CommunityId, id: &str, kind: JobKind) {
    let envelope = Job::new(id, kind, Some(community.to_string()));
    let message_id = format!("{community}:{id}");
    let message = Message::new(names::JOBS, kind.name(), message_id, "job", envelope.encode());
    match services.publisher.publish(&message).await {
        Ok(Published::Confirmed) => {}
        Ok(Published::Unroutable { reply }) => {
            tracing::error!(id, reply, "no queue takes this job; the clock tries again");
        }
        Err(error) => tracing::warn!(id, %error, "the job was not published; the clock tries again"),
    }
}

#[cfg(test)]
mod tests {
    use super::again;

    #[test]
    fn a_replayed_job_counts_up() {
        assert_eq!(again("tier-sync:a"), "tier-sync:a~1");
        assert_eq!(again("tier-sync:a~1"), "tier-sync:a~2");
        assert_eq!(again("odd~name"), "odd~name~1");
    }
}
