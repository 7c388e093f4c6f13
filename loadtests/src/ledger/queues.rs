//! What lies in the queues, read by AMQP: management's counts lag by seconds.

use std::collections::HashSet;

use anyhow::Context as _;
use arrakis_broker::{Priorities, Topology};
use arrakis_contracts::names;
use lapin::options::{BasicGetOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties};

use super::Deed;

/// A message in a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Queue.
    pub queue: String,
    /// `message_id`.
    pub id: String,
    /// `type`.
    pub kind: String,
    /// Body.
    pub body: String,
}

impl Held {
    /// Whether it tells of this deed.
    pub fn is_about(&self, deed: &Deed) -> bool {
        let of = |kind: &str, user: &u64| self.kind == kind && self.body.contains(&format!("\"{user}\""));
        match deed {
            Deed::Join { user, .. } => of("GUILD_MEMBER_ADD", user),
            Deed::Leave { user, .. } => of("GUILD_MEMBER_REMOVE", user),
            Deed::Command { id, .. } => self.id == id.to_string(),
        }
    }

    /// Whether it is a dead letter.
    pub fn is_dead(&self) -> bool {
        self.queue == names::DEAD_LETTERS
    }
}

/// Everything in the topology's queues that no consumer holds. It is looked at and given back, in its order.
///
/// # Errors
/// When the broker does not answer.
pub async fn held(amqp_url: &str) -> anyhow::Result<Vec<Held>> {
    let connection = Connection::connect(amqp_url, ConnectionProperties::default())
        .await
        .context("the ledger's look into the queues")?;
    let (mut all, mut channels) = (Vec::new(), Vec::new());
    let mut queues = Topology::new(Priorities::Classic).queues;
    // What waits for a retry comes back to its queue by itself: looked for there first and in its queue afterwards, it is
    // found in one of them.
    let retries: HashSet<String> = names::RETRY_SECONDS.into_iter().map(names::retry).collect();
    queues.sort_by_key(|queue| !retries.contains(queue.name.as_str()));
    for queue in queues {
        let channel = connection.create_channel().await?;
        // A queue that a scenario deleted holds nothing.
        if exists(&channel, &queue.name).await {
            // What cannot be looked into counts as empty: what was in it is then called lost, which errs on the right side.
            if let Err(error) = take(&channel, &queue.name, &mut all).await {
                tracing::warn!(queue = queue.name, %error, "the queue could not be looked into");
            }
        }
        // Closed one by one, a channel's number would be taken again before the broker has let go of it.
        channels.push(channel);
    }
    // Ends the channels, and so gives everything back.
    // A channel that the broker closed for an absent queue makes lapin complain here.
    let _ = connection.close(200, "looked".into()).await;
    Ok(all)
}

async fn exists(channel: &Channel, queue: &str) -> bool {
    let passive = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    channel
        .queue_declare(queue.into(), passive, FieldTable::default())
        .await
        .is_ok()
}

async fn take(channel: &Channel, queue: &str, all: &mut Vec<Held>) -> anyhow::Result<()> {
    while let Some(message) = channel
        .basic_get(queue.into(), BasicGetOptions { no_ack: false })
        .await?
    {
        let text =
            |value: &Option<lapin::types::ShortString>| value.as_ref().map(ToString::to_string).unwrap_or_default();
        let properties = &message.delivery.properties;
        all.push(Held {
            queue: queue.to_owned(),
            id: text(properties.message_id()),
            kind: text(properties.kind()),
            body: String::from_utf8_lossy(&message.delivery.data).into_owned(),
        });
    }
    Ok(())
}
