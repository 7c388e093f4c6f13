//! Publishing one message on a channel, and its confirmation.

use arrakis_fail_point as fail_point;
use bytes::Bytes;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Confirmation};

use crate::channel::Channel;
use crate::connection::AmqpConnection;
use crate::message::{Message, short};
use crate::reply_code::{NOT_FOUND, OF_ONE_MESSAGE, reply_code};

/// What a publish resolved to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PublishResult {
    /// The broker has stored the message.
    Confirmed,
    /// The broker returned a message because no queue takes it. With several publishes in flight, the returned message need not
    /// be the one that this publish sent.
    Returned {
        /// Id of the returned message.
        id: String,
        /// Reply code and text of the broker.
        reply: String,
    },
    /// The broker refused the message (nack): a full queue with `reject-publish`, or a queue that is unavailable.
    Refused,
    /// The outcome is unknown: the channel or the connection ended first.
    Unknown(ChannelError),
}

/// Why a channel can no longer be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct ChannelError {
    /// AMQP reply code, if the broker closed the channel or the connection.
    pub(crate) reply_code: Option<u16>,
    /// The error's text.
    pub(crate) reason: String,
}

impl ChannelError {
    /// Whether the broker closed because of one of the messages in flight.
    pub(crate) fn concerns_a_message(&self) -> bool {
        self.reply_code.is_some_and(|code| OF_ONE_MESSAGE.contains(&code))
    }

    /// Whether an object does not exist. On a channel that publishes it is an exchange, or the lock of a lease.
    pub(crate) fn is_not_found(&self) -> bool {
        self.reply_code == Some(NOT_FOUND)
    }
}

impl From<&lapin::Error> for ChannelError {
    fn from(error: &lapin::Error) -> Self {
        Self {
            reply_code: reply_code(error),
            reason: error.to_string(),
        }
    }
}

impl From<String> for ChannelError {
    fn from(reason: String) -> Self {
        Self {
            reply_code: None,
            reason,
        }
    }
}

impl From<&str> for ChannelError {
    fn from(reason: &str) -> Self {
        Self::from(reason.to_owned())
    }
}

/// Opens a channel in confirm mode.
pub(crate) async fn confirming_channel(amqp: &AmqpConnection) -> lapin::Result<Channel> {
    let channel = amqp.channel().await?;
    amqp.until_closed(channel.confirm_select(ConfirmSelectOptions::default()))
        .await?;
    Ok(channel)
}

/// Publishes a message and awaits its confirmation. The first poll queues the frames, so polling once fixes the order.
pub(crate) async fn publish(channel: Channel, message: Message) -> PublishResult {
    publish_frames(channel, PublishFrames::of(&message)).await
}

/// The AMQP form of a message. It is built from a reference, because cloning a message with its headers costs more than the rest
/// of a publish.
#[derive(Debug)]
pub(crate) struct PublishFrames {
    exchange: ShortString,
    routing_key: ShortString,
    properties: BasicProperties,
    body: Bytes,
}

impl PublishFrames {
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
pub(crate) async fn publish_frames(channel: Channel, frames: PublishFrames) -> PublishResult {
    let options = BasicPublishOptions {
        mandatory: true,
        immediate: false,
    };
    let sent = channel
        .basic_publish(
            frames.exchange,
            frames.routing_key,
            options,
            &frames.body,
            frames.properties,
        )
        .await;
    // lapin has its copy of the body, and the pipeline keeps its own to send it again.
    drop(frames.body);
    let confirmed = match sent {
        Ok(_) if fail_point::skips("broker.guard.confirm") => return PublishResult::Confirmed,
        Ok(confirm) => confirm.await,
        Err(error) => Err(error),
    };
    match confirmed {
        Ok(Confirmation::Ack(None)) => PublishResult::Confirmed,
        Ok(Confirmation::Ack(Some(_))) if fail_point::skips("broker.guard.unroutable") => PublishResult::Confirmed,
        Ok(Confirmation::Ack(Some(returned))) => {
            let id = returned.delivery.properties.message_id();
            PublishResult::Returned {
                id: id.as_ref().map(ToString::to_string).unwrap_or_default(),
                reply: format!("{} {}", returned.reply_code, returned.reply_text),
            }
        }
        Ok(Confirmation::Nack(_)) if fail_point::skips("broker.guard.refused") => PublishResult::Confirmed,
        Ok(Confirmation::Nack(_)) => PublishResult::Refused,
        Ok(Confirmation::NotRequested) => PublishResult::Unknown("the channel is not in confirm mode".into()),
        Err(error) => PublishResult::Unknown((&error).into()),
    }
}
