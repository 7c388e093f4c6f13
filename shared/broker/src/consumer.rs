//! The consumer loop of a queue: receive deliveries, run the handler, settle the messages, reconnect, stop.
//!
//! Owns prefetch, panics and time limits of handlers, cancelled consumers and deleted queues. The handler decides how its message
//! is settled ([`Verdict`]).

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use arrakis_contracts::dead_letter::DeadLetterReason;
use arrakis_contracts::redact;
use arrakis_fail_point as fail_point;
use futures_util::{FutureExt as _, StreamExt as _};
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::connection::{AmqpConnection, BrokerConnection};
use crate::delivery::{Delivery, SettleOutcome};
use crate::isolation::{Isolation, Suspect};
use crate::publisher::PublishError;
use crate::reply_code::{NOT_FOUND, reply_code};
use crate::retry::RetryPublisher;
use crate::topology::{Topology, TopologyError};

/// How to settle a handled message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Acknowledge it: the work is done.
    Done,
    /// Acknowledge it: there is nothing to do.
    Drop {
        /// The reason, for the log.
        why: String,
    },
    /// Move it to a retry queue: a later attempt may succeed.
    Retry {
        /// The error of this attempt.
        error: String,
    },
    /// Move it to the dead letters: a later attempt cannot succeed.
    DeadLetter {
        /// Why it is not retried.
        reason: DeadLetterReason,
        /// The error of this attempt.
        error: String,
    },
    /// Requeue it: the broker delivers it to another consumer at once.
    Requeue,
    /// Do nothing: the handler has settled it.
    Settled,
}

impl Verdict {
    /// Value of the metrics label `verdict`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Drop { .. } => "drop",
            Self::Retry { .. } => "retry",
            Self::DeadLetter { .. } => "dead_letter",
            Self::Requeue => "give_back",
            Self::Settled => "settled",
        }
    }
}

/// Handles the messages of a queue.
pub trait Handler: Send + Sync + 'static {
    /// Handles one message and returns how to settle it. It may be called with the same message more than once.
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

/// Receives the events of a consumer, for metrics. Each method does nothing by default.
pub trait ConsumerObserver: Send + Sync + 'static {
    /// Consuming `queue` has started, or is interrupted for this reason.
    fn consuming(&self, queue: &str, interruption: Option<&str>) {
        let _ = (queue, interruption);
    }
    /// A message was settled, `took` after its delivery.
    fn settled(&self, queue: &str, verdict: &Verdict, outcome: SettleOutcome, took: Duration) {
        let _ = (queue, verdict, outcome, took);
    }
    /// A handler panicked.
    fn panicked(&self, queue: &str) {
        let _ = queue;
    }
    /// A handler exceeded its time limit.
    fn timed_out(&self, queue: &str) {
        let _ = queue;
    }
}

impl ConsumerObserver for () {}

/// The tokens that stop a consumer, in two stages.
#[derive(Debug, Clone, Default)]
pub struct StopTokens {
    /// Stops receiving: running handlers finish, other deliveries are requeued.
    pub soft: CancellationToken,
    /// Cancels running handlers.
    pub hard: CancellationToken,
}

/// Options for [`consume`].
#[derive(Clone)]
pub struct ConsumeOptions {
    /// Name of the queue.
    pub queue: String,
    /// Largest number of messages that are handled at the same time, which is also the AMQP prefetch count.
    pub prefetch: u16,
    /// Priority among the consumers of the queue, 0 unless there is a reason: a consumer receives messages only while none of a higher priority
    /// could take them.
    pub priority: i32,
    /// Time limit of a handler. When it has passed the handler is cancelled and the message is retried.
    pub limit: Option<Duration>,
    /// Moves failed messages to the retry queues and the dead letters.
    pub retries: RetryPublisher,
    /// The topology, which is declared again when the queue is missing.
    pub topology: Option<Arc<Topology>>,
    /// Handles messages that were redelivered several times one at a time, alone. All consumers of a process share one.
    pub isolation: Isolation,
    /// Receives the consumer's events.
    pub observer: Arc<dyn ConsumerObserver>,
}

/// Why consuming has ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConsumeError {
    /// The queue is missing and cannot be declared again.
    #[error("queue \"{queue}\" is missing and cannot be declared again: {source}")]
    Topology {
        /// Name of the queue.
        queue: String,
        /// Error of the declaration.
        source: TopologyError,
    },
}

/// Why consuming on a channel has ended.
enum ChannelEnd {
    /// A stop token was cancelled.
    Stopped,
    /// The channel ended for this reason, and another one is needed.
    Interrupted(String),
}

/// Consumes a queue until a stop token is cancelled or the connection is closed by this process. After a lost connection, a closed
/// channel or a cancelled consumer it starts again.
///
/// # Errors
/// When the queue was deleted and now exists with other arguments.
pub async fn consume<H: Handler>(
    connection: &BrokerConnection,
    options: ConsumeOptions,
    handler: H,
    stop: &StopTokens,
) -> Result<(), ConsumeError> {
    let mut consumer = Consumer {
        options,
        handler: Arc::new(handler),
        tasks: JoinSet::new(),
    };
    let mut backoff = Backoff::broker();
    loop {
        let amqp = tokio::select! {
            amqp = connection.current() => amqp,
            () = stop.soft.cancelled() => break,
        };
        let Ok(amqp) = amqp else { break };
        let started = tokio::time::Instant::now();
        let end = match consumer.consume_on(&amqp, stop).await {
            Ok(end) => end,
            Err(error) if reply_code(&error) == Some(NOT_FOUND) => consumer.declare_again(&amqp).await?,
            Err(error) => ChannelEnd::Interrupted(error.to_string()),
        };
        let ChannelEnd::Interrupted(reason) = end else { break };
        let queue = &consumer.options.queue;
        tracing::warn!(queue, reason, "consuming is interrupted");
        consumer.options.observer.consuming(queue, Some(&reason));
        if started.elapsed() > Duration::from_secs(10) {
            backoff.reset();
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.next_wait()) => {}
            () = stop.soft.cancelled() => break,
        }
    }
    consumer.drain(stop).await;
    Ok(())
}

struct Consumer<H> {
    options: ConsumeOptions,
    handler: Arc<H>,
    tasks: JoinSet<()>,
}

impl<H: Handler> Consumer<H> {
    async fn consume_on(&mut self, amqp: &AmqpConnection, stop: &StopTokens) -> lapin::Result<ChannelEnd> {
        let channel = amqp.channel().await?;
        let qos = channel.basic_qos(self.options.prefetch, BasicQosOptions::default());
        amqp.until_closed(qos).await?;
        let queue = self.options.queue.as_str();
        let mut arguments = FieldTable::default();
        if self.options.priority != 0 {
            arguments.insert("x-priority".into(), AMQPValue::LongInt(self.options.priority));
        }
        let consume = channel.basic_consume(queue.into(), "".into(), BasicConsumeOptions::default(), arguments);
        let mut deliveries = amqp.until_closed(consume).await?;
        tracing::info!(queue, prefetch = self.options.prefetch, "consuming");
        self.options.observer.consuming(queue, None);
        loop {
            tokio::select! {
                delivery = deliveries.next() => match delivery {
                    Some(Ok(delivery)) => self.start(Delivery::read(&self.options.queue, delivery)),
                    Some(Err(error)) => return Ok(ChannelEnd::Interrupted(error.to_string())),
                    None => return Ok(ChannelEnd::Interrupted("the broker cancelled the consumer (queue deleted or moved)".to_owned())),
                },
                Some(_) = self.tasks.join_next(), if !self.tasks.is_empty() => {}
                () = amqp.closed() => return Ok(ChannelEnd::Interrupted("the connection was lost".to_owned())),
                () = stop.soft.cancelled() => break,
                () = stop.hard.cancelled() => break,
            }
        }
        if fail_point::skips("broker.guard.requeue") {
            std::process::exit(0);
        }
        // Deliveries that no handler has begun are requeued at once, so that another worker receives them.
        let cancel = channel.basic_cancel(deliveries.tag(), BasicCancelOptions::default());
        let _ = tokio::time::timeout(Duration::from_secs(2), cancel).await;
        while let Some(Some(Ok(delivery))) = deliveries.next().now_or_never() {
            Delivery::read(&self.options.queue, delivery).requeue().await;
        }
        // The channel must outlive the handlers: their acknowledgements go through it.
        self.drain(stop).await;
        Ok(ChannelEnd::Stopped)
    }

    fn start(&mut self, delivery: Delivery) {
        let handler = self.handler.clone();
        let options = self.options.clone();
        self.tasks.spawn(async move {
            if fail_point::skips("broker.guard.ack") {
                delivery.ack().await;
            }
            let guarded = !fail_point::skips("broker.guard.isolation");
            if guarded && delivery.is_uncounted_redelivery() {
                let moved = options.retries.count_redelivery(&delivery).await;
                settled(&options, &delivery, &Verdict::Requeue, moved).await;
                return;
            }
            let id = delivery.message_id().unwrap_or_default();
            let suspect = Suspect::of(delivery.redeliveries(), id).filter(|_| guarded);
            if suspect.is_some() {
                tracing::warn!(
                    queue = options.queue,
                    id,
                    redeliveries = delivery.redeliveries(),
                    "message was redelivered several times; handling it alone"
                );
            }
            let work = handle_and_settle(&*handler, &options, &delivery);
            options.isolation.run(suspect, work).await;
        });
    }

    async fn declare_again(&self, amqp: &AmqpConnection) -> Result<ChannelEnd, ConsumeError> {
        let queue = self.options.queue.clone();
        let topology = self.options.topology.as_ref();
        let Some(topology) = topology.filter(|_| !fail_point::skips("broker.guard.redeclare")) else {
            return Ok(ChannelEnd::Interrupted(format!("queue \"{queue}\" does not exist")));
        };
        tracing::error!(queue, "the queue does not exist; declaring the topology again");
        match topology.declare(amqp).await {
            Ok(()) => Ok(ChannelEnd::Interrupted("the queue was declared again".to_owned())),
            Err(error) if error.is_transient() => Ok(ChannelEnd::Interrupted(error.to_string())),
            Err(source) => Err(ConsumeError::Topology { queue, source }),
        }
    }

    /// Waits for the running handlers, and cancels them when the hard token is cancelled.
    async fn drain(&mut self, stop: &StopTokens) {
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

/// The names by which a fail point selects a message.
fn names(delivery: &Delivery) -> [&str; 3] {
    [
        delivery.origin_key(),
        delivery.message_id().unwrap_or_default(),
        delivery.queue(),
    ]
}

async fn run<H: Handler>(handler: &H, options: &ConsumeOptions, delivery: &Delivery) -> Verdict {
    // The handler is called inside the future that catches panics: it may panic before its first await.
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
            options.observer.panicked(&options.queue);
            let message = panic.downcast_ref::<String>().map(String::as_str);
            let message = message
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no message");
            Verdict::Retry {
                error: format!("the handler panicked: {message}"),
            }
        }
        Err(_) => {
            options.observer.timed_out(&options.queue);
            let seconds = options.limit.unwrap_or_default().as_secs_f32();
            Verdict::Retry {
                error: format!("the handler exceeded its time limit of {seconds} s"),
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
            tracing::info!(queue, id, reason = redact::text(why), "message dropped");
            Ok(delivery.ack().await)
        }
        Verdict::Retry { .. } if fail_point::skips("broker.guard.retry_wait") => Ok(delivery.requeue().await),
        Verdict::Retry { error } => {
            tracing::warn!(
                queue,
                id,
                // An error may quote the body, with its tokens.
                error = redact::text(error),
                attempts = delivery.attempts() + 1,
                "handling failed; retrying later"
            );
            options.retries.retry(delivery, error).await
        }
        Verdict::DeadLetter { reason, error } => {
            tracing::error!(
                queue,
                id,
                error = redact::text(error),
                reason = reason.name(),
                "handling failed; moving the message to the dead letters"
            );
            options.retries.dead_letter(delivery, *reason, error).await
        }
        Verdict::Requeue => Ok(delivery.requeue().await),
        Verdict::Settled => Ok(SettleOutcome::Sent),
    };
    settled(options, delivery, &verdict, moved).await;
}

async fn settled(
    options: &ConsumeOptions,
    delivery: &Delivery,
    verdict: &Verdict,
    moved: Result<SettleOutcome, PublishError>,
) {
    let (queue, id) = (options.queue.as_str(), delivery.message_id().unwrap_or_default());
    let outcome = match moved {
        Ok(outcome) => outcome,
        Err(error) => {
            tracing::error!(queue, id, %error, "the failed message cannot be moved; requeueing it");
            delivery.requeue().await
        }
    };
    options
        .observer
        .settled(queue, verdict, outcome, delivery.received().elapsed());
}
