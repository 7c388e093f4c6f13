//! A slot in time that only one process takes: for identifies, one in five seconds and bucket.
//!
//! The queue has room for one message, which the broker removes when the slot is over. Whose publish is confirmed has the
//! slot; whose is refused comes again. A process that dies with the slot frees it by time and not by dying, so a crash
//! loop identifies no faster than a healthy one.

use std::time::Duration;

use bytes::Bytes;
use rand::RngExt as _;

use crate::confirm::{self, Answer};
use crate::link::{Link, LinkClosed, Live};
use crate::message::Message;
use crate::topology::{Queue, TopologyError, declare_queue};

/// Why there is no slot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// The queue is not as it should be.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The link was closed by us.
    #[error(transparent)]
    Closed(#[from] LinkClosed),
}

/// Waits for the slot of `queue` and takes it.
///
/// # Errors
/// When the queue differs or the link is closed. A lost connection is waited out.
pub async fn take_slot(link: &Link, queue: &Queue) -> Result<(), SlotError> {
    loop {
        match try_once(link, queue).await? {
            Answer::Confirmed => return Ok(()),
            Answer::Refused => tracing::debug!(queue = queue.name, "the slot is taken"),
            Answer::Returned { reply, .. } => {
                tracing::warn!(
                    queue = queue.name,
                    reply,
                    "the slot could not be asked for; trying again"
                );
            }
            Answer::Unknown(why) => {
                tracing::warn!(queue = queue.name, %why, "the slot could not be asked for; trying again");
            }
        }
        let wait = rand::rng().random_range(100..400);
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
}

async fn try_once(link: &Link, queue: &Queue) -> Result<Answer, SlotError> {
    let live = link.live().await?;
    tokio::select! {
        answer = try_on(&live, queue) => answer,
        () = live.gone() => Ok(Answer::Unknown("the connection was lost".into())),
    }
}

async fn try_on(live: &Live, queue: &Queue) -> Result<Answer, SlotError> {
    let unknown = |error: lapin::Error| Answer::Unknown((&error).into());
    let channel = match confirm::confirming_channel(live).await {
        Ok(channel) => channel,
        Err(error) => return Ok(unknown(error)),
    };
    match declare_queue(&channel, queue).await {
        Ok(_) => {}
        Err(error) if error.is_transient() => return Ok(Answer::Unknown(error.to_string().into())),
        Err(error) => return Err(error.into()),
    }
    let message = Message::new("", queue.name.as_str(), queue.name.as_str(), "slot", Bytes::new());
    let answer = confirm::publish(channel.clone(), message).await;
    let _ = channel.close(200, "done".into()).await;
    Ok(answer)
}
