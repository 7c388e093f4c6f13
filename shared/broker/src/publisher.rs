//! Publishing single messages, each awaited until it is confirmed (jobs, retries, dead letters). For many messages in order, see
//! [`crate::Pipeline`].

use std::sync::Arc;
use std::time::Duration;

use arrakis_fail_point as fail_point;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use crate::backoff::Backoff;
use crate::channel::Channel;
use crate::confirm::{self, PublishResult};
use crate::connection::{AmqpConnection, BrokerConnection, ConnectionClosed};
use crate::message::Message;
use crate::topology::Topology;

/// Longest time of a confirmation before the message is published again under the same id.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time limit of a publish unless [`Publisher::with_limit`] sets another.
const DEFAULT_LIMIT: Duration = Duration::from_secs(30);
/// Largest number of idle channels that are kept for the next publish.
const MAX_IDLE_CHANNELS: usize = 32;

/// Result of a publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishOutcome {
    /// The broker has stored the message; on disk if its queue is a quorum queue.
    Confirmed,
    /// No queue is bound for the message. It is not stored.
    Unroutable {
        /// Reply code and text of the broker.
        reply: String,
    },
}

/// A publish with an unknown outcome. The message may be published again under the same id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The time limit has passed.
    #[error("not confirmed within {seconds} s ({attempts} attempts); last error: {last_error}")]
    NotConfirmed {
        /// Number of attempts.
        attempts: u32,
        /// The time limit in seconds.
        seconds: u64,
        /// Error of the last attempt.
        last_error: String,
    },
    /// The broker connection was closed by this process.
    #[error(transparent)]
    Closed(#[from] ConnectionClosed),
}

/// Publishes single persistent, mandatory messages and awaits their confirmation. Clones share the channels.
#[derive(Debug, Clone)]
pub struct Publisher {
    connection: BrokerConnection,
    limit: Duration,
    topology: Option<Arc<Topology>>,
    discards: bool,
    // Idle channels with the epoch of their connection. A channel has one publish in flight, so a returned message belongs to it.
    idle: Arc<Mutex<Vec<(u64, Channel)>>>,
}

impl Publisher {
    /// A publisher on `connection`, with a time limit of 30 s for each publish.
    pub fn new(connection: BrokerConnection) -> Self {
        Self {
            connection,
            limit: DEFAULT_LIMIT,
            topology: None,
            discards: false,
            idle: Arc::default(),
        }
    }

    /// Sets the time limit of a publish.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Sets a topology that is declared again when no queue takes a message or an exchange does not exist. A publish returns
    /// [`PublishOutcome::Unroutable`] only if that does not help.
    #[must_use]
    pub fn with_topology(mut self, topology: Arc<Topology>) -> Self {
        self.topology = Some(topology);
        self
    }

    /// A publisher that discards each message and returns that it is confirmed: of a worker in the shadow group, which must have no effect.
    #[must_use]
    pub fn discarding(mut self) -> Self {
        self.discards = true;
        self
    }

    /// The connection that it publishes on.
    pub fn connection(&self) -> &BrokerConnection {
        &self.connection
    }

    /// Publishes a message until it is confirmed. After a lost connection, a refusal or a missing confirmation it is published
    /// again under the same id, so it may be stored more than once.
    ///
    /// # Errors
    /// When the time limit has passed, or the connection is closed by this process. The outcome is then unknown.
    pub async fn publish(&self, message: &Message) -> Result<PublishOutcome, PublishError> {
        if self.discards {
            return Ok(PublishOutcome::Confirmed);
        }
        let deadline = Instant::now() + self.limit;
        let mut backoff = Backoff::broker();
        let mut attempts = 0;
        let mut last_error = "no connection to the broker".to_owned();
        let topology = self.topology.as_ref();
        let mut topology = topology.filter(|_| !fail_point::skips("broker.guard.redeclare"));
        loop {
            match timeout_at(deadline, self.attempt(message, &mut attempts)).await {
                Ok(Ok(PublishResult::Confirmed)) => return Ok(PublishOutcome::Confirmed),
                Ok(Ok(PublishResult::Returned { reply, .. })) => {
                    let Some(topology) = topology.take() else {
                        return Ok(PublishOutcome::Unroutable { reply });
                    };
                    last_error = format!("no queue takes the message: {reply}");
                    let exchange = message.exchange.as_str();
                    tracing::error!(
                        exchange,
                        reply,
                        "no queue takes the message; declaring the topology again"
                    );
                    self.declare_again(topology, deadline).await?;
                }
                Ok(Ok(PublishResult::Refused)) => {
                    last_error = "the broker refused the message: a queue is full or unavailable".to_owned();
                }
                Ok(Ok(PublishResult::Unknown(error))) => {
                    let redeclare = error.is_not_found() && !fail_point::skips("broker.guard.redeclare");
                    if let Some(topology) = self.topology.as_ref().filter(|_| redeclare) {
                        tracing::error!(
                            reason = error.reason,
                            "an exchange is missing; declaring the topology again"
                        );
                        self.declare_again(topology, deadline).await?;
                    }
                    last_error = error.reason;
                }
                Ok(Err(closed)) => return Err(closed.into()),
                Err(_) => {
                    return Err(PublishError::NotConfirmed {
                        attempts,
                        seconds: self.limit.as_secs(),
                        last_error,
                    });
                }
            }
            tokio::time::sleep(backoff.next_wait()).await;
        }
    }

    /// Declares the topology. A failure is only logged: the next attempt to publish fails again if it matters.
    async fn declare_again(&self, topology: &Topology, deadline: Instant) -> Result<(), ConnectionClosed> {
        let amqp = self.connection.current().await?;
        match timeout_at(deadline, topology.declare(&amqp)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the topology cannot be declared again"),
            Err(_) => tracing::error!("the time limit of the publish passed before the topology was declared again"),
        }
        Ok(())
    }

    async fn attempt(&self, message: &Message, attempts: &mut u32) -> Result<PublishResult, ConnectionClosed> {
        let amqp = self.connection.current().await?;
        let channel = match self.take_idle(&amqp) {
            Some(channel) => channel,
            None => match confirm::confirming_channel(&amqp).await {
                Ok(channel) => channel,
                Err(error) => return Ok(PublishResult::Unknown((&error).into())),
            },
        };
        *attempts += 1;
        let result = tokio::select! {
            result = confirm::publish(channel.clone(), message.clone()) => result,
            () = amqp.closed() => return Ok(PublishResult::Unknown("the connection was lost".into())),
            () = tokio::time::sleep(ATTEMPT_TIMEOUT) => {
                PublishResult::Unknown(format!("no confirmation within {} s", ATTEMPT_TIMEOUT.as_secs()).into())
            }
        };
        match result {
            PublishResult::Unknown(_) => drop(channel),
            _ => self.keep_idle(&amqp, channel),
        }
        Ok(result)
    }

    fn take_idle(&self, amqp: &AmqpConnection) -> Option<Channel> {
        let mut idle = self.idle.lock();
        idle.retain(|(epoch, channel)| *epoch == amqp.epoch && channel.status().connected());
        idle.pop().map(|(_, channel)| channel)
    }

    fn keep_idle(&self, amqp: &AmqpConnection, channel: Channel) {
        let mut idle = self.idle.lock();
        if idle.len() < MAX_IDLE_CHANNELS {
            idle.push((amqp.epoch, channel));
        }
    }
}
