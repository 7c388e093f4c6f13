//! A last value and the right to change it: a queue for the value, and a lock that lasts as long as the holder's connection.
//!
//! The queue holds one message and has a single active consumer, to whom the broker hands the value within milliseconds of the
//! former holder's end. The holder consumes its own writes and acknowledges a value only when it holds a newer one, so that
//! the newest is always either in the queue or unacknowledged. The queue alone does not exclude two holders: when it is
//! deleted, or its consumer is cancelled, a standby becomes the active consumer of a new queue while the former holder's
//! connection still exists. The lock does: a standby that is delivered the value but does not get the lock gives the value
//! back. `docs/decisions` says why this and not an exclusive consumer.

use std::sync::Arc;
use std::time::Duration;

use arrakis_contracts::labels::HeaderValue;
use arrakis_contracts::names::lease_lock;
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use lapin::Consumer;
use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;

use crate::channel::Channel;
use crate::confirm::{self, Answer};
use crate::delivery::Delivery;
use crate::link::{Link, LinkClosed, Live};
use crate::lock::Lock;
use crate::message::Message;
use crate::topology::{Queue, TopologyError, declare_queue};

/// Header with the number of a write, by which the newest is known.
const WRITE: &str = "write";
/// How long a write may take before the lease counts as lost.
const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// How long a value may be on its way back when an empty one came first.
const LATE_VALUE: Duration = Duration::from_millis(300);
/// How soon who was told of nobody else looks again, and how often a standby looks whether the value itself has gone missing.
const FIRST_LOOK: Duration = Duration::from_millis(500);
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Waits between attempts to take the lock. A former holder's lock may end some milliseconds after its consumer.
const LOCK_WAITS_MS: [u64; 6] = [0, 10, 20, 40, 80, 160];
/// How long a standby that did not get the lock leaves the queue, so that the lock's holder can become its consumer again.
const STEP_ASIDE: Duration = Duration::from_millis(500);

/// Why a lease is not, or no longer, held.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// The queue is not as it should be.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The link was closed by us.
    #[error(transparent)]
    Closed(#[from] LinkClosed),
    /// The connection, the channel or the consumer ended.
    #[error("the lease is lost: {0}")]
    Lost(String),
}

impl From<lapin::Error> for LeaseError {
    fn from(error: lapin::Error) -> Self {
        Self::Lost(error.to_string())
    }
}

/// A lease that is held.
#[derive(Debug)]
pub struct Lease {
    live: Arc<Live>,
    channel: Channel,
    consumer: Consumer,
    link: Link,
    queue: String,
    lock: Lock,
    held: Delivery,
    /// Values that a newer one has replaced; kept until acknowledged, whatever is cancelled meanwhile.
    older: Vec<Delivery>,
    write: i64,
}

impl Lease {
    /// Waits until the lease is ours, for as long as the connection lasts. Answers it with the value that was kept, if any.
    /// `waiting` is called when another holds it.
    ///
    /// # Errors
    /// When the queue differs, the link is closed, or the connection is lost meanwhile (then try again).
    pub async fn acquire(link: &Link, queue: &Queue, waiting: impl Fn()) -> Result<(Self, Option<Bytes>), LeaseError> {
        let live = link.live().await?;
        loop {
            let acquired = tokio::select! {
                acquired = Self::acquire_on(live.clone(), link, queue, &waiting) => acquired?,
                () = live.gone() => return Err(LeaseError::Lost("the connection was lost".to_owned())),
            };
            if let Some(acquired) = acquired {
                return Ok(acquired);
            }
            tokio::time::sleep(STEP_ASIDE).await;
        }
    }

    /// One turn as a consumer of the queue. `None` when the value was delivered, but another connection has the lock.
    async fn acquire_on(
        live: Arc<Live>,
        link: &Link,
        queue: &Queue,
        waiting: &impl Fn(),
    ) -> Result<Option<(Self, Option<Bytes>)>, LeaseError> {
        let channel = confirm::confirming_channel(&live).await?;
        let before = declare_queue(&channel, queue).await?;
        if before.message_count() == 0 && before.consumer_count() == 0 {
            seed(&channel, &queue.name).await?;
        }
        // More than one may be under way: the value held and the one just written.
        channel.basic_qos(4, BasicQosOptions::default()).await?;
        let mut consumer = channel
            .basic_consume(
                queue.name.as_str().into(),
                "".into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await?;
        let first = first_value(
            &live,
            &channel,
            queue,
            &mut consumer,
            before.consumer_count() > 0,
            waiting,
        )
        .await?;
        let Some(lock) = take_lock(&live, &lease_lock(&queue.name), waiting).await? else {
            tracing::warn!(
                queue = queue.name,
                "delivered the shard's value, but another connection still holds the lock; giving the value back"
            );
            let _ = channel.close(200, "another connection holds the lock".into()).await;
            return Ok(None);
        };
        let write = number(&first);
        let mut lease = Self {
            live,
            channel,
            consumer,
            lock,
            link: link.clone(),
            queue: queue.name.clone(),
            held: first,
            older: Vec::new(),
            write,
        };
        // A holder that died between a write and its acknowledgement left two values.
        while let Some(Some(delivery)) = lease.consumer.next().now_or_never() {
            lease.receive(delivery?).await;
        }
        // An empty value may be a seed that was put in while a quorum queue was still giving back the real one.
        if lease.held.body().is_empty()
            && let Ok(Some(delivery)) = tokio::time::timeout(LATE_VALUE, lease.consumer.next()).await
        {
            lease.receive(delivery?).await;
        }
        let value = Some(lease.held.body().clone()).filter(|body| !body.is_empty());
        Ok(Some((lease, value)))
    }

    /// Epoch of the connection that the lease is on: only what is published there is fenced by it.
    pub fn epoch(&self) -> u64 {
        self.live.epoch
    }

    /// Replaces the value. When it returns, the broker has it.
    ///
    /// # Errors
    /// When the lease is lost. Which value the broker then has is not known.
    pub async fn write(&mut self, value: impl Into<Bytes>) -> Result<(), LeaseError> {
        let value = value.into();
        loop {
            let write = number(&self.held).max(self.write) + 1;
            self.publish(write, value.clone()).await?;
            self.wait_for(write).await?;
            // A value with a higher number can only be one that a dead holder left and the broker gave back late.
            if number(&self.held) == write {
                return Ok(());
            }
        }
    }

    async fn publish(&mut self, write: i64, value: Bytes) -> Result<(), LeaseError> {
        let publish = confirm::publish(self.channel.clone(), message(&self.queue, write, value));
        let answer = tokio::select! {
            answer = publish => answer,
            () = self.live.gone() => Answer::Unknown("the connection was lost".into()),
            () = overdue(&self.link) => Answer::Unknown("the value was not confirmed in time".into()),
        };
        match answer {
            Answer::Confirmed => self.write = write,
            Answer::Unknown(interruption) => return Err(LeaseError::Lost(interruption.why)),
            answer => return Err(LeaseError::Lost(format!("the value was not taken: {answer:?}"))),
        }
        Ok(())
    }

    /// Consumes until the value with this number, or a higher one, is held.
    async fn wait_for(&mut self, write: i64) -> Result<(), LeaseError> {
        while number(&self.held) < write {
            let next = tokio::time::timeout(WRITE_WITHIN, self.consumer.next()).await;
            match next {
                Ok(Some(delivery)) => self.receive(delivery?).await,
                Ok(None) => return Err(LeaseError::Lost("the consumer was cancelled".to_owned())),
                Err(_) => {
                    let why = "the value did not come back: another holds the lease";
                    return Err(LeaseError::Lost(why.to_owned()));
                }
            }
        }
        Ok(())
    }

    /// Resolves when the lease is lost, with the reason. Cancel-safe.
    pub async fn lost(&mut self) -> String {
        loop {
            let live = self.live.clone();
            tokio::select! {
                () = live.gone() => return "the connection was lost".to_owned(),
                () = self.lock.lost() => return "the lock was deleted".to_owned(),
                delivery = self.consumer.next() => match delivery {
                    Some(Ok(delivery)) => self.receive(delivery).await,
                    Some(Err(error)) => return error.to_string(),
                    None => return "the consumer was cancelled (queue deleted or moved)".to_owned(),
                },
            }
        }
    }

    /// Gives the lease back with its newest value: the standby has it in milliseconds.
    pub async fn release(self) {
        let release = async {
            self.lock.release().await?;
            self.channel.close(200, "released".into()).await
        };
        if let Ok(Err(error)) = tokio::time::timeout(Duration::from_secs(1), release).await {
            tracing::debug!(queue = self.queue, %error, "the lease was not released; it ends with the connection");
        }
    }

    /// Keeps the newer of two values and acknowledges the older.
    async fn receive(&mut self, delivery: lapin::message::Delivery) {
        let delivery = Delivery::read(&self.queue, delivery);
        let older = if number(&delivery) > number(&self.held) {
            std::mem::replace(&mut self.held, delivery)
        } else {
            delivery
        };
        self.older.push(older);
        while let Some(older) = self.older.last() {
            // A second acknowledgement after a cancelled first one does nothing.
            older.ack().await;
            self.older.pop();
        }
    }
}

/// Resolves when a write has taken too long. Time during which the broker takes no messages does not count: the lease is
/// then still ours.
async fn overdue(link: &Link) {
    loop {
        tokio::time::sleep(WRITE_WITHIN).await;
        if !link.is_blocked() {
            return;
        }
    }
}

/// Takes the lock. `None` when another connection keeps it for longer than the end of a connection takes.
async fn take_lock(live: &Live, name: &str, waiting: &impl Fn()) -> Result<Option<Lock>, LeaseError> {
    for wait in LOCK_WAITS_MS {
        tokio::time::sleep(Duration::from_millis(wait)).await;
        if let Some(lock) = Lock::take(live, name).await? {
            return Ok(Some(lock));
        }
        waiting();
    }
    Ok(None)
}

async fn first_value(
    live: &Live,
    channel: &Channel,
    queue: &Queue,
    consumer: &mut Consumer,
    others: bool,
    waiting: &impl Fn(),
) -> Result<Delivery, LeaseError> {
    if others {
        waiting();
    }
    let mut alone = 0;
    let mut look = FIRST_LOOK;
    loop {
        tokio::select! {
            () = live.gone() => return Err(LeaseError::Lost("the connection was lost".to_owned())),
            delivery = consumer.next() => return match delivery {
                Some(delivery) => Ok(Delivery::read(&queue.name, delivery?)),
                None => Err(LeaseError::Lost("the consumer was cancelled".to_owned())),
            },
            () = tokio::time::sleep(look) => {
                look = LOOK_EVERY;
                let now = declare_queue(channel, queue).await?;
                // Two that came at the same moment each saw a queue without consumers.
                if now.consumer_count() > 1 {
                    waiting();
                }
                // Nobody else consumes and nothing comes: the value was lost with its queue's node, or purged.
                alone = if now.consumer_count() == 1 && now.message_count() == 0 { alone + 1 } else { 0 };
                if alone == 2 {
                    seed(channel, &queue.name).await?;
                }
            }
        }
    }
}

/// Puts a first, empty value in, so that there is something to be delivered to the holder.
async fn seed(channel: &Channel, queue: &str) -> Result<(), LeaseError> {
    match confirm::publish(channel.clone(), message(queue, 0, Bytes::new())).await {
        Answer::Confirmed => Ok(()),
        answer => Err(LeaseError::Lost(format!("the first value was not taken: {answer:?}"))),
    }
}

fn message(queue: &str, write: i64, value: Bytes) -> Message {
    let mut message = Message::new("", queue, format!("{queue}:{write}"), "lease", value);
    message.headers.insert(WRITE.to_owned(), HeaderValue::Integer(write));
    message
}

fn number(delivery: &Delivery) -> i64 {
    match delivery.headers().get(WRITE) {
        Some(HeaderValue::Integer(number)) => *number,
        _ => -1,
    }
}
