//! One publish and what the broker answered.

use arrakis_fail_point as fail_point;
use bytes::Bytes;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Confirmation};

use crate::channel::Channel;
use crate::link::Live;
use crate::message::{Message, short};

/// The broker's answer to one publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It has it.
    Confirmed,
    /// No queue wanted the message with this id, which with several in flight need not be the one that was asked about.
    Returned {
        /// Id of the returned message.
        id: String,
        /// The broker's words.
        reply: String,
    },
    /// It refused it: a full queue with `reject-publish`, or a queue in trouble.
    Refused,
    /// Nobody knows: the channel or connection went away first.
    Unknown(Interruption),
}

/// Why a channel or a connection is of no more use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interruption {
    /// AMQP reply code of the broker's close, if it closed.
    pub(crate) reply_code: Option<u16>,
    /// In words.
    pub(crate) why: String,
}

/// Reply codes by which the broker refuses one message and not the publisher: content too large, precondition failed (larger
/// than `max_message_size`, for one), frame error, syntax error. <https://www.rabbitmq.com/amqp-0-9-1-reference#constants>
const OF_ONE_MESSAGE: [u16; 4] = [311, 406, 501, 502];
/// Reply code of an exchange or queue that does not exist.
const NOT_FOUND: u16 = 404;

impl Interruption {
    /// Whether one of the messages under way may be what the broker cannot take.
    pub(crate) fn concerns_a_message(&self) -> bool {
        self.reply_code.is_some_and(|code| OF_ONE_MESSAGE.contains(&code))
    }

    /// Whether the exchange that was published to does not exist.
    pub(crate) fn misses_an_exchange(&self) -> bool {
        self.reply_code == Some(NOT_FOUND) && self.why.contains("no exchange")
    }
}

impl From<&lapin::Error> for Interruption {
    fn from(error: &lapin::Error) -> Self {
        let reply_code = match error.kind() {
            lapin::ErrorKind::ProtocolError(refusal) => Some(refusal.get_id()),
            _ => None,
        };
        Self {
            reply_code,
            why: error.to_string(),
        }
    }
}

impl From<String> for Interruption {
    fn from(why: String) -> Self {
        Self { reply_code: None, why }
    }
}

impl From<&str> for Interruption {
    fn from(why: &str) -> Self {
        Self::from(why.to_owned())
    }
}

impl std::fmt::Display for Interruption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.why)
    }
}

/// A channel on which every publish is confirmed.
pub(crate) async fn confirming_channel(live: &Live) -> lapin::Result<Channel> {
    let channel = live.channel().await?;
    live.guard(channel.confirm_select(ConfirmSelectOptions::default()))
        .await?;
    Ok(channel)
}

/// Publishes and waits. The frames are queued at the first poll, so that polling once fixes the order.
pub(crate) async fn publish(channel: Channel, message: Message) -> Answer {
    send(channel, Outgoing::of(&message)).await
}

/// What goes over the wire, made from a message that stays where it is: a copy of a message and its headers costs more than
/// all else about sending it.
#[derive(Debug)]
pub(crate) struct Outgoing {
    exchange: ShortString,
    routing_key: ShortString,
    properties: BasicProperties,
    body: Bytes,
}

impl Outgoing {
    pub(crate) fn of(message: &Message) -> Self {
        Self {
            exchange: short(&message.exchange),
            routing_key: short(&message.routing_key),
            properties: message.properties(),
            body: message.body.clone(),
        }
    }
}

/// As [`publish`].
pub(crate) async fn send(channel: Channel, outgoing: Outgoing) -> Answer {
    let options = BasicPublishOptions {
        mandatory: true,
        immediate: false,
    };
    let sent = channel
        .basic_publish(
            outgoing.exchange,
            outgoing.routing_key,
            options,
            &outgoing.body,
            outgoing.properties,
        )
        .await;
    // lapin has its copy of the body, and the pipeline its own in case it must be sent again.
    drop(outgoing.body);
    let confirmed = match sent {
        Ok(_) if fail_point::skips("broker.guard.confirm") => return Answer::Confirmed,
        Ok(confirm) => confirm.await,
        Err(error) => Err(error),
    };
    match confirmed {
        Ok(Confirmation::Ack(None)) => Answer::Confirmed,
        Ok(Confirmation::Ack(Some(_))) if fail_point::skips("broker.guard.unroutable") => Answer::Confirmed,
        Ok(Confirmation::Ack(Some(returned))) => {
            let id = returned.delivery.properties.message_id();
            Answer::Returned {
                id: id.as_ref().map(ToString::to_string).unwrap_or_default(),
                reply: format!("{} {}", returned.reply_code, returned.reply_text),
            }
        }
        Ok(Confirmation::Nack(_)) if fail_point::skips("broker.guard.refused") => Answer::Confirmed,
        Ok(Confirmation::Nack(_)) => Answer::Refused,
        Ok(Confirmation::NotRequested) => Answer::Unknown("the channel does not confirm".into()),
        Err(error) => Answer::Unknown((&error).into()),
    }
}
