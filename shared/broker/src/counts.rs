//! Numbers of messages and consumers of a queue, read by a passive declaration: that needs neither the management plugin nor
//! further permissions.

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use tokio::time::{Duration, timeout};

use crate::connection::BrokerConnection;

/// A reachable broker responds in milliseconds.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Numbers of messages and consumers of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueCounts {
    /// Messages ready for delivery. Unacknowledged messages do not count.
    pub messages: u32,
    /// Consumers of the queue.
    pub consumers: u32,
}

/// Reads the counts of a queue. Returns `None` when the broker does not respond within 2 s or has no such queue.
pub async fn queue_counts(connection: &BrokerConnection, queue: &str) -> Option<QueueCounts> {
    timeout(TIMEOUT, declare_passively(connection, queue))
        .await
        .ok()
        .flatten()
}

async fn declare_passively(connection: &BrokerConnection, queue: &str) -> Option<QueueCounts> {
    let channel = connection.current().await.ok()?.channel().await.ok()?;
    let options = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::durable()
    };
    let found = channel
        .queue_declare(queue.into(), options, FieldTable::default())
        .await
        .ok()?;
    let counts = QueueCounts {
        messages: found.message_count(),
        consumers: found.consumer_count(),
    };
    // A dropped channel closes, too, but later.
    let _ = channel.close(200, "done".into()).await;
    Some(counts)
}
