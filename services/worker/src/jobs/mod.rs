//! Jobs, one file for each kind. The row in Postgres has the state of a job; the message in the queue only starts an attempt
//! (`docs/jobs.md`).
//!
//! A job may be started twice, also by two workers at the same time. Each file states why that is safe. To add a kind of job: a file
//! with a type that implements [`JobHandler`], or [`PlatformJobHandler`] for jobs without a community, and its line in `all`.

pub mod backup;
pub mod eligibility_sync;
mod handler;
pub mod notify;
mod owner;
mod queue;
pub mod reconcile;
pub mod synthesis;
pub mod tier_sync;
pub(crate) mod verification;

use std::sync::Arc;
use std::time::Duration;

use arrakis_broker::{Delivery, Handler, MAX_ATTEMPTS, Verdict};
use arrakis_contracts::dead_letter::DeadLetterReason;
use arrakis_contracts::{Job, JobKind, headers, names};
use arrakis_db::{CommunityId, JobOutcome, JobStart, JobState, with_connection_wait};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, field, info_span};

pub(crate) use self::handler::KindHandler;
use self::handler::{DynJobHandler, DynPlatformJobHandler};
pub use self::handler::{JobHandler, JobRun, PlatformJobHandler, PlatformJobRun};
pub use self::owner::JobOwner;
use self::owner::{Attempt, JobTx};
pub use self::queue::{JobRequest, enqueue, enqueue_for_platform};
pub(crate) use self::queue::{due, publish};
use crate::community::Community;
use crate::failure::{Failure, record_status};
use crate::services::{POSTGRES_WAIT, Services};

/// Time limit of one attempt, after which it is stopped and retried. It is below the broker's `consumer_timeout` of 30 minutes; kinds
/// that take longer run in parts of [`PART`].
pub(crate) const LIMIT: Duration = Duration::from_secs(15 * 60);
/// Duration of a part of a long job. The next part is enqueued behind all waiting jobs, so that a tier sync of one member does not wait
/// longer than this for a large community.
pub(crate) const PART: Duration = Duration::from_secs(60);
/// How long an attempt may continue after SIGTERM; then the job is returned to the queue.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(3);
/// How long a job that waits for the end of a freeze is postponed each time.
const FROZEN_WAIT: time::Duration = time::Duration::seconds(60);
/// Most attempts of a job. A job that kills its worker each time reports no error, so it is failed after these.
const MAX_STARTS: u32 = 12;

/// The handlers of all kinds.
pub(crate) fn all() -> Vec<KindHandler> {
    vec![
        KindHandler::Community(Box::new(tier_sync::TierSync)),
        KindHandler::Community(Box::new(reconcile::Reconcile)),
        KindHandler::Community(Box::new(notify::Notify)),
        KindHandler::Community(Box::new(synthesis::Synthesis)),
        KindHandler::Community(Box::new(backup::Backup)),
        KindHandler::Platform(Box::new(eligibility_sync::EligibilitySync)),
        KindHandler::Either {
            community: Box::new(verification::Verification),
            platform: Box::new(verification::Verification),
        },
    ]
}

/// The handler of the queues of jobs.
#[derive(Clone)]
pub struct Jobs {
    services: Arc<Services>,
    stop: CancellationToken,
    handlers: Arc<Vec<KindHandler>>,
}

impl std::fmt::Debug for Jobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.handlers.iter().map(KindHandler::kind))
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
        // The message of a job has no time of its own: the age of the next one counts from this delivery.
        self.services.metrics.queues.delivered(delivery.queue(), Duration::ZERO);
        let span = info_span!(
            "job.message.handle",
            job.id = job.id,
            job.kind = job.kind.name(),
            community = job.community,
            attempt = field::Empty,
            trace_id = field::Empty,
            duration_ms = field::Empty,
            otel.status_code = field::Empty,
        );
        if let Some(trace) = span.in_scope(arrakis_telemetry::export::current) {
            span.record("trace_id", trace.trace_id());
        }
        let handled = self.handle_one(&delivery, &job).instrument(span.clone());
        let verdict = with_connection_wait(POSTGRES_WAIT, handled).await;
        let took = delivery.received().elapsed();
        span.record("duration_ms", u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        record_status(&span, &verdict);
        let labels = [job.kind.name(), verdict.name()];
        let metrics = &self.services.metrics;
        metrics.jobs.with_label_values(&labels).inc();
        if verdict == Verdict::Done {
            let seconds = metrics.job_seconds.with_label_values(&[job.kind.name()]);
            seconds.observe(took.as_secs_f64());
        }
        verdict
    }
}

impl Jobs {
    /// A handler with these services. Jobs that do not end soon after `stop` is cancelled are returned to the queue.
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
        let handled = match (handler, job.community.as_deref()) {
            (KindHandler::Community(handler) | KindHandler::Either { community: handler, .. }, Some(community)) => {
                self.handle_community(delivery, job, &**handler, community).await
            }
            (KindHandler::Platform(handler) | KindHandler::Either { platform: handler, .. }, None) => {
                self.handle_platform(delivery, job, &**handler).await
            }
            (KindHandler::Community(_), None) => Err(Failure::permanent("the job has no community")),
            (KindHandler::Platform(_), Some(_)) => Err(Failure::permanent("a job of the platform has a community")),
        };
        handled.unwrap_or_else(Verdict::from)
    }

    async fn handle_community(
        &self,
        delivery: &Delivery,
        job: &Job,
        handler: &dyn DynJobHandler,
        community: &str,
    ) -> Result<Verdict, Failure> {
        let id: CommunityId = community
            .parse()
            .map_err(|error| Failure::permanent(format!("community \"{community}\": {error}")))?;
        let Some(community) = Community::load(&self.services, id).await? else {
            let why = "the community does not exist".to_owned();
            return Ok(Verdict::Drop { why });
        };
        // A backup only reads Discord.
        if community.is_stopped && job.kind != JobKind::Backup {
            return self
                .postpone(job, JobOwner::Community(id), "the kill switch is on")
                .await;
        }
        if community.is_frozen() && self.waits_while_frozen(job, handler, JobOwner::Community(id)).await? {
            return self
                .postpone(job, JobOwner::Community(id), "the community is frozen")
                .await;
        }
        let (started, failed) = match self.start(delivery, job, JobOwner::Community(id)).await? {
            Start::Run(started) => (started, None),
            Start::Failed { job, ended } => (job, Some(ended)),
            Start::Skip(why) => return Ok(Verdict::Drop { why }),
        };
        let run = JobRun {
            services: &self.services,
            community: &community,
            id: &job.id,
            attempt: started.attempt.number,
            payload: &started.payload,
        };
        let ended = match failed {
            Some(ended) => ended,
            None => self.run(delivery, started.attempt, handler.run(&run)).await,
        };
        if let Some(error) = &ended.failed
            && let Err(failure) = handler.failed(&run, error).await
        {
            tracing::warn!(%failure, "what follows from the failure of a job was not done completely");
        }
        Ok(ended.verdict)
    }

    /// Whether a job of a frozen community waits for the end of the freeze.
    async fn waits_while_frozen(
        &self,
        job: &Job,
        handler: &dyn DynJobHandler,
        owner: JobOwner,
    ) -> Result<bool, Failure> {
        let mut tx = owner.begin(&self.services).await?;
        let row = tx.jobs().get(&job.id).await?;
        tx.commit().await?;
        Ok(row.is_some_and(|row| handler.waits_while_frozen(&row.payload)))
    }

    /// Postpones a job of a frozen community, or while the kill switch is on. It does not count as an attempt, and the leader publishes it when it is due.
    async fn postpone(&self, job: &Job, owner: JobOwner, why: &str) -> Result<Verdict, Failure> {
        let mut tx = owner.begin(&self.services).await?;
        tx.jobs().postpone(&job.id, self.services.now() + FROZEN_WAIT).await?;
        tx.commit().await?;
        let why = format!("{why}; the job is postponed");
        Ok(Verdict::Drop { why })
    }

    async fn handle_platform(
        &self,
        delivery: &Delivery,
        job: &Job,
        handler: &dyn DynPlatformJobHandler,
    ) -> Result<Verdict, Failure> {
        let started = match self.start(delivery, job, JobOwner::Platform).await? {
            Start::Run(started) => started,
            Start::Failed { ended, .. } => return Ok(ended.verdict),
            Start::Skip(why) => return Ok(Verdict::Drop { why }),
        };
        let run = PlatformJobRun {
            services: &self.services,
            id: &job.id,
            attempt: started.attempt.number,
            payload: &started.payload,
        };
        Ok(self.run(delivery, started.attempt, handler.run(&run)).await.verdict)
    }

    /// Runs an attempt and stores its outcome; a worker that shuts down returns the job to the queue.
    async fn run(
        &self,
        delivery: &Delivery,
        attempt: Attempt<'_>,
        running: impl Future<Output = Result<(), Failure>>,
    ) -> Ended {
        tokio::select! {
            result = running => self.end(delivery, attempt, result).await,
            () = shutdown_limit(&self.stop) => Ended::without_failure(Verdict::Requeue),
        }
    }

    async fn start<'a>(&self, delivery: &Delivery, job: &'a Job, owner: JobOwner) -> Result<Start<'a>, Failure> {
        let mut tx = owner.begin(&self.services).await?;
        let start = tx.jobs().start(&job.id, self.services.now()).await?;
        if let JobStart::Run { attempt, payload, .. } = &start
            && *attempt > MAX_STARTS
        {
            let started = StartedJob::new(owner, &job.id, *attempt, payload.clone());
            return fail_after_too_many_starts(tx, started).await;
        }
        tx.commit().await?;
        Ok(match start {
            JobStart::Run { attempt, payload, .. } => {
                tracing::Span::current().record("attempt", attempt);
                Start::Run(StartedJob::new(owner, &job.id, attempt, payload))
            }
            // The leader publishes it when it is due.
            JobStart::NotDue(at) => Start::Skip(format!("not due before {at}")),
            JobStart::Finished(JobState::Failed) if was_replayed(delivery) => self.enqueue_copy(owner, &job.id).await?,
            JobStart::Finished(JobState::Failed) if delivery.redelivered() => {
                self.continue_failure(owner, &job.id).await?
            }
            JobStart::Finished(state) => Start::Skip(format!("the job has ended: {}", state.as_str())),
            JobStart::Unknown => Start::Skip("the job does not exist".to_owned()),
        })
    }

    /// A failed job whose message was delivered before: the worker may have ended before it made what follows from the failure.
    async fn continue_failure<'a>(&self, owner: JobOwner, id: &'a str) -> Result<Start<'a>, Failure> {
        let mut tx = owner.begin(&self.services).await?;
        let failed = tx.jobs().get(id).await?;
        tx.commit().await?;
        let Some(failed) = failed else {
            return Ok(Start::Skip("the job does not exist".to_owned()));
        };
        let why = format!("the job has ended: {}", failed.state.as_str());
        Ok(Start::Failed {
            job: StartedJob::new(owner, id, failed.attempts, failed.payload),
            ended: Ended {
                verdict: Verdict::Drop { why },
                failed: failed.error,
            },
        })
    }

    /// Enqueues a copy of a failed job that an operator replayed. The failed job keeps its row with the reason.
    async fn enqueue_copy(&self, owner: JobOwner, id: &str) -> Result<Start<'static>, Failure> {
        let mut tx = owner.begin(&self.services).await?;
        let failed = tx.jobs().get(id).await?;
        tx.commit().await?;
        let Some(failed) = failed else {
            return Ok(Start::Skip("the job does not exist".to_owned()));
        };
        let kind = failed.kind.parse().map_err(Failure::permanent)?;
        let request = JobRequest {
            id: copy_id(id),
            kind,
            payload: failed.payload,
        };
        queue::enqueue_for(&self.services, owner, &request).await?;
        Ok(Start::Skip(format!(
            "the job has failed; it is replayed as {}",
            request.id
        )))
    }

    /// Stores the outcome of the attempt; returns the verdict on the message, and whether the job has failed for good.
    async fn end(&self, delivery: &Delivery, attempt: Attempt<'_>, result: Result<(), Failure>) -> Ended {
        let text = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
        let wait = names::RETRY_SECONDS.get(delivery.attempts() as usize).copied();
        let is_last = delivery.attempts() + 1 >= MAX_ATTEMPTS;
        let (outcome, verdict) = match (result, wait) {
            (Ok(()), _) => (JobOutcome::Succeeded, Verdict::Done),
            // The job has no use any more. If another worker has started it, `end` does not change the row.
            (Err(Failure::Drop(why)), _) => (JobOutcome::Failed { error: &text }, Verdict::Drop { why }),
            (Err(Failure::Retry(_)), Some(seconds)) if !is_last => {
                let due_at = self.services.now() + time::Duration::seconds(i64::from(seconds));
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
        match attempt.end(&self.services, &outcome).await {
            // An attempt that another one has replaced changes nothing.
            Ok(is_latest) => Ended {
                verdict,
                failed: (is_latest && matches!(outcome, JobOutcome::Failed { .. })).then(|| text.clone()),
            },
            // The row is still `running`, so the message is retried whatever the outcome was.
            Err(failure) => Ended::without_failure(Verdict::Retry {
                error: format!("storing the outcome of the job: {failure}"),
            }),
        }
    }
}

/// Fails a job that kills its worker each time.
async fn fail_after_too_many_starts(mut tx: JobTx, job: StartedJob<'_>) -> Result<Start<'_>, Failure> {
    let attempts = job.attempt.number;
    let error = format!("started {attempts} times without an end: it kills its worker");
    tx.jobs()
        .end(job.attempt.id, attempts, &JobOutcome::Failed { error: &error })
        .await?;
    tx.commit().await?;
    Ok(Start::Failed {
        job,
        ended: Ended {
            failed: Some(error.clone()),
            verdict: Failure::permanent(error).into(),
        },
    })
}

/// Returns when an attempt must end because the worker shuts down. An attempt may be cancelled anywhere: the next one continues.
async fn shutdown_limit(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(SHUTDOWN_LIMIT).await;
}

/// Whether an operator replayed the message: `dead-letters replay` keeps the original routing key and resets the attempts.
fn was_replayed(delivery: &Delivery) -> bool {
    delivery.attempts() == 0 && delivery.headers().contains_key(headers::ORIGIN_KEY)
}

/// The id of a job's copy: `x` → `x~1` → `x~2`. Two replays of one dead letter enqueue one copy.
pub(crate) fn copy_id(id: &str) -> String {
    let counted = id
        .rsplit_once('~')
        .and_then(|(base, n)| Some((base, n.parse::<u32>().ok()?)));
    match counted {
        Some((base, n)) => format!("{base}~{}", n + 1),
        None => format!("{id}~1"),
    }
}

/// Whether a delivery starts an attempt.
enum Start<'a> {
    Run(StartedJob<'a>),
    /// No attempt: the job has failed for good.
    Failed {
        job: StartedJob<'a>,
        ended: Ended,
    },
    /// No attempt, for this reason.
    Skip(String),
}

struct StartedJob<'a> {
    attempt: Attempt<'a>,
    payload: Value,
}

impl<'a> StartedJob<'a> {
    fn new(owner: JobOwner, id: &'a str, number: u32, payload: Value) -> Self {
        Self {
            attempt: Attempt { owner, id, number },
            payload,
        }
    }
}

/// How a delivery of a job ended.
struct Ended {
    verdict: Verdict,
    /// The error of a job that has failed for good.
    failed: Option<String>,
}

impl Ended {
    const fn without_failure(verdict: Verdict) -> Self {
        Self { verdict, failed: None }
    }
}

#[cfg(test)]
mod tests {
    use super::copy_id;

    #[test]
    fn copy_of_a_job_has_the_next_number() {
        assert_eq!(copy_id("tier-sync:a"), "tier-sync:a~1");
        assert_eq!(copy_id("tier-sync:a~1"), "tier-sync:a~2");
        assert_eq!(copy_id("odd~name"), "odd~name~1");
    }
}
