//! The labels of an event: AMQP properties and headers that the ingestor writes and every consumer reads. The body is unchanged.

use std::collections::BTreeMap;

use crate::event::EventId;
use crate::headers;

/// Version of labels and body. The body is the payload (`d`) of Discord's gateway v10, unchanged.
pub const LABELS_VERSION: u16 = 1;

/// Labels of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// Id of the event; the property `message_id`.
    pub event_id: EventId,
    /// Gateway name of the event, such as `GUILD_MEMBER_ADD`; the property `type`.
    pub event: String,
    /// Shard that received the event.
    pub shard: u32,
    /// Total number of shards.
    pub shards: u32,
    /// Gateway session id.
    pub session: String,
    /// Sequence number in the session.
    pub seq: u64,
    /// Guild id, if the event has one.
    pub guild: Option<u64>,
    /// When the frame was received: microseconds since 1970 on the ingestor's clock.
    pub received_us: u64,
    /// Discord's clock minus the ingestor's, in milliseconds.
    pub clock_offset_ms: i64,
    /// W3C trace context, `00-{trace}-{span}-{flags}`.
    pub traceparent: String,
}

/// Value of a header. AMQP has more types; contracts use these two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderValue {
    /// Any AMQP integer.
    Integer(i64),
    /// An AMQP long or short string.
    Text(String),
}

/// Headers by name.
pub type Headers = BTreeMap<String, HeaderValue>;

/// Why the labels of a message cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// A property or header is absent.
    #[error("the message has no {0}")]
    Missing(&'static str),
    /// A header has the wrong type or an invalid value.
    #[error("header {name} is {value:?}, expected {expected}")]
    Invalid {
        /// Name of the header.
        name: &'static str,
        /// Its value.
        value: HeaderValue,
        /// The expected value.
        expected: &'static str,
    },
    /// The labels have another version, from another version of the ingestor.
    #[error("unknown contract version {0} (this build reads version {LABELS_VERSION}); deploy the worker first")]
    UnknownVersion(i64),
}

impl Labels {
    /// The headers. `event_id` and `event` are AMQP properties instead.
    pub fn headers(&self) -> Headers {
        let mut map = Headers::new();
        let mut integer = |name: &str, value: i64| map.insert(name.to_owned(), HeaderValue::Integer(value));
        integer(headers::VERSION, i64::from(LABELS_VERSION));
        integer(headers::SHARD, i64::from(self.shard));
        integer(headers::SHARDS, i64::from(self.shards));
        integer(headers::SEQ, self.seq.cast_signed());
        integer(headers::RECEIVED_US, self.received_us.cast_signed());
        integer(headers::CLOCK_OFFSET_MS, self.clock_offset_ms);
        let mut text = |name: &str, value: String| map.insert(name.to_owned(), HeaderValue::Text(value));
        text(headers::SESSION, self.session.clone());
        text(headers::TRACEPARENT, self.traceparent.clone());
        // A snowflake travels as text: consumers in languages with 53-bit numbers read it too.
        if let Some(guild) = self.guild {
            text(headers::GUILD, guild.to_string());
        }
        map
    }

    /// Reads the labels from a message's `message_id`, `type` and headers.
    ///
    /// # Errors
    /// When the version is another one, which is checked first, or when a label is missing or invalid.
    pub fn read(message_id: Option<&str>, kind: Option<&str>, map: &Headers) -> Result<Self, LabelError> {
        let version = integer(map, headers::VERSION)?;
        if version != i64::from(LABELS_VERSION) {
            return Err(LabelError::UnknownVersion(version));
        }
        Ok(Self {
            event_id: EventId::from_message(message_id.ok_or(LabelError::Missing("message_id"))?),
            event: kind.ok_or(LabelError::Missing("type"))?.to_owned(),
            shard: small(map, headers::SHARD)?,
            shards: small(map, headers::SHARDS)?,
            session: text(map, headers::SESSION)?.to_owned(),
            seq: large(map, headers::SEQ)?,
            guild: guild(map)?,
            received_us: large(map, headers::RECEIVED_US)?,
            clock_offset_ms: integer(map, headers::CLOCK_OFFSET_MS)?,
            traceparent: text(map, headers::TRACEPARENT)?.to_owned(),
        })
    }
}

fn integer(map: &Headers, name: &'static str) -> Result<i64, LabelError> {
    match map.get(name) {
        Some(HeaderValue::Integer(value)) => Ok(*value),
        Some(value) => Err(LabelError::Invalid {
            name,
            value: value.clone(),
            expected: "an integer",
        }),
        None => Err(LabelError::Missing(name)),
    }
}

fn large(map: &Headers, name: &'static str) -> Result<u64, LabelError> {
    let value = integer(map, name)?;
    let invalid = LabelError::Invalid {
        name,
        value: HeaderValue::Integer(value),
        expected: "zero or more",
    };
    u64::try_from(value).map_err(|_| invalid)
}

fn small(map: &Headers, name: &'static str) -> Result<u32, LabelError> {
    let value = integer(map, name)?;
    let invalid = LabelError::Invalid {
        name,
        value: HeaderValue::Integer(value),
        expected: "a number of 32 bits",
    };
    u32::try_from(value).map_err(|_| invalid)
}

fn text<'a>(map: &'a Headers, name: &'static str) -> Result<&'a str, LabelError> {
    match map.get(name) {
        Some(HeaderValue::Text(value)) => Ok(value),
        Some(value) => Err(LabelError::Invalid {
            name,
            value: value.clone(),
            expected: "text",
        }),
        None => Err(LabelError::Missing(name)),
    }
}

fn guild(map: &Headers) -> Result<Option<u64>, LabelError> {
    let Some(value) = map.get(headers::GUILD) else {
        return Ok(None);
    };
    let invalid = || LabelError::Invalid {
        name: headers::GUILD,
        value: value.clone(),
        expected: "a snowflake",
    };
    match value {
        HeaderValue::Text(digits) => digits.parse().map(Some).map_err(|_| invalid()),
        HeaderValue::Integer(number) => u64::try_from(*number).map(Some).map_err(|_| invalid()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Labels {
        Labels {
            event_id: EventId::of_dispatch("s", 9),
            event: "GUILD_MEMBER_ADD".to_owned(),
            shard: 1,
            shards: 4,
            session: "s".to_owned(),
            seq: 9,
            guild: Some(987_654_321_098_765_432),
            received_us: 1_795_000_000_000_000,
            clock_offset_ms: -12,
            traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
        }
    }

    fn read(map: &Headers) -> Result<Labels, LabelError> {
        let sample = labels();
        Labels::read(Some(sample.event_id.as_str()), Some(&sample.event), map)
    }

    #[test]
    fn labels_round_trip() {
        assert_eq!(read(&labels().headers()), Ok(labels()));
        let without_guild = Labels {
            guild: None,
            ..labels()
        };
        assert_eq!(read(&without_guild.headers()), Ok(without_guild));
    }

    #[test]
    fn unknown_version_is_reported_before_missing_labels() {
        let mut map = labels().headers();
        map.clear();
        map.insert(headers::VERSION.to_owned(), HeaderValue::Integer(2));
        assert_eq!(read(&map), Err(LabelError::UnknownVersion(2)));
    }

    #[test]
    fn each_header_except_guild_is_required() {
        for name in labels().headers().keys().filter(|name| *name != headers::GUILD) {
            let mut map = labels().headers();
            map.remove(name);
            assert!(
                matches!(read(&map), Err(LabelError::Missing(missing)) if missing == name),
                "{name}"
            );
        }
    }

    #[test]
    fn header_of_the_wrong_type_is_named() {
        let mut map = labels().headers();
        map.insert(headers::SHARD.to_owned(), HeaderValue::Text("one".to_owned()));
        assert_eq!(
            read(&map).unwrap_err().to_string(),
            "header shard is Text(\"one\"), expected an integer"
        );
        map.insert(headers::SHARD.to_owned(), HeaderValue::Integer(-1));
        assert!(read(&map).is_err());
    }
}
