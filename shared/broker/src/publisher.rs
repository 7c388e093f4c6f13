//! Publishing one message and knowing what became of it.
//!
//! For a caller that publishes now and then and must know (jobs, retries, dead letters). For many in order, see
//! [`crate::Pipeline`].

use std::sync::Arc;
use std::time::Duration;

use arrakis_fail_point as fail_point;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use crate::backoff::Backoff;
use crate::channel::Channel;
use crate::confirm::{self, Answer};
use crate::link::{Link, LinkClosed};
use crate::message::Message;
use crate::topology::Topology;

/// How long one try waits for its confirmation before the message is published again under the same id.
const TRY: Duration = Duration::from_secs(5);
/// How long a publish goes on trying unless told otherwise.
const LIMIT: Duration = Duration::from_secs(30);
/// Channels kept for the next publish.
const IDLE_CHANNELS: usize = 32;

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The broker has it, on disk where its queue is a quorum queue.
    Confirmed,
    /// No queue is bound for it. It is nowhere.
    Unroutable {
        /// The broker's words.
        reply: String,
    },
}

/// Nobody knows what became of a message; it may be published again under the same id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The time was over.
    #[error("not confirmed within {seconds} s ({tries} tries); last: {last}")]
    GaveUp {
        /// Tries that were made.
        tries: u32,
        /// How long it tried.
        seconds: u64,
        /// What the last try ended with.
        last: String,
    },
    /// The link was closed by us.
    #[error(transparent)]
    Closed(#[from] LinkClosed),
}

/// Publishes persistent, mandatory messages, confirmed. Cloning shares its channels.
#[derive(Debug, Clone)]
pub struct Publisher {
    link: Link,
    limit: Duration,
    topology: Option<Arc<Topology>>,
    // One publish in flight on a channel: a returned message then belongs to that publish without doubt.
    idle: Arc<Mutex<Vec<(u64, Channel)>>>,
}

impl Publisher {
    /// Publishes on `link`.
    pub fn new(link: Link) -> Self {
        Self {
            link,
            limit: LIMIT,
            topology: None,
            idle: Arc::default(),
        }
    }

    /// The same publisher, giving up after `limit`.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The same publisher, declaring this topology again when no queue wants a message: somebody deleted what should be
    /// there. Only what then still has no queue is unroutable.
    #[must_use]
    pub fn with_topology(mut self, topology: Arc<Topology>) -> Self {
        self.topology = Some(topology);
        self
    }

    /// The link it publishes on.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Publishes until the broker has answered. A lost connection, a refusal and a confirmation that does not come are
    /// tried again under the same id, so the message may arrive more than once.
    ///
    /// # Errors
    /// When the limit is over, or the link is closed: the outcome is then unknown.
    pub async fn publish(&self, message: &Message) -> Result<Outcome, PublishError> {
        let deadline = Instant::now() + self.limit;
        let mut backoff = Backoff::broker();
        let mut tries = 0;
        let mut last = "no connection to the broker".to_owned();
        let topology = self.topology.as_ref();
        let mut topology = topology.filter(|_| !fail_point::skips("broker.guard.redeclare"));
        loop {
            match timeout_at(deadline, self.once(message, &mut tries)).await {
                Ok(Ok(Answer::Confirmed)) => return Ok(Outcome::Confirmed),
                Ok(Ok(Answer::Returned { reply, .. })) => {
                    let Some(topology) = topology.take() else {
                        return Ok(Outcome::Unroutable { reply });
                    };
                    last = format!("no queue wants it: {reply}");
                    let exchange = message.exchange.as_str();
                    tracing::error!(
                        exchange,
                        reply,
                        "no queue wants this message; declaring the topology again"
                    );
                    self.declare_again(topology, deadline).await?;
                }
                Ok(Ok(Answer::Refused)) => last = "the broker refused it (a full queue?)".to_owned(),
                Ok(Ok(Answer::Unknown(interruption))) => {
                    let again = interruption.misses_an_exchange() && !fail_point::skips("broker.guard.redeclare");
                    if let Some(topology) = self.topology.as_ref().filter(|_| again) {
                        tracing::error!(
                            why = interruption.why,
                            "an exchange is missing; declaring the topology again"
                        );
                        self.declare_again(topology, deadline).await?;
                    }
                    last = interruption.why;
                }
                Ok(Err(closed)) => return Err(closed.into()),
                Err(_) => {
                    return Err(PublishError::GaveUp {
                        tries,
                        seconds: self.limit.as_secs(),
                        last,
                    });
                }
            }
            tokio::time::sleep(backoff.next_wait()).await;
        }
    }

    /// Best effort: whether it helped is seen by the next try.
    async fn declare_again(&self, topology: &Topology, deadline: Instant) -> Result<(), LinkClosed> {
        let live = self.link.live().await?;
        match timeout_at(deadline, topology.declare(&live)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the topology could not be declared again"),
            Err(_) => tracing::error!("there was no time to declare the topology again"),
        }
        Ok(())
    }

    async fn once(&self, message: &Message, tries: &mut u32) -> Result<Answer, LinkClosed> {
        let live = self.link.live().await?;
        let kept = self.take(live.epoch);
        let channel = match kept {
            Some(channel) => channel,
            None => match confirm::confirming_channel(&live).await {
                Ok(channel) => channel,
                Err(error) => return Ok(Answer::Unknown((&error).into())),
            },
        };
        *tries += 1;
        let answer = tokio::select! {
            answer = confirm::publish(channel.clone(), message.clone()) => answer,
            () = live.gone() => return Ok(Answer::Unknown("the connection was lost".into())),
            () = tokio::time::sleep(TRY) => Answer::Unknown(format!("no confirmation within {} s", TRY.as_secs()).into()),
        };
        match answer {
            Answer::Unknown(_) => drop(channel),
            _ => self.keep(live.epoch, channel),
        }
        Ok(answer)
    }

    fn take(&self, epoch: u64) -> Option<Channel> {
        let mut idle = self.idle.lock();
        idle.retain(|(of, channel)| *of == epoch && channel.status().connected());
        idle.pop().map(|(_, channel)| channel)
    }

    fn keep(&self, epoch: u64, channel: Channel) {
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_CHANNELS {
            idle.push((epoch, channel));
        }
    }
}
