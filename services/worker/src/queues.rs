//! How many messages wait in a queue.

use arrakis_broker::Link;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use tokio::time::{Duration, timeout};

/// A broker that is there answers in milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the broker says of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Messages that nobody has taken.
    pub(crate) messages: u32,
    /// Consumers.
    pub(crate) consumers: u32,
}

/// `None` when the broker is away or has no such queue.
pub(crate) async fn counts(link: &Link, queue: &str) -> Option<Counts> {
    let asked = async {
        let live = link.live().await.ok()?;
        let channel = live.channel().await.ok()?;
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::durable()
        };
        let found = channel
            .queue_declare(queue.into(), options, FieldTable::default())
            .await
            .ok()?;
        let counts = Counts {
            messages: found.message_count(),
            consumers: found.consumer_count(),
        };
        // A channel that is dropped closes by itself, but later.
        let _ = channel.close(200, "done".into()).await;
        Some(counts)
    };
    timeout(PATIENCE, asked).await.ok().flatten()
}
