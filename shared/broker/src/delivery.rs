//! A delivered message and its acknowledgement.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrakis_contracts::headers;
use arrakis_contracts::labels::{HeaderValue, Headers, LABELS_VERSION};
use arrakis_contracts::{LabelError, Labels};
use arrakis_fail_point as fail_point;
use bytes::Bytes;
use lapin::Acker;
use lapin::options::{BasicAckOptions, BasicNackOptions};

use crate::message::{Message, fits_short, read_headers};

/// Interval at which the channel of a pending acknowledgement is checked.
const SETTLE_CHECK_INTERVAL: Duration = Duration::from_millis(200);
/// Number of checks after which an acknowledgement counts as stale: five minutes. A broker that blocks publishers does not read
/// acknowledgements either.
const MAX_SETTLE_CHECKS: u32 = 1_500;

/// Header in which quorum queues count deliveries.
const DELIVERY_COUNT: &str = "x-delivery-count";

/// Bytes of headers that are copied to a new message. A frame has 32 KiB (see [`crate::connection`]), and the copy adds headers of
/// its own.
const MAX_COPIED_BYTES: usize = 24 << 10;

/// Result of an acknowledgement, negative or positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettleOutcome {
    /// It was sent on the channel of the delivery.
    Sent,
    /// It had no effect: the channel was closed or the message was settled before. The broker delivers the message again, or has done so.
    Stale,
}

/// A delivered message. Clones share it; only the first acknowledgement has an effect.
#[derive(Debug, Clone)]
pub struct Delivery(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: String,
    exchange: String,
    routing_key: String,
    redelivered: bool,
    message_id: Option<String>,
    kind: Option<String>,
    app_id: Option<String>,
    priority: Option<u8>,
    timestamp: Option<u64>,
    headers: Headers,
    body: Bytes,
    received: Instant,
    acker: Acker,
}

impl Delivery {
    pub(crate) fn read(queue: &str, delivery: lapin::message::Delivery) -> Self {
        let properties = &delivery.properties;
        let text = |value: &Option<lapin::types::ShortString>| value.as_ref().map(ToString::to_string);
        Self(Arc::new(Inner {
            queue: queue.to_owned(),
            exchange: delivery.exchange.to_string(),
            routing_key: delivery.routing_key.to_string(),
            redelivered: delivery.redelivered,
            message_id: text(properties.message_id()),
            kind: text(properties.kind()),
            app_id: text(properties.app_id()),
            priority: *properties.priority(),
            timestamp: *properties.timestamp(),
            headers: properties.headers().as_ref().map(read_headers).unwrap_or_default(),
            body: Bytes::from(delivery.data),
            received: Instant::now(),
            acker: delivery.acker,
        }))
    }

    /// Name of the queue that it was consumed from.
    pub fn queue(&self) -> &str {
        &self.0.queue
    }

    /// Exchange to which it was published.
    pub fn exchange(&self) -> &str {
        &self.0.exchange
    }

    /// Routing key with which it was first published. Retries keep it in a header.
    pub fn origin_key(&self) -> &str {
        let original = self.header_text(headers::ORIGIN_KEY).filter(|key| fits_short(key));
        original.unwrap_or(&self.0.routing_key)
    }

    /// Whether the broker has delivered it before.
    pub fn redelivered(&self) -> bool {
        self.0.redelivered
    }

    /// `message_id`: id of the event or job.
    pub fn message_id(&self) -> Option<&str> {
        self.0.message_id.as_deref()
    }

    /// `type`: name of the event, such as `GUILD_MEMBER_ADD`, or `job`.
    pub fn kind(&self) -> Option<&str> {
        self.0.kind.as_deref()
    }

    /// AMQP priority, 0 to 10.
    pub fn priority(&self) -> Option<u8> {
        self.0.priority
    }

    /// Headers.
    pub fn headers(&self) -> &Headers {
        &self.0.headers
    }

    /// Body, unchanged.
    pub fn body(&self) -> &Bytes {
        &self.0.body
    }

    /// When this process received it.
    pub fn received(&self) -> Instant {
        self.0.received
    }

    /// Number of failed attempts to handle it, from the header [`headers::ATTEMPTS`].
    pub fn attempts(&self) -> u32 {
        match self.0.headers.get(headers::ATTEMPTS) {
            Some(HeaderValue::Integer(attempts)) => u32::try_from(*attempts).unwrap_or(0),
            _ => 0,
        }
    }

    /// Number of redeliveries, after a consumer died or requeued it. Quorum queues count them; for classic queues
    /// [`crate::RetryPublisher::count_redelivery`] does.
    pub fn redeliveries(&self) -> u32 {
        let count = |name: &str| match self.0.headers.get(name) {
            Some(HeaderValue::Integer(count)) => u32::try_from(*count).unwrap_or(0),
            _ => 0,
        };
        count(headers::RETURNS).max(count(DELIVERY_COUNT))
    }

    /// Number of times that an operator replayed it.
    pub fn replays(&self) -> u32 {
        match self.0.headers.get(headers::REPLAYS) {
            Some(HeaderValue::Integer(replays)) => u32::try_from(*replays).unwrap_or(u32::MAX),
            _ => 0,
        }
    }

    /// Whether it may have been handled before, completely or partly: it was retried, redelivered or replayed.
    pub fn may_have_been_handled(&self) -> bool {
        self.redelivered() || self.attempts() > 0 || self.redeliveries() > 0 || self.replays() > 0
    }

    /// Whether this redelivery is not counted: its queue is a classic one.
    pub(crate) fn is_uncounted_redelivery(&self) -> bool {
        self.redelivered() && !self.0.headers.contains_key(DELIVERY_COUNT)
    }

    /// Reads the labels of an event.
    ///
    /// # Errors
    /// When a label is missing or invalid, or the labels' version is not the one that this build reads.
    pub fn labels(&self) -> Result<Labels, LabelError> {
        let read = Labels::read(self.message_id(), self.kind(), self.headers());
        if let Err(LabelError::UnknownVersion(_)) = read
            && fail_point::skips("broker.guard.version")
        {
            let mut map = self.headers().clone();
            map.insert(
                headers::VERSION.to_owned(),
                HeaderValue::Integer(i64::from(LABELS_VERSION)),
            );
            return Labels::read(self.message_id(), self.kind(), &map);
        }
        read
    }

    /// The text of a header; `None` when there is no such header or it is a number.
    pub fn header_text(&self, name: &str) -> Option<&str> {
        match self.0.headers.get(name) {
            Some(HeaderValue::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Acknowledges the message.
    pub async fn ack(&self) -> SettleOutcome {
        let settled = self.settle(self.0.acker.ack(BasicAckOptions::default())).await;
        if settled == SettleOutcome::Stale && fail_point::skips("broker.guard.stale_ack") {
            return SettleOutcome::Sent;
        }
        settled
    }

    /// Requeues the message: the broker delivers it again, to this or another consumer.
    pub async fn requeue(&self) -> SettleOutcome {
        let options = BasicNackOptions {
            requeue: true,
            multiple: false,
        };
        self.settle(self.0.acker.nack(options)).await
    }

    /// Whether an acknowledgement can still have an effect.
    pub fn can_be_settled(&self) -> bool {
        self.0.acker.usable()
    }

    /// A copy of the message, to be published to this exchange with this routing key.
    pub fn to_message(&self, exchange: impl Into<String>, routing_key: impl Into<String>) -> Message {
        Message {
            received: None,
            exchange: exchange.into(),
            routing_key: routing_key.into(),
            id: self.0.message_id.clone().unwrap_or_default(),
            kind: self.0.kind.clone().unwrap_or_default(),
            priority: self.0.priority,
            timestamp: self.0.timestamp,
            app_id: self.0.app_id.clone(),
            headers: copied(&self.0.headers),
            body: self.0.body.clone(),
            on_refusal: None,
        }
    }

    /// lapin resolves a late acknowledgement with `Ok(false)`. One that is pending when the channel closes resolves with an error, or
    /// never.
    async fn settle(&self, call: impl Future<Output = lapin::Result<bool>>) -> SettleOutcome {
        tokio::pin!(call);
        for _ in 0..MAX_SETTLE_CHECKS {
            match tokio::time::timeout(SETTLE_CHECK_INTERVAL, &mut call).await {
                Ok(Ok(true)) => return SettleOutcome::Sent,
                Ok(Ok(false) | Err(_)) => return SettleOutcome::Stale,
                Err(_) if self.0.acker.poisoned() => return SettleOutcome::Stale,
                Err(_) => {}
            }
        }
        SettleOutcome::Stale
    }
}

/// Headers for a copy: all but the broker's own (`x-…`), which it refuses or misreads when they are published again, and as many as
/// fit the one frame that carries headers. Headers that do not fit would make the broker close the publisher's connection each time.
fn copied(headers: &Headers) -> Headers {
    let mut left = MAX_COPIED_BYTES;
    let fits = |(name, value): &(&String, &HeaderValue)| {
        let bytes = name.len()
            + if let HeaderValue::Text(text) = value {
                text.len()
            } else {
                8
            };
        let room = left.checked_sub(bytes);
        left = room.unwrap_or(left);
        room.is_some()
    };
    let own = headers.iter().filter(|(name, _)| !name.starts_with("x-"));
    own.filter(fits)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
