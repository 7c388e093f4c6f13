//! A message on its way in.

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

/// How often an acknowledgement under way is looked at, and how many times, before it counts as stale. A broker that takes no
/// messages reads no acknowledgements either, so this is long.
const SETTLE_LOOK: Duration = Duration::from_millis(200);
const SETTLE_LOOKS: u32 = 1_500;

/// Header of quorum queues.
const DELIVERY_COUNT: &str = "x-delivery-count";

/// Bytes of headers that a copy carries on; our frames have 32 KiB (see [`crate::link`]), and the copy's own are added.
const CARRIED_BYTES: usize = 24 << 10;

/// Whether an acknowledgement reached a channel that could still take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The broker was told.
    Yes,
    /// The channel is gone, or it was settled before: the broker will deliver (or has delivered) the message again.
    Stale,
}

/// A delivered message. Cloning shares it; only the first acknowledgement counts.
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

    /// Queue that it was consumed from.
    pub fn queue(&self) -> &str {
        &self.0.queue
    }

    /// Exchange that it was published to.
    pub fn exchange(&self) -> &str {
        &self.0.exchange
    }

    /// Routing key that it was first published with, whatever retries it went through.
    pub fn origin_key(&self) -> &str {
        let said = self.text(headers::ORIGIN_KEY).filter(|key| fits_short(key));
        said.unwrap_or(&self.0.routing_key)
    }

    /// Whether the broker has delivered it before.
    pub fn redelivered(&self) -> bool {
        self.0.redelivered
    }

    /// `message_id`: id of the event or job.
    pub fn message_id(&self) -> Option<&str> {
        self.0.message_id.as_deref()
    }

    /// `type`: name of the event, or `job`.
    pub fn kind(&self) -> Option<&str> {
        self.0.kind.as_deref()
    }

    /// `priority`.
    pub fn priority(&self) -> Option<u8> {
        self.0.priority
    }

    /// Headers.
    pub fn headers(&self) -> &Headers {
        &self.0.headers
    }

    /// Body, byte for byte.
    pub fn body(&self) -> &Bytes {
        &self.0.body
    }

    /// When it arrived here.
    pub fn received(&self) -> Instant {
        self.0.received
    }

    /// How many times handling it was tried and failed, by our own count.
    pub fn attempts(&self) -> u32 {
        match self.0.headers.get(headers::ATTEMPTS) {
            Some(HeaderValue::Integer(attempts)) => u32::try_from(*attempts).unwrap_or(0),
            _ => 0,
        }
    }

    /// How often it came back from a consumer that died or gave it back. Quorum queues count by themselves; for classic ones
    /// [`crate::Failures::count_return`] does.
    pub fn returns(&self) -> u32 {
        let count = |name: &str| match self.0.headers.get(name) {
            Some(HeaderValue::Integer(count)) => u32::try_from(*count).unwrap_or(0),
            _ => 0,
        };
        count(headers::RETURNS).max(count(DELIVERY_COUNT))
    }

    /// How many times an operator replayed it.
    pub fn replays(&self) -> u32 {
        match self.0.headers.get(headers::REPLAYS) {
            Some(HeaderValue::Integer(replays)) => u32::try_from(*replays).unwrap_or(u32::MAX),
            _ => 0,
        }
    }

    /// Whether it may have been handled before, wholly or in part: tried, given back, delivered to a consumer that died, or
    /// replayed.
    pub fn may_have_been_handled(&self) -> bool {
        self.redelivered() || self.attempts() > 0 || self.returns() > 0 || self.replays() > 0
    }

    /// Whether it has come back and nobody has counted it yet.
    pub(crate) fn is_uncounted_return(&self) -> bool {
        self.redelivered() && !self.0.headers.contains_key(DELIVERY_COUNT)
    }

    /// Labels of an event.
    ///
    /// # Errors
    /// When it carries none, broken ones, or those of another version.
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

    /// A header's text.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.0.headers.get(name) {
            Some(HeaderValue::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Tells the broker that it is done.
    pub async fn ack(&self) -> Settled {
        let settled = self.settle(self.0.acker.ack(BasicAckOptions::default())).await;
        if settled == Settled::Stale && fail_point::skips("broker.guard.stale_ack") {
            return Settled::Yes;
        }
        settled
    }

    /// Gives it back: the broker delivers it again, here or elsewhere.
    pub async fn give_back(&self) -> Settled {
        let options = BasicNackOptions {
            requeue: true,
            multiple: false,
        };
        self.settle(self.0.acker.nack(options)).await
    }

    /// Whether an acknowledgement would still count.
    pub fn is_live(&self) -> bool {
        self.0.acker.usable()
    }

    /// The same message, to be published elsewhere.
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
            // What the broker wrote about its own dead-lettering is not carried on: it refuses or misreads it when sent back.
            headers: carried(&self.0.headers),
            body: self.0.body.clone(),
            on_refusal: None,
        }
    }

    /// A late acknowledgement answers `Ok(false)`, one under way when the channel ended answers an error, or nothing at all.
    async fn settle(&self, call: impl Future<Output = lapin::Result<bool>>) -> Settled {
        tokio::pin!(call);
        for _ in 0..SETTLE_LOOKS {
            match tokio::time::timeout(SETTLE_LOOK, &mut call).await {
                Ok(Ok(true)) => return Settled::Yes,
                Ok(Ok(false) | Err(_)) => return Settled::Stale,
                Err(_) if self.0.acker.poisoned() => return Settled::Stale,
                Err(_) => {}
            }
        }
        Settled::Stale
    }
}

/// Headers that go on with a copy: all but the broker's own, as far as they leave room in the one frame that headers travel
/// in. A copy that does not fit would take the publisher's connection down, again and again.
fn carried(headers: &Headers) -> Headers {
    let mut left = CARRIED_BYTES;
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
    let foreign = headers.iter().filter(|(name, _)| !name.starts_with("x-"));
    foreign
        .filter(fits)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
