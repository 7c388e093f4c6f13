//! Builds a labelled message from a gateway frame. Reads the few fields that labels need; the payload is unchanged.

use std::borrow::Cow;

use arrakis_broker::Message;
use arrakis_contracts::interaction::InteractionFieldsError;
use arrakis_contracts::routing::Route;
use arrakis_contracts::{EventId, InteractionFields, Labels, names};
use arrakis_telemetry::trace::Traceparent;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A gateway frame: opcode, and for dispatches sequence number, event name and the bytes of the payload.
/// <https://discord.com/developers/docs/events/gateway-events#payload-structure>
#[derive(Debug, Deserialize)]
pub(crate) struct Frame<'a> {
    pub(crate) op: u8,
    #[serde(default)]
    pub(crate) s: Option<u64>,
    #[serde(borrow, default)]
    pub(crate) t: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) d: Option<&'a RawValue>,
}

/// The fields of READY that a session needs.
#[derive(Debug, Deserialize)]
pub(crate) struct Ready {
    pub(crate) session_id: String,
    /// A URL; any other value is ignored, and the session is resumed at the gateway's own URL.
    #[serde(default)]
    pub(crate) resume_gateway_url: Option<serde_json::Value>,
}

/// The payload of HELLO (op 10).
#[derive(Debug, Deserialize)]
pub(crate) struct Hello {
    pub(crate) heartbeat_interval: u64,
}

/// Labels of an event that do not come from its frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LabelContext<'a> {
    pub(crate) shard: u32,
    pub(crate) shards: u32,
    pub(crate) session: &'a str,
    /// When the session began: milliseconds since 1970 on Discord's clock.
    pub(crate) session_since_ms: i64,
    pub(crate) received_us: u64,
    pub(crate) clock_offset_ms: i64,
    pub(crate) traceparent: Traceparent,
}

/// Why a frame cannot be processed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("the frame is not JSON in the form of the gateway (truncated?): {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("the dispatch has no {0}")]
    Missing(&'static str),
    #[error("the payload of op {op} cannot be read: {error}")]
    Payload { op: u8, error: serde_json::Error },
    #[error("twilight-gateway cannot parse the frame (op {0})")]
    Unparsed(u8),
    #[error("the dispatch was received before READY")]
    NoSession,
    #[error("the sequence number {seq} cannot follow {last}")]
    Sequence { last: u64, seq: u64 },
    #[error("the pipeline to the broker has no room")]
    NoRoom,
}

impl<'a> Frame<'a> {
    pub(crate) fn read(text: &'a [u8]) -> Result<Self, FrameError> {
        Ok(serde_json::from_slice(text)?)
    }

    /// Parses the payload.
    pub(crate) fn payload<T: Deserialize<'a>>(&self) -> Result<T, FrameError> {
        let raw = self.d.ok_or(FrameError::Missing("d"))?;
        serde_json::from_str(raw.get()).map_err(|error| FrameError::Payload { op: self.op, error })
    }
}

#[derive(Deserialize)]
struct GuildField<'a> {
    #[serde(borrow, default)]
    guild_id: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Guild<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(default)]
    unavailable: Option<bool>,
    #[serde(borrow, default)]
    joined_at: Option<Cow<'a, str>>,
}

/// What the labels need of a payload.
struct ParsedPayload {
    /// Id of an interaction.
    id: Option<u64>,
    guild: Option<u64>,
    route: Route,
}

/// Builds the message of a dispatch. `text` is the text of `frame`; the message shares its bytes.
pub(crate) fn label(text: &Bytes, frame: &Frame<'_>, context: LabelContext<'_>) -> Result<Message, FrameError> {
    let event = frame.t.as_deref().ok_or(FrameError::Missing("t"))?;
    let seq = frame.s.ok_or(FrameError::Missing("s"))?;
    let raw = frame.d.ok_or(FrameError::Missing("d"))?;
    let payload = match event {
        "INTERACTION_CREATE" => interaction(raw)?,
        "GUILD_CREATE" | "GUILD_DELETE" | "GUILD_UPDATE" => guild(event, raw, context)?,
        _ => {
            let payload: GuildField<'_> = serde_json::from_str(raw.get())?;
            let route = Route::of_event(event).ok_or(FrameError::Missing("route"))?;
            ParsedPayload {
                id: None,
                guild: payload.guild_id.and_then(|id| id.parse().ok()),
                route,
            }
        }
    };
    let labels = Labels {
        event_id: payload
            .id
            .map_or_else(|| EventId::of_dispatch(context.session, seq), EventId::of_interaction),
        event: event.to_owned(),
        shard: context.shard,
        shards: context.shards,
        session: context.session.to_owned(),
        seq,
        guild: payload.guild,
        received_us: context.received_us,
        clock_offset_ms: context.clock_offset_ms,
        traceparent: context.traceparent.to_string(),
    };
    let body = text.slice_ref(raw.get().as_bytes());
    let mut message = Message::of_event(&labels, payload.route, body);
    message.app_id = Some("arrakis-ingestor".to_owned());
    // Server events that a full queue refuses wait in a retry queue of the broker, so that they do not delay interactions.
    if message.routing_key.starts_with("guild.") || message.routing_key.starts_with("member.") {
        message.on_refusal = Some((names::retry(names::RETRY_SECONDS[0]), names::EVENTS_GUILD.to_owned()));
    }
    Ok(message)
}

fn interaction(raw: &RawValue) -> Result<ParsedPayload, FrameError> {
    let fields = InteractionFields::read(raw.get().as_bytes()).map_err(|error| match error {
        InteractionFieldsError::Malformed(error) => FrameError::Malformed(error),
        InteractionFieldsError::Id => FrameError::Missing("interaction id that is a snowflake"),
    })?;
    Ok(ParsedPayload {
        id: Some(fields.id),
        guild: fields.guild,
        route: fields.route,
    })
}

/// Parses a server event. A `GUILD_CREATE` of a server that the bot joined before the session began is not a join: it follows an
/// IDENTIFY or an outage.
fn guild(event: &str, raw: &RawValue, context: LabelContext<'_>) -> Result<ParsedPayload, FrameError> {
    let read: Guild<'_> = serde_json::from_str(raw.get())?;
    let route = match event {
        "GUILD_CREATE" => {
            let joined = read.joined_at.and_then(|at| OffsetDateTime::parse(&at, &Rfc3339).ok());
            let joined_ms = joined.map(|at| at.unix_timestamp_nanos() / 1_000_000);
            Route::of_guild_create(joined_ms.is_some_and(|ms| ms >= i128::from(context.session_since_ms)))
        }
        "GUILD_DELETE" => Route::of_guild_delete(read.unavailable == Some(true)),
        _ => Route::of_event(event).ok_or(FrameError::Missing("route"))?,
    };
    Ok(ParsedPayload {
        id: None,
        guild: read.id.parse().ok(),
        route,
    })
}

#[cfg(test)]
mod tests {
    use arrakis_contracts::labels::HeaderValue;

    use super::*;

    const CONTEXT: LabelContext<'static> = LabelContext {
        shard: 1,
        shards: 4,
        session: "abc",
        session_since_ms: 1_795_000_000_000,
        received_us: 1_795_000_001_500_000,
        clock_offset_ms: -3,
        traceparent: Traceparent::new(1, 2, false),
    };

    fn labelled(text: &str) -> Result<Message, FrameError> {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        let frame = Frame::read(&bytes)?;
        label(&bytes, &frame, CONTEXT)
    }

    #[test]
    fn body_is_the_unchanged_payload() {
        let d = "{ \"guild_id\":\"7\",  \"user\":{\"id\":\"1\",\"name\":\"\\u6c99丘\"}, \"n\":1.0e2, \"n\":12345678901234567890 }";
        let message = labelled(&format!("{{\"t\":\"GUILD_MEMBER_ADD\",\"s\":9,\"op\":0,\"d\":{d}}}")).unwrap();
        assert_eq!(message.body, d.as_bytes());
        assert_eq!(
            (message.routing_key.as_str(), message.priority),
            ("member.join", Some(5))
        );
        assert_eq!(message.id, EventId::of_dispatch("abc", 9).as_str());
        let labels = Labels::read(Some(&message.id), Some(&message.kind), &message.headers).unwrap();
        assert_eq!((labels.seq, labels.guild, labels.session.as_str()), (9, Some(7), "abc"));
        assert_eq!((labels.shard, labels.shards, labels.clock_offset_ms), (1, 4, -3));
        assert_eq!(message.timestamp, Some(1_795_000_001));
    }

    #[test]
    fn interaction_has_its_own_id_and_is_routed_by_kind() {
        let of = |kind: u64, data: &str| {
            let d = format!("{{\"id\":\"42\",\"type\":{kind},\"token\":\"t\",\"guild_id\":\"7\",\"data\":{data}}}");
            let message = labelled(&format!("{{\"op\":0,\"s\":3,\"t\":\"INTERACTION_CREATE\",\"d\":{d}}}")).unwrap();
            assert_eq!((message.id.as_str(), message.on_refusal), ("42", None));
            (message.routing_key, message.priority.unwrap())
        };
        let owned = |(key, priority): (&str, u8)| (key.to_owned(), priority);
        assert_eq!(
            of(2, "{\"name\":\"position\",\"options\":[{\"name\":\"x\"}]}"),
            owned(("interaction.command.position", 10))
        );
        assert_eq!(
            of(4, "{\"name\":\"profile\"}"),
            owned(("interaction.autocomplete.profile", 9))
        );
        assert_eq!(
            of(3, "{\"custom_id\":\"leaderboard:2\"}"),
            owned(("interaction.button.leaderboard", 8))
        );
        assert_eq!(
            of(5, "{\"custom_id\":\"register\"}"),
            owned(("interaction.modal.register", 8))
        );
        assert_eq!(of(9, "{}"), owned(("interaction.other.9", 8)));
    }

    #[test]
    fn outage_is_not_a_removal() {
        let key = |d: &str| {
            labelled(&format!("{{\"op\":0,\"s\":3,\"t\":\"GUILD_DELETE\",\"d\":{d}}}"))
                .unwrap()
                .routing_key
        };
        assert_eq!(key("{\"id\":\"7\",\"unavailable\":true}"), "guild.outage");
        assert_eq!(key("{\"id\":\"7\"}"), "guild.leave");
        assert_eq!(key("{\"id\":\"7\",\"unavailable\":false}"), "guild.leave");
    }

    #[test]
    fn guild_create_of_an_older_server_is_not_a_join() {
        let key = |joined: &str| {
            let text = format!(
                "{{\"op\":0,\"s\":3,\"t\":\"GUILD_CREATE\",\"d\":{{\"id\":\"7\",\"joined_at\":\"{joined}\",\"name\":\"x\"}}}}"
            );
            let message = labelled(&text).unwrap();
            assert_eq!(message.headers.get("guild"), Some(&HeaderValue::Text("7".to_owned())));
            message.routing_key
        };
        assert_eq!(key("2026-11-18T11:06:39.000000+00:00"), "guild.available");
        assert_eq!(key("2026-11-18T11:06:41.000000+00:00"), "guild.join");
        assert_eq!(key("nonsense"), "guild.available");
    }

    #[test]
    fn server_events_have_an_alternative_route_and_messages_have_not() {
        let of = |event: &str| {
            labelled(&format!(
                "{{\"op\":0,\"s\":3,\"t\":\"{event}\",\"d\":{{\"guild_id\":\"7\"}}}}"
            ))
            .unwrap()
        };
        assert!(of("GUILD_ROLE_UPDATE").on_refusal.is_some());
        assert!(of("MESSAGE_CREATE").on_refusal.is_none());
    }

    #[test]
    fn truncated_or_incomplete_frame_is_refused() {
        let error = |text: &str| labelled(text).unwrap_err().to_string();
        assert!(error("{\"op\":0,\"s\":3,\"t\":\"GUILD_CREATE\",\"d\":{\"id\":").contains("truncated"));
        assert!(error("not json").contains("not JSON"));
        assert!(error("{\"op\":0,\"t\":\"GUILD_CREATE\",\"d\":{\"id\":\"1\"}}").contains("has no s"));
        assert!(error("{\"op\":0,\"s\":1,\"t\":\"GUILD_CREATE\"}").contains("has no d"));
    }
}
