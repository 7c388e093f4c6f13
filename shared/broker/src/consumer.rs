//! The loop around a handler: deliver, handle, settle; connect again; stop softly or hard.
//!
//! Owns prefetch, panics, handlers that hang, cancelled consumers and deleted queues. Refuses to decide what a failure
//! means: the handler's [`Verdict`] says it.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use arrakis_contracts::dead_letter::DeadReason;
use arrakis_contracts::redact;
use arrakis_fail_point as fail_point;
use futures_util::{FutureExt as _, StreamExt as _};
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::delivery::{Delivery, Settled};
use crate::failures::Failures;
use crate::isolation::{Isolation, Suspect};
use crate::link::{Link, Live};
use crate::publisher::PublishError;
use crate::topology::{Topology, TopologyError};

/// What a handler says of the message it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Done: acknowledge.
    Done,
    /// Nothing to do, for this reason: acknowledge.
    Drop {
        /// Why, for the log.
        why: String,
    },
    /// Trying again later may help.
    Retry {
        /// What failed.
        error: String,
    },
    /// Trying again cannot help.
    DeadLetter {
        /// Why it is given up.
        reason: DeadReason,
        /// What failed.
        error: String,
    },
    /// Let another have it, now.
    GiveBack,
    /// The handler has settled it itself.
    Settled,
}

impl Verdict {
    /// Name, for metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Drop { .. } => "drop",
            Self::Retry { .. } => "retry",
            Self::DeadLetter { .. } => "dead_letter",
            Self::GiveBack => "give_back",
            Self::Settled => "settled",
        }
    }
}

/// Handles one message.
pub trait Handler: Send + Sync + 'static {
    /// Handles it and says what becomes of it. May be called with the same message more than once.
    fn handle(&self, delivery: Delivery) -> impl Future<Output = Verdict> + Send;
}

impl<F, Fut> Handler for F
where
    F: Fn(Delivery) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Verdict> + Send,
{
    fn handle(&self, delivery: Delivery) -> impl Future<Output = Verdict> + Send {
        self(delivery)
    }
}

/// What a consumer tells of itself, for metrics. Every method may stay as it is.
pub trait ConsumerEvents: Send + Sync + 'static {
    /// It listens to `queue`, or no longer does, for this reason.
    fn listening(&self, queue: &str, why_not: Option<&str>) {
        let _ = (queue, why_not);
    }
    /// A message was settled, after this long.
    fn settled(&self, queue: &str, verdict: &Verdict, settled: Settled, took: Duration) {
        let _ = (queue, verdict, settled, took);
    }
    /// A handler panicked.
    fn panicked(&self, queue: &str) {
        let _ = queue;
    }
    /// A handler took longer than it may.
    fn hung(&self, queue: &str) {
        let _ = queue;
    }
}

impl ConsumerEvents for () {}

/// When to stop.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// Take no more; finish what is held.
    pub soft: CancellationToken,
    /// Leave now.
    pub hard: CancellationToken,
}

/// How to consume one queue.
#[derive(Clone)]
pub struct ConsumeOptions {
    /// Queue.
    pub queue: String,
    /// Messages handled at once, and held from others.
    pub prefetch: u16,
    /// How long a handler may take; after that it is stopped and the message tried again later.
    pub limit: Option<Duration>,
    /// Where failures go.
    pub failures: Failures,
    /// Declared again when the queue was deleted.
    pub topology: Option<Arc<Topology>>,
    /// Shared by all consumers of the process.
    pub isolation: Isolation,
    /// Who is told.
    pub events: Arc<dyn ConsumerEvents>,
}

/// Why consuming cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConsumeError {
    /// The queue is gone and cannot be declared as it should be.
    #[error("queue \"{queue}\" is gone and cannot be declared again: {source}")]
    Topology {
        /// Queue.
        queue: String,
        /// Why not.
        source: TopologyError,
    },
}

enum End {
    Stopped,
    Again(String),
}

/// Consumes until told to stop. Lost connections, closed channels and cancelled consumers are mended here.
///
/// # Errors
/// When the queue was deleted and now exists with other arguments.
pub async fn consume<H: Handler>(
    link: &Link,
    options: ConsumeOptions,
    handler: H,
    stop: &Stop,
) -> Result<(), ConsumeError> {
    let mut consuming = Consuming {
        options,
        handler: Arc::new(handler),
        tasks: JoinSet::new(),
    };
    let mut backoff = Backoff::broker();
    loop {
        let live = tokio::select! {
            live = link.live() => live,
            () = stop.soft.cancelled() => break,
        };
        let Ok(live) = live else { break };
        let started = tokio::time::Instant::now();
        let end = match consuming.one_connection(&live, stop).await {
            Ok(end) => end,
            Err(error) if is_missing_queue(&error) => consuming.declare_again(&live).await?,
            Err(error) => End::Again(error.to_string()),
        };
        let End::Again(why) = end else { break };
        let queue = &consuming.options.queue;
        tracing::warn!(queue, why, "consuming is interrupted");
        consuming.options.events.listening(queue, Some(&why));
        if started.elapsed() > Duration::from_secs(10) {
            backoff.reset();
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.next_wait()) => {}
            () = stop.soft.cancelled() => break,
        }
    }
    consuming.drain(stop).await;
    Ok(())
}

struct Consuming<H> {
    options: ConsumeOptions,
    handler: Arc<H>,
    tasks: JoinSet<()>,
}

impl<H: Handler> Consuming<H> {
    async fn one_connection(&mut self, live: &Live, stop: &Stop) -> lapin::Result<End> {
        let channel = live.channel().await?;
        let qos = channel.basic_qos(self.options.prefetch, BasicQosOptions::default());
        live.guard(qos).await?;
        let queue = self.options.queue.as_str();
        let consume = channel.basic_consume(
            queue.into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let mut consumer = live.guard(consume).await?;
        tracing::info!(queue, prefetch = self.options.prefetch, "consuming");
        self.options.events.listening(queue, None);
        loop {
            tokio::select! {
                delivery = consumer.next() => match delivery {
                    Some(Ok(delivery)) => self.start(Delivery::read(&self.options.queue, delivery)),
                    Some(Err(error)) => return Ok(End::Again(error.to_string())),
                    None => return Ok(End::Again("the broker cancelled the consumer (queue deleted or moved)".to_owned())),
                },
                Some(_) = self.tasks.join_next(), if !self.tasks.is_empty() => {}
                () = live.gone() => return Ok(End::Again("the connection was lost".to_owned())),
                () = stop.soft.cancelled() => break,
                () = stop.hard.cancelled() => break,
            }
        }
        if fail_point::skips("broker.guard.requeue") {
            std::process::exit(0);
        }
        // What the broker had sent already and nobody has begun goes back at once, so that another worker takes it now.
        let cancel = channel.basic_cancel(consumer.tag(), BasicCancelOptions::default());
        let _ = tokio::time::timeout(Duration::from_secs(2), cancel).await;
        while let Some(Some(Ok(delivery))) = consumer.next().now_or_never() {
            Delivery::read(&self.options.queue, delivery).give_back().await;
        }
        // The channel must outlive the handlers: their acknowledgements go through it.
        self.drain(stop).await;
        Ok(End::Stopped)
    }

    fn start(&mut self, delivery: Delivery) {
        let handler = self.handler.clone();
        let options = self.options.clone();
        self.tasks.spawn(async move {
            if fail_point::skips("broker.guard.ack") {
                delivery.ack().await;
            }
            let guarded = !fail_point::skips("broker.guard.isolation");
            if guarded && delivery.is_uncounted_return() {
                let moved = options.failures.count_return(&delivery).await;
                settled(&options, &delivery, &Verdict::GiveBack, moved).await;
                return;
            }
            let id = delivery.message_id().unwrap_or_default();
            let suspect = Suspect::of(delivery.returns(), id).filter(|_| guarded);
            if suspect.is_some() {
                tracing::warn!(
                    queue = options.queue,
                    id,
                    returns = delivery.returns(),
                    "came back again and again; handled alone"
                );
            }
            let work = handle_and_settle(&*handler, &options, &delivery);
            options.isolation.run(suspect, work).await;
        });
    }

    async fn declare_again(&self, live: &Live) -> Result<End, ConsumeError> {
        let queue = self.options.queue.clone();
        let topology = self.options.topology.as_ref();
        let Some(topology) = topology.filter(|_| !fail_point::skips("broker.guard.redeclare")) else {
            return Ok(End::Again(format!("queue \"{queue}\" does not exist")));
        };
        tracing::error!(queue, "the queue does not exist; declaring the topology again");
        match topology.declare(live).await {
            Ok(()) => Ok(End::Again("the queue was declared again".to_owned())),
            Err(error) if error.is_transient() => Ok(End::Again(error.to_string())),
            Err(source) => Err(ConsumeError::Topology { queue, source }),
        }
    }

    /// Waits for the handlers, or stops them when it is time to leave.
    async fn drain(&mut self, stop: &Stop) {
        while !self.tasks.is_empty() {
            tokio::select! {
                _ = self.tasks.join_next() => {}
                () = stop.hard.cancelled() => {
                    self.tasks.shutdown().await;
                }
            }
        }
    }
}

async fn handle_and_settle<H: Handler>(handler: &H, options: &ConsumeOptions, delivery: &Delivery) {
    let names = names(delivery);
    fail_point::hit_at("broker.consumed", &names).await;
    let verdict = run(handler, options, delivery).await;
    fail_point::hit_at("broker.handled", &names).await;
    settle(options, delivery, verdict).await;
    fail_point::hit_at("broker.acked", &names).await;
}

/// By what a fail point tells one message from another.
fn names(delivery: &Delivery) -> [&str; 3] {
    [
        delivery.origin_key(),
        delivery.message_id().unwrap_or_default(),
        delivery.queue(),
    ]
}

async fn run<H: Handler>(handler: &H, options: &ConsumeOptions, delivery: &Delivery) -> Verdict {
    // The handler is called inside the guarded future: it may panic before its first await.
    let guarded = AssertUnwindSafe(async {
        fail_point::hit_at("broker.handling", &names(delivery)).await;
        if fail_point::skips_at("broker.failing", &names(delivery)) {
            let error = "fail point broker.failing".to_owned();
            return Verdict::Retry { error };
        }
        handler.handle(delivery.clone()).await
    })
    .catch_unwind();
    let limit = options.limit.filter(|_| !fail_point::skips("broker.guard.limit"));
    let finished = match limit {
        Some(limit) => tokio::time::timeout(limit, guarded).await,
        None => Ok(guarded.await),
    };
    match finished {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(_)) if fail_point::skips("broker.guard.panic") => std::process::abort(),
        Ok(Err(panic)) => {
            options.events.panicked(&options.queue);
            let words = panic.downcast_ref::<String>().map(String::as_str);
            let words = words
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no words");
            Verdict::Retry {
                error: format!("the handler panicked: {words}"),
            }
        }
        Err(_) => {
            options.events.hung(&options.queue);
            let seconds = options.limit.unwrap_or_default().as_secs_f32();
            Verdict::Retry {
                error: format!("the handler was stopped after {seconds} s"),
            }
        }
    }
}

async fn settle(options: &ConsumeOptions, delivery: &Delivery, verdict: Verdict) {
    let id = delivery.message_id().unwrap_or_default();
    let queue = options.queue.as_str();
    let moved = match &verdict {
        Verdict::Done => Ok(delivery.ack().await),
        Verdict::Drop { why } => {
            tracing::info!(queue, id, why = redact::text(why), "dropped");
            Ok(delivery.ack().await)
        }
        Verdict::Retry { .. } if fail_point::skips("broker.guard.retry_wait") => Ok(delivery.give_back().await),
        Verdict::Retry { error } => {
            tracing::warn!(
                queue,
                id,
                // An error may quote what it was about.
                error = redact::text(error),
                attempts = delivery.attempts() + 1,
                "failed; trying again later"
            );
            options.failures.retry(delivery, error).await
        }
        Verdict::DeadLetter { reason, error } => {
            tracing::error!(
                queue,
                id,
                error = redact::text(error),
                reason = reason.name(),
                "failed for good"
            );
            options.failures.dead_letter(delivery, *reason, error).await
        }
        Verdict::GiveBack => Ok(delivery.give_back().await),
        Verdict::Settled => Ok(Settled::Yes),
    };
    settled(options, delivery, &verdict, moved).await;
}

async fn settled(
    options: &ConsumeOptions,
    delivery: &Delivery,
    verdict: &Verdict,
    moved: Result<Settled, PublishError>,
) {
    let (queue, id) = (options.queue.as_str(), delivery.message_id().unwrap_or_default());
    let settled = match moved {
        Ok(settled) => settled,
        Err(error) => {
            tracing::error!(queue, id, %error, "the failed message could not be moved; it goes back to its queue");
            delivery.give_back().await
        }
    };
    options
        .events
        .settled(queue, verdict, settled, delivery.received().elapsed());
}

fn is_missing_queue(error: &lapin::Error) -> bool {
    matches!(error.kind(), lapin::ErrorKind::ProtocolError(refusal) if refusal.get_id() == 404)
}
