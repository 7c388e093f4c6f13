//! A record of what ingestors publish, consumed from a queue of the scenario.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrakis_contracts::names;
use futures_util::StreamExt as _;
use lapin::options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties, Consumer};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::task::JoinHandle;

/// Event ids by the user that joined. A user of the load joins once.
type Joins = Arc<Mutex<HashMap<String, HashSet<String>>>>;

/// A record of published joins.
#[derive(Debug)]
pub(super) struct PublishedJoins {
    connection: Connection,
    joins: Joins,
    task: JoinHandle<()>,
}

impl PublishedJoins {
    /// Records every join that is published from now on.
    ///
    /// # Errors
    /// When the broker cannot be reached.
    pub(super) async fn record(url: &str) -> anyhow::Result<Self> {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        let exclusive = QueueDeclareOptions {
            exclusive: true,
            ..QueueDeclareOptions::default()
        };
        let queue = channel
            .queue_declare("".into(), exclusive, FieldTable::default())
            .await?;
        let name = queue.name().clone();
        channel
            .queue_bind(
                name.clone(),
                names::EVENTS.into(),
                "member.join".into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await?;
        let options = BasicConsumeOptions {
            no_ack: true,
            ..BasicConsumeOptions::default()
        };
        let consumer = channel
            .basic_consume(name, "".into(), options, FieldTable::default())
            .await?;
        let joins = Joins::default();
        let task = tokio::spawn(note(consumer, joins.clone()));
        Ok(Self {
            connection,
            joins,
            task,
        })
    }

    /// Ends the record. Returns the number of users that joined, and of those with more than one event id.
    pub(super) async fn end(self) -> (usize, usize) {
        let _ = self.connection.close(200, "recorded".into()).await;
        // The consumer ends with its connection, after all delivered messages.
        let _ = self.task.await;
        let joins = self.joins.lock();
        (joins.len(), joins.values().filter(|ids| ids.len() > 1).count())
    }
}

async fn note(mut consumer: Consumer, joins: Joins) {
    while let Some(Ok(delivery)) = consumer.next().await {
        let body: Value = serde_json::from_slice(&delivery.data).unwrap_or_default();
        let id = delivery.properties.message_id().as_ref().map(ToString::to_string);
        if let (Some(user), Some(id)) = (body["user"]["id"].as_str(), id) {
            joins.lock().entry(user.to_owned()).or_default().insert(id);
        }
    }
}

/// Deletes a queue, as an operator might.
///
/// # Errors
/// When the broker refuses.
pub(super) async fn delete_queue(url: &str, queue: &str) -> anyhow::Result<()> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel
        .queue_delete(queue.into(), QueueDeleteOptions::default())
        .await?;
    Ok(connection.close(200, "deleted".into()).await?)
}
