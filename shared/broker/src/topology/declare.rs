//! Puts the topology on a broker, as often as one likes.

use arrakis_fail_point as fail_point;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};

use super::{Argument, Exchange, Queue, Topology, TopologyError, Value};
use crate::channel::Channel;
use crate::link::Live;

/// An object that the code wants and the broker does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// `exchange` or `queue`.
    pub object: &'static str,
    /// Its name.
    pub name: String,
}

impl Topology {
    /// Declares everything. What exists and is the same stays; what exists and differs is named in the error.
    ///
    /// # Errors
    /// At the first object that differs or is refused, or when the connection goes away.
    pub async fn declare(&self, live: &Live) -> Result<(), TopologyError> {
        tokio::select! {
            declared = self.declare_all(live) => match declared {
                Err(TopologyError::Differs { .. }) if fail_point::skips("broker.guard.topology") => Ok(()),
                declared => declared,
            },
            () = live.gone() => Err(TopologyError::Unreachable("the connection was lost".to_owned())),
        }
    }

    async fn declare_all(&self, live: &Live) -> Result<(), TopologyError> {
        let channel = channel(live).await?;
        for exchange in &self.exchanges {
            declare_exchange(&channel, exchange, false)
                .await
                .map_err(|error| TopologyError::read("exchange", &exchange.name, &error))?;
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
                .map_err(|error| TopologyError::read("binding", &binding.queue, &error))?;
        }
        close(channel).await;
        Ok(())
    }

    /// Compares without making anything: answers what is missing. Bindings cannot be read over AMQP; `declare` adds them.
    ///
    /// # Errors
    /// At the first object that differs, or when the connection goes away.
    pub async fn check(&self, live: &Live) -> Result<Vec<Missing>, TopologyError> {
        let mut missing = Vec::new();
        for exchange in &self.exchanges {
            // A refused passive declaration closes its channel, so each object has one of its own.
            let channel = channel(live).await?;
            match declare_exchange(&channel, exchange, true).await {
                Ok(()) => declare_exchange(&channel, exchange, false)
                    .await
                    .map_err(|error| TopologyError::read("exchange", &exchange.name, &error))?,
                Err(error) if is_missing(&error) => missing.push(Missing {
                    object: "exchange",
                    name: exchange.name.clone(),
                }),
                Err(error) => return Err(TopologyError::read("exchange", &exchange.name, &error)),
            }
            close(channel).await;
        }
        for queue in &self.queues {
            let channel = channel(live).await?;
            let options = QueueDeclareOptions {
                passive: true,
                ..QueueDeclareOptions::durable()
            };
            match channel
                .queue_declare(queue.name.as_str().into(), options, FieldTable::default())
                .await
            {
                Ok(_) => drop(declare_queue(&channel, queue).await?),
                Err(error) if is_missing(&error) => missing.push(Missing {
                    object: "queue",
                    name: queue.name.clone(),
                }),
                Err(error) => return Err(TopologyError::read("queue", &queue.name, &error)),
            }
            close(channel).await;
        }
        Ok(missing)
    }
}

/// Declares one queue and answers how many messages and consumers it has.
///
/// # Errors
/// When it exists and differs, is refused, or the connection goes away.
pub async fn declare_queue(channel: &Channel, queue: &Queue) -> Result<lapin::Queue, TopologyError> {
    let mut table = table(&queue.arguments);
    table.insert("x-queue-type".into(), AMQPValue::LongString(queue.kind.name().into()));
    channel
        .queue_declare(queue.name.as_str().into(), QueueDeclareOptions::durable(), table)
        .await
        .map_err(|error| TopologyError::read("queue", &queue.name, &error))
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
            Value::Integer(number) => AMQPValue::LongLongInt(number),
            Value::Text(text) => AMQPValue::LongString(text.into()),
            Value::Flag(flag) => AMQPValue::Boolean(flag),
        };
        table.insert(argument.name.into(), value);
    }
    table
}

async fn channel(live: &Live) -> Result<Channel, TopologyError> {
    live.channel()
        .await
        .map_err(|error| TopologyError::Unreachable(error.to_string()))
}

/// A channel that the broker closed for a refusal cannot be closed again, and need not be.
async fn close(channel: Channel) {
    if channel.status().connected() {
        let _ = channel.close(200, "done".into()).await;
    }
}

fn is_missing(error: &lapin::Error) -> bool {
    matches!(error.kind(), lapin::ErrorKind::ProtocolError(refusal) if refusal.get_id() == 404)
}
