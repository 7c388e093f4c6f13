//! The messages in the queues, read by AMQP: the management API's counts lag by seconds.

use std::collections::HashSet;

use anyhow::Context as _;
use arrakis_broker::{Priorities, Topology};
use arrakis_contracts::names;
use lapin::options::{BasicGetOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties};

use super::MemberAction;

/// A message in a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedMessage {
    /// Queue.
    pub queue: String,
    /// `message_id`.
    pub id: String,
    /// `type`.
    pub kind: String,
    /// Body.
    pub body: String,
}

impl QueuedMessage {
    /// Whether the message is the event that this action caused.
    pub fn is_about(&self, action: &MemberAction) -> bool {
        let of = |kind: &str, user: &u64| self.kind == kind && self.body.contains(&format!("\"{user}\""));
        match action {
            MemberAction::Join { user, .. } => of("GUILD_MEMBER_ADD", user),
            MemberAction::Leave { user, .. } => of("GUILD_MEMBER_REMOVE", user),
            MemberAction::Command { id, .. } => self.id == id.to_string(),
        }
    }

    /// Whether the message is a dead letter.
    pub fn is_dead(&self) -> bool {
        self.queue == names::DEAD_LETTERS
    }
}

/// All ready messages in the queues of the topology. They are read and returned, so that their order stays.
///
/// # Errors
/// When the broker does not respond.
pub async fn queued_messages(amqp_url: &str) -> anyhow::Result<Vec<QueuedMessage>> {
    let connection = Connection::connect(amqp_url, ConnectionProperties::default())
        .await
        .context("connecting to the broker to read the queues")?;
    let (mut all, mut channels) = (Vec::new(), Vec::new());
    let mut queues = Topology::new(Priorities::Classic).queues;
    // A message in a retry queue returns to its own queue by itself. The retry queues are read first, so that the message is found
    // in one of the two.
    let retries: HashSet<String> = names::RETRY_SECONDS.into_iter().map(names::retry).collect();
    queues.sort_by_key(|queue| !retries.contains(queue.name.as_str()));
    for queue in queues {
        let channel = connection.create_channel().await?;
        // A queue that a scenario deleted is empty.
        if exists(&channel, &queue.name).await {
            // A queue that cannot be read counts as empty: its messages then count as lost, so the scenario fails.
            if let Err(error) = take(&channel, &queue.name, &mut all).await {
                tracing::warn!(queue = queue.name, %error, "queue cannot be read");
            }
        }
        // Channels are closed together at the end: lapin would reuse the number of a closed channel before the broker has freed it.
        channels.push(channel);
    }
    // Closing the channels returns all messages.
    // lapin reports an error here for a channel that the broker closed because of a missing queue.
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

async fn take(channel: &Channel, queue: &str, all: &mut Vec<QueuedMessage>) -> anyhow::Result<()> {
    while let Some(message) = channel
        .basic_get(queue.into(), BasicGetOptions { no_ack: false })
        .await?
    {
        let text =
            |value: &Option<lapin::types::ShortString>| value.as_ref().map(ToString::to_string).unwrap_or_default();
        let properties = &message.delivery.properties;
        all.push(QueuedMessage {
            queue: queue.to_owned(),
            id: text(properties.message_id()),
            kind: text(properties.kind()),
            body: String::from_utf8_lossy(&message.delivery.data).into_owned(),
        });
    }
    Ok(())
}
