//! The channel that a pipeline publishes on at the moment.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::channel::Channel;
use crate::confirm::Interruption;
use crate::link::Live;
use crate::lock::LockCheck;
use crate::unanswered::Unanswered;

/// How long a channel is used on which messages are refused. RabbitMQ keeps for each channel that a quorum queue is full, and
/// takes that back when a message leaves the queue, but not when its limit is lifted; a new channel asks anew.
const REFUSED_CHANNEL: Duration = Duration::from_secs(10);

/// A channel in use, and what is unanswered on it.
pub(super) struct Open {
    pub(super) live: Arc<Live>,
    pub(super) channel: Channel,
    pub(super) in_flight: Unanswered,
    pub(super) lock: Option<LockCheck>,
    /// Since when messages are refused on it.
    pub(super) refused_since: Option<Instant>,
}

impl Open {
    pub(super) fn new(live: Arc<Live>, channel: Channel, lock: Option<LockCheck>) -> Self {
        Self {
            live,
            channel,
            in_flight: Unanswered::default(),
            lock,
            refused_since: None,
        }
    }

    /// Whether the channel is to be replaced, since it has been refusing for long.
    pub(super) fn is_worn(&self) -> bool {
        self.refused_since
            .is_some_and(|since| since.elapsed() >= REFUSED_CHANNEL)
    }
}

/// Closes a channel, if the broker answers soon; otherwise it closes when it is dropped.
pub(super) async fn close(channel: &Channel, why: &str) {
    let close = channel.close(200, why.into());
    let _ = tokio::time::timeout(Duration::from_secs(1), close).await;
}

/// Waits for the confirmation of the lock that is under way, for ever when there is none.
pub(super) async fn refreshed(lock: &mut Option<LockCheck>) -> Result<(), Interruption> {
    match lock {
        Some(lock) => lock.refreshed().await,
        None => std::future::pending().await,
    }
}
