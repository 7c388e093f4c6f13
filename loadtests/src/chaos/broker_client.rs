//! A scenario's own connection to the broker: publishes messages as the ingestor does, counts queues, reads dead letters, and
//! duplicates events.

use anyhow::{Context as _, ensure};
use arrakis_broker::{
    BrokerConnection, BrokerSettings, DeadLetterSelection, DeadLetters, Message, PublishOutcome, Publisher,
    queue_counts,
};
use arrakis_contracts::labels::Headers;
use arrakis_contracts::{DeadLetter, EventId, Labels, names};
use futures_util::StreamExt as _;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties};

/// Unconfirmed messages at the same time.
const AT_ONCE: usize = 64;

/// A client of the broker for scenarios.
#[derive(Debug)]
pub(super) struct BrokerClient {
    url: String,
    publisher: Publisher,
}

/// A task that publishes a copy of every event. Dropping it ends the task.
#[derive(Debug)]
pub(super) struct EventDuplicator {
    connection: Connection,
    task: tokio::task::JoinHandle<()>,
}

impl BrokerClient {
    /// Connects to the broker and vhost of this URL.
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            publisher: Publisher::new(BrokerConnection::open(&BrokerSettings::new(url), "chaos")),
        }
    }

    /// Publishes an event with these headers.
    ///
    /// # Errors
    /// When the broker does not confirm it.
    pub(super) async fn publish_event(
        &self,
        key: &str,
        id: &str,
        event: &str,
        headers: Headers,
        body: &[u8],
    ) -> anyhow::Result<()> {
        self.publish(message(key, id, event, headers, body)).await
    }

    /// Publishes a message unchanged.
    ///
    /// # Errors
    /// As [`BrokerClient::publish_event`].
    pub(super) async fn publish(&self, message: Message) -> anyhow::Result<()> {
        let outcome = self.publisher.publish(&message).await?;
        ensure!(
            outcome == PublishOutcome::Confirmed,
            "the broker did not confirm {}: {outcome:?}",
            message.id
        );
        Ok(())
    }

    /// Publishes many messages, as fast as the broker confirms them.
    ///
    /// # Errors
    /// As [`BrokerClient::publish_event`].
    pub(super) async fn publish_all(&self, messages: impl Iterator<Item = Message>) -> anyhow::Result<()> {
        let mut under_way = futures_util::stream::iter(messages)
            .map(|message| self.publish(message))
            .buffer_unordered(AT_ONCE);
        while let Some(sent) = under_way.next().await {
            sent?;
        }
        Ok(())
    }

    /// Number of ready messages in a queue.
    ///
    /// # Errors
    /// When the queue does not exist.
    pub(super) async fn ready_messages(&self, queue: &str) -> anyhow::Result<u32> {
        let counts = queue_counts(self.publisher.connection(), queue).await;
        Ok(counts.with_context(|| format!("{queue} cannot be counted"))?.messages)
    }

    /// The dead letters.
    ///
    /// # Errors
    /// When the broker cannot be reached.
    pub(super) async fn dead_letters(&self) -> anyhow::Result<Vec<DeadLetter>> {
        Ok(DeadLetters::new(self.publisher.clone()).list(20_000).await?)
    }

    /// Replays all dead letters. Returns their number.
    ///
    /// # Errors
    /// When the broker cannot be reached.
    pub(super) async fn replay_dead_letters(&self) -> anyhow::Result<u32> {
        let done = DeadLetters::new(self.publisher.clone())
            .replay(&DeadLetterSelection::All)
            .await?;
        ensure!(
            done.queue_missing.is_empty(),
            "dead letters without a target queue: {:?}",
            done.queue_missing
        );
        Ok(done.replayed)
    }

    /// From now on, publishes every interaction and member event a second time, directly after the first.
    ///
    /// # Errors
    /// When the broker cannot be reached.
    pub(super) async fn duplicate_events(&self) -> anyhow::Result<EventDuplicator> {
        let connection = Connection::connect(&self.url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        let exclusive = QueueDeclareOptions {
            exclusive: true,
            ..QueueDeclareOptions::default()
        };
        let queue = channel
            .queue_declare("".into(), exclusive, FieldTable::default())
            .await?;
        let name = queue.name().clone();
        for key in ["interaction.#", "member.#"] {
            channel
                .queue_bind(
                    name.clone(),
                    names::EVENTS.into(),
                    key.into(),
                    QueueBindOptions::default(),
                    FieldTable::default(),
                )
                .await?;
        }
        let options = BasicConsumeOptions {
            no_ack: true,
            ..BasicConsumeOptions::default()
        };
        let consumer = channel
            .basic_consume(name, "".into(), options, FieldTable::default())
            .await?;
        let task = tokio::spawn(copy(channel, consumer));
        Ok(EventDuplicator { connection, task })
    }
}

impl EventDuplicator {
    /// Ends the duplication.
    pub(super) async fn end(self) {
        self.task.abort();
        // The copies so far are in the broker already.
        let _ = self.connection.close(200, "doubled".into()).await;
    }
}

async fn copy(channel: Channel, mut consumer: lapin::Consumer) {
    while let Some(Ok(delivery)) = consumer.next().await {
        let queue = if delivery.routing_key.as_str().starts_with("member.") {
            names::EVENTS_GUILD
        } else {
            names::INTERACTIONS
        };
        let options = BasicPublishOptions::default();
        let sent = channel.basic_publish("".into(), queue.into(), options, &delivery.data, delivery.properties);
        if sent.await.is_err() {
            return;
        }
    }
}

/// A message with an event of the scenario.
pub(super) fn message(key: &str, id: &str, event: &str, headers: Headers, body: &[u8]) -> Message {
    let mut message = Message::new(names::EVENTS, key, id, event, body.to_vec());
    message.headers = headers;
    message
}

/// Labels as the ingestor writes them, received now.
pub(super) fn labels(id: &str, event: &str, guild: u64) -> Labels {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Labels {
        event_id: EventId::from_message(id),
        event: event.to_owned(),
        shard: 0,
        shards: 1,
        session: "chaos".to_owned(),
        seq: 1,
        guild: Some(guild),
        received_us: u64::try_from(now.as_micros()).unwrap_or(0),
        clock_offset_ms: 0,
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
    }
}
