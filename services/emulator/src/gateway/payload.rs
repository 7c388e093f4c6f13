//! What clients send, read strictly, and the frames that are not dispatches.
//! <https://discord.com/developers/docs/events/gateway-events#send-events>

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{CloseCode, Intents};
use crate::model::Id;

/// Most bytes of a client's payload.
pub(super) const MAX_PAYLOAD: usize = 4_096;

/// A payload of a client.
#[derive(Debug)]
pub(super) enum Incoming {
    /// Op 1.
    Heartbeat,
    /// Op 2.
    Identify(Box<Identify>),
    /// Op 3; the presence was well-formed.
    Presence,
    /// Op 4.
    VoiceState(VoiceState),
    /// Op 6.
    Resume(Resume),
    /// Op 8.
    RequestMembers(RequestMembers),
    /// Op 31.
    RequestSounds(RequestSounds),
}

/// Op 2.
#[derive(Debug, Deserialize)]
pub(super) struct Identify {
    /// With or without `Bot `.
    pub(super) token: String,
    /// Required: os, browser, device.
    pub(super) properties: serde_json::Map<String, Value>,
    /// Bit set, checked by [`Identify::intents`].
    pub(super) intents: Option<Value>,
    /// Number and count.
    pub(super) shard: Option<Value>,
    /// 50–250.
    pub(super) large_threshold: Option<u64>,
    /// Initial presence.
    pub(super) presence: Option<Presence>,
}

/// Op 3, and part of op 2.
#[derive(Debug, Deserialize)]
pub(super) struct Presence {
    /// `online`, `dnd`, `idle`, `invisible`, `offline`.
    pub(super) status: String,
    /// What it is doing. Required, but nobody sees a bot's activity here.
    #[serde(rename = "activities")]
    _activities: Vec<Activity>,
}

/// An activity.
#[derive(Debug, Deserialize)]
pub(super) struct Activity {
    /// Shown text.
    #[serde(rename = "name")]
    _name: String,
}

/// Op 4.
#[derive(Debug, Deserialize)]
pub(super) struct VoiceState {
    /// Server.
    pub(super) guild_id: Id,
    /// Voice channel; `None` leaves.
    pub(super) channel_id: Option<Id>,
    /// Muted by oneself.
    pub(super) self_mute: bool,
    /// Deafened by oneself.
    pub(super) self_deaf: bool,
}

/// Op 6.
#[derive(Debug, Deserialize)]
pub(super) struct Resume {
    /// With or without `Bot `.
    pub(super) token: String,
    /// From READY.
    pub(super) session_id: String,
    /// Last number received.
    pub(super) seq: u64,
}

/// Op 8.
#[derive(Debug, Deserialize)]
pub(super) struct RequestMembers {
    /// Server.
    pub(super) guild_id: Id,
    /// Start of the name; empty is everyone.
    pub(super) query: Option<String>,
    /// Most members; 0 is no limit, with an empty query.
    #[serde(default)]
    pub(super) limit: u64,
    /// These users instead of a query.
    pub(super) user_ids: Option<OneOrMany>,
    /// Given back in the chunks, up to 32 bytes.
    pub(super) nonce: Option<String>,
}

/// Discord accepts both.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    /// One id.
    One(Id),
    /// Several.
    Many(Vec<Id>),
}

/// Op 31.
#[derive(Debug, Deserialize)]
pub(super) struct RequestSounds {
    /// Servers.
    pub(super) guild_ids: Vec<Id>,
}

/// Why a payload closes the connection, with words that say what to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Close code.
    pub(super) code: CloseCode,
    /// Shown in the close frame in place of Discord's bare reason, and in the log.
    pub(super) why: String,
}

impl Refusal {
    /// A refusal with a reason of its own.
    pub(super) fn new(code: CloseCode, why: impl Into<String>) -> Self {
        Self { code, why: why.into() }
    }
}

/// Reads one payload.
///
/// # Errors
/// 4001 or 4002 with the reason.
pub(super) fn read(bytes: &[u8]) -> Result<Incoming, Refusal> {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        op: u64,
        #[serde(borrow)]
        d: Option<&'a RawValue>,
    }
    let bad = |why: String| Refusal::new(CloseCode::DecodeError, why);
    if bytes.len() > MAX_PAYLOAD {
        return Err(bad(format!("{} bytes; a payload may have {MAX_PAYLOAD}", bytes.len())));
    }
    let envelope: Envelope<'_> =
        serde_json::from_slice(bytes).map_err(|error| bad(format!("not a payload: {error}")))?;
    let d = envelope.d.map_or("null", RawValue::get);
    fn body<'a, T: Deserialize<'a>>(op: u64, d: &'a str) -> Result<T, Refusal> {
        serde_json::from_str(d).map_err(|error| Refusal::new(CloseCode::DecodeError, format!("d of op {op}: {error}")))
    }
    Ok(match envelope.op {
        1 => body::<Option<u64>>(1, d).map(|_| Incoming::Heartbeat)?,
        2 => Incoming::Identify(body(2, d)?),
        3 => body::<Presence>(3, d)
            .and_then(|presence| presence.check())
            .map(|()| Incoming::Presence)?,
        4 => Incoming::VoiceState(body(4, d)?),
        6 => Incoming::Resume(body(6, d)?),
        8 => Incoming::RequestMembers(body(8, d)?),
        31 => Incoming::RequestSounds(body(31, d)?),
        op => {
            return Err(Refusal::new(
                CloseCode::UnknownOpcode,
                format!("op {op} is not one that a client sends"),
            ));
        }
    })
}

impl Presence {
    /// Refuses a status that does not exist.
    ///
    /// # Errors
    /// 4002.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        if matches!(
            self.status.as_str(),
            "online" | "dnd" | "idle" | "invisible" | "offline"
        ) {
            return Ok(());
        }
        Err(Refusal::new(
            CloseCode::DecodeError,
            format!("{:?} is not a status", self.status),
        ))
    }
}

impl Identify {
    /// The intents, all of them known and allowed.
    ///
    /// # Errors
    /// 4013 and 4014.
    pub(super) fn intents(&self, allowed: Intents) -> Result<Intents, Refusal> {
        let invalid = |why: String| Refusal::new(CloseCode::InvalidIntents, why);
        let number = self.intents.as_ref().and_then(Value::as_u64);
        let bits = number.ok_or_else(|| invalid("intents are required and are a number".to_owned()))?;
        let unknown = bits & !Intents::all().bits();
        if unknown != 0 {
            return Err(invalid(format!("bits {unknown:#x} are no intents")));
        }
        let intents = Intents::from_bits_retain(bits);
        let refused = intents & Intents::PRIVILEGED & !allowed;
        if refused.is_empty() {
            return Ok(intents);
        }
        let names: Vec<&str> = refused.iter_names().map(|(name, _)| name).collect();
        let why = format!("privileged, not switched on for this application: {}", names.join(", "));
        Err(Refusal::new(CloseCode::DisallowedIntents, why))
    }

    /// Number and count of the shard, `[0, 1]` when absent.
    ///
    /// # Errors
    /// 4010.
    pub(super) fn shard(&self) -> Result<[u64; 2], Refusal> {
        let Some(value) = self.shard.as_ref().filter(|value| !value.is_null()) else {
            return Ok([0, 1]);
        };
        match serde_json::from_value::<[u64; 2]>(value.clone()) {
            Ok([id, count]) if id < count => Ok([id, count]),
            _ => Err(Refusal::new(
                CloseCode::InvalidShard,
                format!("shard {value} is not [number, count], number < count"),
            )),
        }
    }

    /// What else must hold.
    ///
    /// # Errors
    /// 4002.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        let bad = |why: String| Err(Refusal::new(CloseCode::DecodeError, why));
        for key in ["os", "browser", "device"] {
            // Libraries of the old school write `$os`; Discord still takes it.
            if !self.properties.contains_key(key) && !self.properties.contains_key(&format!("${key}")) {
                return bad(format!("properties.{key} is required"));
            }
        }
        if let Some(threshold) = self.large_threshold.filter(|threshold| !(50..=250).contains(threshold)) {
            return bad(format!("large_threshold {threshold} is not between 50 and 250"));
        }
        self.presence.as_ref().map_or(Ok(()), Presence::check)
    }
}

/// The token without its `Bot ` prefix.
pub(super) fn bare_token(token: &str) -> &str {
    token.strip_prefix("Bot ").unwrap_or(token).trim()
}

/// Op 10.
pub(super) fn hello(heartbeat_interval_ms: u64) -> String {
    json!({"t": null, "s": null, "op": 10, "d": {"heartbeat_interval": heartbeat_interval_ms, "_trace": ["[\"emulator\"]"]}}).to_string()
}

/// A frame of an opcode whose `d` is plain.
pub(super) fn bare(op: u8, d: &Value) -> String {
    json!({"t": null, "s": null, "op": op, "d": d}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(payload: &str) -> u16 {
        read(payload.as_bytes()).unwrap_err().code.number()
    }

    #[test]
    fn bad_payloads_name_their_close_code() {
        assert_eq!(code("{\"op\":0,"), 4002);
        assert_eq!(code("[]"), 4002);
        assert_eq!(code("{\"op\":2,\"d\":{\"token\":5}}"), 4002);
        assert_eq!(code("{\"op\":1,\"d\":\"soon\"}"), 4002);
        assert_eq!(code("{\"op\":0,\"d\":null}"), 4001);
        assert_eq!(code("{\"op\":99,\"d\":null}"), 4001);
        assert_eq!(
            code(&format!(
                "{{\"op\":1,\"d\":null,\"x\":\"{}\"}}",
                "y".repeat(MAX_PAYLOAD)
            )),
            4002
        );
    }

    #[test]
    fn intents_are_checked_against_what_exists_and_what_is_switched_on() {
        let identify = |intents: Value| {
            let d = json!({"op": 2, "d": {"token": "t", "properties": {}, "intents": intents}}).to_string();
            let Ok(Incoming::Identify(identify)) = read(d.as_bytes()) else {
                panic!("not an identify")
            };
            identify
                .intents(Intents::GUILD_MEMBERS)
                .map_err(|refusal| refusal.code.number())
        };
        assert_eq!(identify(json!(3)), Ok(Intents::GUILDS | Intents::GUILD_MEMBERS));
        assert_eq!(identify(json!(1_u64 << 17)), Err(4013));
        assert_eq!(identify(json!(-1)), Err(4013));
        assert_eq!(identify(Value::Null), Err(4013));
        assert_eq!(identify(json!(1 << 15)), Err(4014));
    }
}
