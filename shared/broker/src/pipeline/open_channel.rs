//! The channel that a pipeline publishes on at present.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::channel::Channel;
use crate::confirm::ChannelError;
use crate::connection::AmqpConnection;
use crate::lock::LockCheck;

use super::pending::PendingPublishes;

/// How long a channel is used after it has begun to refuse messages. RabbitMQ remembers for each channel that a quorum queue is
/// full. It forgets that when a message leaves the queue, but not when the queue's limit is raised; a new channel starts afresh.
const MAX_REFUSING: Duration = Duration::from_secs(10);

/// A channel in use, with the publishes that are not resolved on it.
pub(super) struct OpenChannel {
    pub(super) amqp: Arc<AmqpConnection>,
    pub(super) channel: Channel,
    pub(super) in_flight: PendingPublishes,
    pub(super) lock: Option<LockCheck>,
    /// Since when the broker refuses messages on it.
    pub(super) refused_since: Option<Instant>,
}

impl OpenChannel {
    pub(super) fn new(amqp: Arc<AmqpConnection>, channel: Channel, lock: Option<LockCheck>) -> Self {
        Self {
            amqp,
            channel,
            in_flight: PendingPublishes::default(),
            lock,
            refused_since: None,
        }
    }

    /// Whether to replace the channel, because it has refused messages for too long.
    pub(super) fn is_refusing_too_long(&self) -> bool {
        self.refused_since.is_some_and(|since| since.elapsed() >= MAX_REFUSING)
    }
}

/// Closes a channel. Without a response within a second the channel closes when it is dropped.
pub(super) async fn close(channel: &Channel, reason: &str) {
    let close = channel.close(200, reason.into());
    let _ = tokio::time::timeout(Duration::from_secs(1), close).await;
}

/// Awaits the pending confirmation of the lock; pends for ever when there is none.
pub(super) async fn lock_refreshed(lock: &mut Option<LockCheck>) -> Result<(), ChannelError> {
    match lock {
        Some(lock) => lock.refreshed().await,
        None => std::future::pending().await,
    }
}
