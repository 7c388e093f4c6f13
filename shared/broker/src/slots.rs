//! A rate limit across processes: one slot at a time, for IDENTIFY one each five seconds and bucket.
//!
//! The slot's queue has room for one message, which the broker removes when the slot's time has passed. A process whose publish
//! is confirmed has the slot; one whose publish is refused retries. The death of a process does not free its slot, so a crash
//! loop identifies no faster than a healthy process.

use std::time::Duration;

use bytes::Bytes;
use rand::RngExt as _;

use crate::confirm::{self, PublishResult};
use crate::connection::{AmqpConnection, BrokerConnection, ConnectionClosed};
use crate::message::Message;
use crate::topology::{Queue, TopologyError, declare_queue};

/// Why a slot cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// The slot's queue exists with other properties, or the broker refuses it.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The broker connection was closed by this process.
    #[error(transparent)]
    Closed(#[from] ConnectionClosed),
}

/// Waits for the slot of `queue` ([`crate::topology::identify_slot_queue`]) and takes it. A lost connection only delays it.
///
/// # Errors
/// When the queue exists with other properties, or the connection is closed by this process.
pub async fn take_slot(connection: &BrokerConnection, queue: &Queue) -> Result<(), SlotError> {
    loop {
        match attempt(connection, queue).await? {
            PublishResult::Confirmed => return Ok(()),
            PublishResult::Refused => tracing::debug!(queue = queue.name, "another process has the slot; waiting"),
            PublishResult::Returned { reply, .. } => {
                tracing::warn!(queue = queue.name, reply, "the slot cannot be requested; retrying");
            }
            PublishResult::Unknown(error) => {
                tracing::warn!(queue = queue.name, %error, "the slot cannot be requested; retrying");
            }
        }
        let wait = rand::rng().random_range(100..400);
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
}

async fn attempt(connection: &BrokerConnection, queue: &Queue) -> Result<PublishResult, SlotError> {
    let amqp = connection.current().await?;
    tokio::select! {
        result = attempt_on(&amqp, queue) => result,
        () = amqp.closed() => Ok(PublishResult::Unknown("the connection was lost".into())),
    }
}

async fn attempt_on(amqp: &AmqpConnection, queue: &Queue) -> Result<PublishResult, SlotError> {
    let unknown = |error: lapin::Error| PublishResult::Unknown((&error).into());
    let channel = match confirm::confirming_channel(amqp).await {
        Ok(channel) => channel,
        Err(error) => return Ok(unknown(error)),
    };
    match declare_queue(&channel, queue).await {
        Ok(_) => {}
        Err(error) if error.is_transient() => return Ok(PublishResult::Unknown(error.to_string().into())),
        Err(error) => return Err(error.into()),
    }
    let message = Message::new("", queue.name.as_str(), queue.name.as_str(), "slot", Bytes::new());
    let result = confirm::publish(channel.clone(), message).await;
    let _ = channel.close(200, "done".into()).await;
    Ok(result)
}
