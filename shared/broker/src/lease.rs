//! A lease: a stored value and the exclusive right to change it. A queue holds the value, and a lock exists as long as the
//! holder's connection.
//!
//! The queue holds one message and has a single active consumer. When the holder ends, the broker delivers the value to the next
//! consumer within milliseconds. The holder consumes its own writes and acknowledges a value only when it has received a newer
//! one, so the newest value is always in the queue or unacknowledged. The queue alone does not exclude two holders: when it is
//! deleted, or its consumer is cancelled, a standby becomes the active consumer of a new queue while the former holder's
//! connection still exists. The lock excludes them: a standby that receives the value without getting the lock requeues the
//! value. `docs/decisions` compares this with an exclusive consumer.

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
use crate::confirm::{self, PublishResult};
use crate::connection::{AmqpConnection, BrokerConnection, ConnectionClosed};
use crate::delivery::Delivery;
use crate::lock::Lock;
use crate::message::Message;
use crate::topology::{Queue, TopologyError, declare_queue};

/// Header with the number of a write; the highest is the newest.
const WRITE: &str = "write";
/// Time limit of a write. A lease whose write takes longer counts as lost.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait for a requeued value after an empty one was delivered first.
const LATE_VALUE: Duration = Duration::from_millis(300);
/// Time until a consumer first checks for other consumers and for a lost value.
const FIRST_CHECK: Duration = Duration::from_millis(500);
/// Interval of the later checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// Waits before each attempt to take the lock, in milliseconds. The lock of a former holder may end some milliseconds after its
/// consumer.
const LOCK_WAITS_MS: [u64; 6] = [0, 10, 20, 40, 80, 160];
/// How long a standby that did not get the lock stops consuming, so that the lock's holder can become the active consumer again.
const CONSUMER_PAUSE: Duration = Duration::from_millis(500);

/// Why a lease is not held, or no longer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// The lease's queue exists with other properties, or the broker refuses it.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The broker connection was closed by this process.
    #[error(transparent)]
    Closed(#[from] ConnectionClosed),
    /// The connection, the channel or the consumer ended.
    #[error("the lease is lost: {0}")]
    Lost(String),
}

impl From<lapin::Error> for LeaseError {
    fn from(error: lapin::Error) -> Self {
        Self::Lost(error.to_string())
    }
}

/// A lease that this process holds. Dropping it releases it when its connection closes.
#[derive(Debug)]
pub struct Lease {
    amqp: Arc<AmqpConnection>,
    channel: Channel,
    consumer: Consumer,
    connection: BrokerConnection,
    queue: String,
    lock: Lock,
    /// The newest value received, unacknowledged.
    newest: Delivery,
    /// Older values that are not acknowledged yet. A cancelled call must not lose them.
    older: Vec<Delivery>,
    /// Number of the last confirmed write.
    last_write: i64,
}

impl Lease {
    /// Waits until this process holds the lease. Returns it with the stored value, if there is one. `waiting` is called when another
    /// process holds the lease.
    ///
    /// # Errors
    /// When the queue exists with other properties, when the connection is closed by this process, and when it is lost, in which case
    /// the caller should retry.
    pub async fn acquire(
        connection: &BrokerConnection,
        queue: &Queue,
        waiting: impl Fn(),
    ) -> Result<(Self, Option<Bytes>), LeaseError> {
        let amqp = connection.current().await?;
        loop {
            let acquired = tokio::select! {
                acquired = Self::acquire_on(amqp.clone(), connection, queue, &waiting) => acquired?,
                () = amqp.closed() => return Err(LeaseError::Lost("the connection was lost".to_owned())),
            };
            if let Some(acquired) = acquired {
                return Ok(acquired);
            }
            tokio::time::sleep(CONSUMER_PAUSE).await;
        }
    }

    /// Consumes the queue until the value is delivered. Returns `None` when another connection holds the lock then.
    async fn acquire_on(
        amqp: Arc<AmqpConnection>,
        connection: &BrokerConnection,
        queue: &Queue,
        waiting: &impl Fn(),
    ) -> Result<Option<(Self, Option<Bytes>)>, LeaseError> {
        let channel = confirm::confirming_channel(&amqp).await?;
        let before = declare_queue(&channel, queue).await?;
        if before.message_count() == 0 && before.consumer_count() == 0 {
            seed(&channel, &queue.name).await?;
        }
        // More than one value may be unacknowledged: the newest and the one just written.
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
            &amqp,
            &channel,
            queue,
            &mut consumer,
            before.consumer_count() > 0,
            waiting,
        )
        .await?;
        let Some(lock) = take_lock(&amqp, &lease_lock(&queue.name), waiting).await? else {
            tracing::warn!(
                queue = queue.name,
                "received the value of the lease, but another connection still holds the lock; requeueing the value"
            );
            let _ = channel.close(200, "another connection holds the lock".into()).await;
            return Ok(None);
        };
        let last_write = number(&first);
        let mut lease = Self {
            amqp,
            channel,
            consumer,
            lock,
            connection: connection.clone(),
            queue: queue.name.clone(),
            newest: first,
            older: Vec::new(),
            last_write,
        };
        // A holder that died between a write and the acknowledgement of the older value left two values.
        while let Some(Some(delivery)) = lease.consumer.next().now_or_never() {
            lease.receive(delivery?).await;
        }
        // An empty value may be one that was published while a quorum queue was still requeueing the real one.
        if lease.newest.body().is_empty()
            && let Ok(Some(delivery)) = tokio::time::timeout(LATE_VALUE, lease.consumer.next()).await
        {
            lease.receive(delivery?).await;
        }
        let value = Some(lease.newest.body().clone()).filter(|body| !body.is_empty());
        Ok(Some((lease, value)))
    }

    /// Epoch of the lease's connection. The lease protects only what is published on that connection ([`crate::Fence`]).
    pub fn epoch(&self) -> u64 {
        self.amqp.epoch
    }

    /// Replaces the value. When this returns, the broker has stored it.
    ///
    /// # Errors
    /// When the lease is lost. The stored value is then the old or the new one.
    pub async fn write(&mut self, value: impl Into<Bytes>) -> Result<(), LeaseError> {
        let value = value.into();
        loop {
            let write = number(&self.newest).max(self.last_write) + 1;
            self.publish(write, value.clone()).await?;
            self.wait_for(write).await?;
            // A value with a higher number can only come from a dead holder, requeued late by the broker.
            if number(&self.newest) == write {
                return Ok(());
            }
        }
    }

    async fn publish(&mut self, write: i64, value: Bytes) -> Result<(), LeaseError> {
        let publish = confirm::publish(self.channel.clone(), message(&self.queue, write, value));
        let result = tokio::select! {
            result = publish => result,
            () = self.amqp.closed() => PublishResult::Unknown("the connection was lost".into()),
            () = overdue(&self.connection) => PublishResult::Unknown("the value was not confirmed in time".into()),
        };
        match result {
            PublishResult::Confirmed => self.last_write = write,
            PublishResult::Unknown(error) => return Err(LeaseError::Lost(error.reason)),
            result => {
                return Err(LeaseError::Lost(format!(
                    "the broker did not store the value: {result:?}"
                )));
            }
        }
        Ok(())
    }

    /// Consumes until the value with this number, or a higher one, is delivered.
    async fn wait_for(&mut self, write: i64) -> Result<(), LeaseError> {
        while number(&self.newest) < write {
            let next = tokio::time::timeout(WRITE_TIMEOUT, self.consumer.next()).await;
            match next {
                Ok(Some(delivery)) => self.receive(delivery?).await,
                Ok(None) => return Err(LeaseError::Lost("the consumer was cancelled".to_owned())),
                Err(_) => {
                    let reason = "the written value was not delivered: another process holds the lease";
                    return Err(LeaseError::Lost(reason.to_owned()));
                }
            }
        }
        Ok(())
    }

    /// Resolves when the lease is lost, with the reason. Cancel-safe.
    pub async fn lost(&mut self) -> String {
        loop {
            let amqp = self.amqp.clone();
            tokio::select! {
                () = amqp.closed() => return "the connection was lost".to_owned(),
                () = self.lock.lost() => return "the lock was deleted".to_owned(),
                delivery = self.consumer.next() => match delivery {
                    Some(Ok(delivery)) => self.receive(delivery).await,
                    Some(Err(error)) => return error.to_string(),
                    None => return "the consumer was cancelled (queue deleted or moved)".to_owned(),
                },
            }
        }
    }

    /// Releases the lease with its newest value: a standby receives both within milliseconds.
    pub async fn release(self) {
        let release = async {
            self.lock.release().await?;
            self.channel.close(200, "released".into()).await
        };
        if let Ok(Err(error)) = tokio::time::timeout(Duration::from_secs(1), release).await {
            tracing::debug!(queue = self.queue, %error, "the lease cannot be released; it ends with the connection");
        }
    }

    /// Keeps the newer of two values and acknowledges the older one.
    async fn receive(&mut self, delivery: lapin::message::Delivery) {
        let delivery = Delivery::read(&self.queue, delivery);
        let older = if number(&delivery) > number(&self.newest) {
            std::mem::replace(&mut self.newest, delivery)
        } else {
            delivery
        };
        self.older.push(older);
        while let Some(older) = self.older.last() {
            // A second acknowledgement, after the first one was cancelled, has no effect.
            older.ack().await;
            self.older.pop();
        }
    }
}

/// Resolves when a write has exceeded its time limit. Time in which the broker blocks publishers does not count: the lease is then
/// still held.
async fn overdue(connection: &BrokerConnection) {
    loop {
        tokio::time::sleep(WRITE_TIMEOUT).await;
        if !connection.is_blocked() {
            return;
        }
    }
}

/// Takes the lock. Returns `None` when another connection holds it for longer than the end of a connection takes.
async fn take_lock(amqp: &AmqpConnection, name: &str, waiting: &impl Fn()) -> Result<Option<Lock>, LeaseError> {
    for wait in LOCK_WAITS_MS {
        tokio::time::sleep(Duration::from_millis(wait)).await;
        if let Some(lock) = Lock::take(amqp, name).await? {
            return Ok(Some(lock));
        }
        waiting();
    }
    Ok(None)
}

/// Waits for the first delivery. `other_consumers` is whether the queue had any before this one.
async fn first_value(
    amqp: &AmqpConnection,
    channel: &Channel,
    queue: &Queue,
    consumer: &mut Consumer,
    other_consumers: bool,
    waiting: &impl Fn(),
) -> Result<Delivery, LeaseError> {
    if other_consumers {
        waiting();
    }
    let mut checks_without_value = 0;
    let mut wait = FIRST_CHECK;
    loop {
        tokio::select! {
            () = amqp.closed() => return Err(LeaseError::Lost("the connection was lost".to_owned())),
            delivery = consumer.next() => return match delivery {
                Some(delivery) => Ok(Delivery::read(&queue.name, delivery?)),
                None => Err(LeaseError::Lost("the consumer was cancelled".to_owned())),
            },
            () = tokio::time::sleep(wait) => {
                wait = CHECK_INTERVAL;
                let counts = declare_queue(channel, queue).await?;
                // Two processes that start at the same time each find a queue without consumers.
                if counts.consumer_count() > 1 {
                    waiting();
                }
                // The only consumer receives nothing: the value was purged, or lost with its queue's node.
                let is_lost = counts.consumer_count() == 1 && counts.message_count() == 0;
                checks_without_value = if is_lost { checks_without_value + 1 } else { 0 };
                if checks_without_value == 2 {
                    seed(channel, &queue.name).await?;
                }
            }
        }
    }
}

/// Publishes an empty value, so that the broker has a message to deliver to the holder.
async fn seed(channel: &Channel, queue: &str) -> Result<(), LeaseError> {
    match confirm::publish(channel.clone(), message(queue, 0, Bytes::new())).await {
        PublishResult::Confirmed => Ok(()),
        result => Err(LeaseError::Lost(format!(
            "the broker did not store the first value: {result:?}"
        ))),
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
