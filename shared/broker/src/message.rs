//! A message to publish, and the conversion of headers to and from AMQP.

use std::time::Instant;

use arrakis_contracts::labels::{HeaderValue, Headers};
use arrakis_contracts::routing::Route;
use arrakis_contracts::{Labels, headers, names};
use bytes::Bytes;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};

/// A persistent message to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Exchange; empty for the default exchange, which routes by queue name.
    pub exchange: String,
    /// Routing key.
    pub routing_key: String,
    /// `message_id`: the same each time the message is published.
    pub id: String,
    /// `type`: name of the event, such as `GUILD_MEMBER_ADD`, or `job`.
    pub kind: String,
    /// `priority`, 0 to 10.
    pub priority: Option<u8>,
    /// `timestamp`, seconds since 1970.
    pub timestamp: Option<u64>,
    /// `app_id`: the program that published it.
    pub app_id: Option<String>,
    /// Headers.
    pub headers: Headers,
    /// Body; the content type is `application/json`.
    pub body: Bytes,
    /// Alternative route, as exchange and routing key, for a message that the broker refuses (a full queue). Only
    /// [`crate::Pipeline`] uses it.
    pub on_refusal: Option<(String, String)>,
    /// When the process received the gateway frame of this message. The pipeline reports the time from then to the confirmation
    /// ([`crate::ConfirmLatencyObserver`]).
    pub received: Option<Instant>,
}

impl Message {
    /// A message without headers and optional properties, which are set by field.
    pub fn new(
        exchange: impl Into<String>,
        routing_key: impl Into<String>,
        id: impl Into<String>,
        kind: impl Into<String>,
        body: impl Into<Bytes>,
    ) -> Self {
        Self {
            exchange: exchange.into(),
            routing_key: routing_key.into(),
            id: id.into(),
            kind: kind.into(),
            priority: None,
            timestamp: None,
            app_id: None,
            headers: Headers::new(),
            body: body.into(),
            on_refusal: None,
            received: None,
        }
    }

    /// The message of an event at the exchange of events, with its labels, its priority and the time of its receipt.
    pub fn of_event(labels: &Labels, route: Route, body: impl Into<Bytes>) -> Self {
        let mut message = Self::new(
            names::EVENTS,
            route.key,
            labels.event_id.as_str(),
            labels.event.as_str(),
            body,
        );
        message.priority = Some(route.priority);
        message.timestamp = Some(labels.received_us / 1_000_000);
        message.headers = labels.headers();
        message
    }

    /// A copy for the alternative route, with the original routing key in a header; `None` without such a route.
    pub(crate) fn detoured(&self) -> Option<Self> {
        let (exchange, routing_key) = self.on_refusal.clone()?;
        let mut detoured = Self {
            exchange,
            routing_key,
            ..self.clone()
        };
        let key = HeaderValue::Text(self.routing_key.clone());
        detoured.headers.insert(headers::ORIGIN_KEY.to_owned(), key);
        Some(detoured)
    }

    pub(crate) fn properties(&self) -> BasicProperties {
        let mut properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_content_type("application/json".into())
            .with_message_id(short(&self.id))
            .with_type(short(&self.kind))
            .with_headers(field_table(&self.headers));
        if let Some(priority) = self.priority {
            properties = properties.with_priority(priority);
        }
        if let Some(timestamp) = self.timestamp {
            properties = properties.with_timestamp(timestamp);
        }
        if let Some(app_id) = &self.app_id {
            properties = properties.with_app_id(short(app_id));
        }
        properties
    }
}

/// Longest AMQP short string in bytes: names, routing keys, ids, types.
const SHORT_BYTES: usize = 255;

/// Whether a text fits an AMQP short string.
pub(crate) fn fits_short(text: &str) -> bool {
    text.len() <= SHORT_BYTES
}

/// An AMQP short string, truncated to its longest length: lapin panics at longer ones.
pub(crate) fn short(text: &str) -> ShortString {
    text[..text.floor_char_boundary(SHORT_BYTES)].into()
}

fn field_table(headers: &Headers) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in headers {
        let value = match value {
            HeaderValue::Integer(number) => AMQPValue::LongLongInt(*number),
            HeaderValue::Text(text) => AMQPValue::LongString(text.as_str().into()),
        };
        table.insert(short(name), value);
    }
    table
}

/// Reads headers. Values of types that contracts do not have (lists, tables, binary) are omitted.
pub(crate) fn read_headers(table: &FieldTable) -> Headers {
    let one = |value: &AMQPValue| {
        Some(match value {
            AMQPValue::Boolean(flag) => HeaderValue::Integer(i64::from(*flag)),
            AMQPValue::ShortShortInt(n) => HeaderValue::Integer(i64::from(*n)),
            AMQPValue::ShortShortUInt(n) => HeaderValue::Integer(i64::from(*n)),
            AMQPValue::ShortInt(n) => HeaderValue::Integer(i64::from(*n)),
            AMQPValue::ShortUInt(n) => HeaderValue::Integer(i64::from(*n)),
            AMQPValue::LongInt(n) => HeaderValue::Integer(i64::from(*n)),
            AMQPValue::LongUInt(n) => HeaderValue::Integer(i64::from(*n)),
            AMQPValue::LongLongInt(n) => HeaderValue::Integer(*n),
            AMQPValue::Timestamp(n) => HeaderValue::Integer(i64::try_from(*n).ok()?),
            AMQPValue::ShortString(text) => HeaderValue::Text(text.to_string()),
            AMQPValue::LongString(text) => HeaderValue::Text(String::from_utf8_lossy(text.as_bytes()).into_owned()),
            _ => return None,
        })
    };
    table
        .inner()
        .iter()
        .filter_map(|(name, value)| Some((name.to_string(), one(value)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_round_trip() {
        let mut headers = Headers::new();
        headers.insert("seq".to_owned(), HeaderValue::Integer(-7));
        headers.insert("session".to_owned(), HeaderValue::Text("沙丘".to_owned()));
        assert_eq!(read_headers(&field_table(&headers)), headers);
    }

    #[test]
    fn header_of_an_unknown_type_is_omitted() {
        let mut table = FieldTable::default();
        table.insert("small".into(), AMQPValue::ShortShortUInt(3));
        table.insert("list".into(), AMQPValue::FieldArray(vec![].into()));
        let headers = read_headers(&table);
        assert_eq!(headers.get("small"), Some(&HeaderValue::Integer(3)));
        assert_eq!(headers.len(), 1);
    }
}
