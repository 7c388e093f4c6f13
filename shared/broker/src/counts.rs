//! How much waits in a queue, and who takes from it.
//!
//! Asked of the broker itself by a passive declare: needs no management plugin and no rights beyond the connection's.

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use tokio::time::{Duration, timeout};

use crate::link::Link;

/// A broker that is there answers in milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the broker says of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueCounts {
    /// Messages that nobody has taken; those on their way to a consumer are not among them.
    pub messages: u32,
    /// Consumers.
    pub consumers: u32,
}

/// `None` when the broker is away or has no such queue: who asks for a depth can only say that there is none to tell.
pub async fn queue_counts(link: &Link, queue: &str) -> Option<QueueCounts> {
    timeout(PATIENCE, ask(link, queue)).await.ok().flatten()
}

async fn ask(link: &Link, queue: &str) -> Option<QueueCounts> {
    let channel = link.live().await.ok()?.channel().await.ok()?;
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
    // A channel that is dropped closes by itself, but later.
    let _ = channel.close(200, "done".into()).await;
    Some(counts)
}
