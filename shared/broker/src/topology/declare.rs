//! Declares the topology on a broker; repeating it changes nothing.

use arrakis_fail_point as fail_point;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};

use super::{Argument, ArgumentValue, Exchange, Queue, Topology, TopologyError};
use crate::channel::Channel;
use crate::connection::AmqpConnection;
use crate::reply_code::{NOT_FOUND, reply_code};

/// An exchange or queue of the topology that the broker does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingObject {
    /// `exchange` or `queue`.
    pub object: &'static str,
    /// Its name.
    pub name: String,
}

impl Topology {
    /// Declares all exchanges, queues and bindings. Objects that exist with the same properties are unchanged.
    ///
    /// # Errors
    /// At the first object that exists with other properties or that the broker refuses, and when the connection is lost.
    pub async fn declare(&self, amqp: &AmqpConnection) -> Result<(), TopologyError> {
        tokio::select! {
            declared = self.declare_all(amqp) => match declared {
                Err(TopologyError::Differs { .. }) if fail_point::skips("broker.guard.topology") => Ok(()),
                declared => declared,
            },
            () = amqp.closed() => Err(TopologyError::Unreachable("the connection was lost".to_owned())),
        }
    }

    async fn declare_all(&self, amqp: &AmqpConnection) -> Result<(), TopologyError> {
        let channel = channel(amqp).await?;
        for exchange in &self.exchanges {
            declare_exchange(&channel, exchange, false)
                .await
                .map_err(|error| TopologyError::from_lapin("exchange", &exchange.name, &error))?;
        }
        for queue in &self.queues {
            declare_queue(&channel, queue).await?;
        }
        for binding in &self.bindings {
            channel
                .queue_bind(
                    binding.queue.as_str().into(),
                    binding.exchange.as_str().into(),
                    binding.key.as_str().into(),
                    QueueBindOptions::default(),
                    FieldTable::default(),
                )
                .await
                .map_err(|error| TopologyError::from_lapin("binding", &binding.queue, &error))?;
        }
        close(channel).await;
        Ok(())
    }

    /// Returns the missing exchanges and queues, without declaring them. Bindings are not checked: AMQP cannot read them.
    ///
    /// # Errors
    /// At the first object that exists with other properties, and when the connection is lost.
    pub async fn check(&self, amqp: &AmqpConnection) -> Result<Vec<MissingObject>, TopologyError> {
        let mut missing = Vec::new();
        for exchange in &self.exchanges {
            // A refused declaration closes its channel, so each object is checked on its own channel.
            let channel = channel(amqp).await?;
            match declare_exchange(&channel, exchange, true).await {
                Ok(()) => declare_exchange(&channel, exchange, false)
                    .await
                    .map_err(|error| TopologyError::from_lapin("exchange", &exchange.name, &error))?,
                Err(error) if reply_code(&error) == Some(NOT_FOUND) => missing.push(MissingObject {
                    object: "exchange",
                    name: exchange.name.clone(),
                }),
                Err(error) => return Err(TopologyError::from_lapin("exchange", &exchange.name, &error)),
            }
            close(channel).await;
        }
        for queue in &self.queues {
            let channel = channel(amqp).await?;
            let options = QueueDeclareOptions {
                passive: true,
                ..QueueDeclareOptions::durable()
            };
            match channel
                .queue_declare(queue.name.as_str().into(), options, FieldTable::default())
                .await
            {
                Ok(_) => drop(declare_queue(&channel, queue).await?),
                Err(error) if reply_code(&error) == Some(NOT_FOUND) => missing.push(MissingObject {
                    object: "queue",
                    name: queue.name.clone(),
                }),
                Err(error) => return Err(TopologyError::from_lapin("queue", &queue.name, &error)),
            }
            close(channel).await;
        }
        Ok(missing)
    }
}

/// Declares a queue. Returns it with its counts of messages and consumers.
///
/// # Errors
/// When it exists with other properties, when the broker refuses it, and when the connection is lost.
pub async fn declare_queue(channel: &Channel, queue: &Queue) -> Result<lapin::Queue, TopologyError> {
    let mut table = table(&queue.arguments);
    table.insert("x-queue-type".into(), AMQPValue::LongString(queue.kind.name().into()));
    channel
        .queue_declare(queue.name.as_str().into(), QueueDeclareOptions::durable(), table)
        .await
        .map_err(|error| TopologyError::from_lapin("queue", &queue.name, &error))
}

async fn declare_exchange(channel: &Channel, exchange: &Exchange, passive: bool) -> lapin::Result<()> {
    let options = ExchangeDeclareOptions {
        durable: true,
        passive,
        ..ExchangeDeclareOptions::default()
    };
    let kind = match exchange.kind {
        super::ExchangeKind::Topic => lapin::ExchangeKind::Topic,
        super::ExchangeKind::Fanout => lapin::ExchangeKind::Fanout,
    };
    channel
        .exchange_declare(exchange.name.as_str().into(), kind, options, table(&exchange.arguments))
        .await
}

fn table(arguments: &[Argument]) -> FieldTable {
    let mut table = FieldTable::default();
    for argument in arguments {
        let value = match argument.value {
            ArgumentValue::Integer(number) => AMQPValue::LongLongInt(number),
            ArgumentValue::Text(text) => AMQPValue::LongString(text.into()),
            ArgumentValue::Flag(flag) => AMQPValue::Boolean(flag),
        };
        table.insert(argument.name.into(), value);
    }
    table
}

async fn channel(amqp: &AmqpConnection) -> Result<Channel, TopologyError> {
    amqp.channel()
        .await
        .map_err(|error| TopologyError::Unreachable(error.to_string()))
}

/// Closes a channel, unless the broker has closed it for a refusal.
async fn close(channel: Channel) {
    if channel.status().connected() {
        let _ = channel.close(200, "done".into()).await;
    }
}
