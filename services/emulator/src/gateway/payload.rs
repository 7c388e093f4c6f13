//! Payloads of clients, and frames that are not dispatches.
//! <https://discord.com/developers/docs/events/gateway-events#send-events>
//!
//! Payloads are parsed as leniently as Discord does. An optional field may be absent or null; unknown fields are ignored; ids and numbers
//! may be numbers or texts of digits (`lenient.rs`). The payload itself (4002), its opcode (4001), token (4004), shard (4010),
//! version (4012) and intents (4013, 4014) are checked strictly.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::{
    CloseCode, Intents,
    lenient::{OneOrMany, whole, whole_of},
};
use crate::model::Id;

/// Largest payload of a client in bytes.
pub(super) const MAX_PAYLOAD: usize = 4_096;

/// A payload of a client.
#[derive(Debug)]
pub(super) enum ClientPayload {
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
    /// Op 43.
    RequestChannelInfo(RequestChannelInfo),
}

/// Op 2.
#[derive(Debug, Deserialize)]
pub(super) struct Identify {
    /// With or without `Bot `.
    pub(super) token: String,
    /// Description of the client. Required, but no single property is: libraries from before 2022 write `$os` for `os`.
    #[serde(rename = "properties")]
    _properties: Map<String, Value>,
    /// Bit set, checked by [`Identify::intents`].
    intents: Option<Value>,
    /// Number and count, checked by [`Identify::shard`].
    shard: Option<Value>,
    /// 50–250.
    #[serde(default, deserialize_with = "whole")]
    large_threshold: Option<u64>,
    /// Initial presence.
    presence: Option<Presence>,
    /// Whether large payloads may be compressed; ignored with transport compression.
    compress: Option<bool>,
}

/// Op 3, and part of op 2. The emulator does not show a bot's presence: it is checked and
/// discarded. `since` is not checked, since serenity sends an object.
#[derive(Debug, Deserialize)]
pub(super) struct Presence {
    /// `online`, `dnd`, `idle`, `invisible`, `offline`; absent, null or empty (discordgo) is `online`.
    status: Option<String>,
    /// Activities.
    #[serde(rename = "activities")]
    _activities: Option<Vec<Map<String, Value>>>,
    /// The same before v8: one activity. Several libraries still send it.
    #[serde(rename = "game")]
    _game: Option<Map<String, Value>>,
    /// Whether the client is away.
    #[serde(rename = "afk")]
    _afk: Option<bool>,
}

/// Op 4.
#[derive(Debug, Deserialize)]
pub(super) struct VoiceState {
    /// Server.
    pub(super) guild_id: Id,
    /// Voice channel; `None` leaves.
    pub(super) channel_id: Option<Id>,
    /// Whether the bot mutes itself.
    pub(super) self_mute: Option<bool>,
    /// Whether the bot deafens itself.
    pub(super) self_deaf: Option<bool>,
}

/// Op 6.
#[derive(Debug, Deserialize)]
pub(super) struct Resume {
    /// With or without `Bot `.
    pub(super) token: String,
    /// From READY.
    pub(super) session_id: String,
    /// Last sequence number received; absent or null is none.
    #[serde(default, deserialize_with = "whole")]
    pub(super) seq: Option<u64>,
}

/// Op 8.
#[derive(Debug, Deserialize)]
pub(super) struct RequestMembers {
    /// Server; older libraries send a list.
    pub(super) guild_id: OneOrMany,
    /// Prefix of the name; empty or absent matches everyone.
    pub(super) query: Option<String>,
    /// Largest number of members; 0 or absent is no limit, with an empty query.
    #[serde(default, deserialize_with = "whole")]
    pub(super) limit: Option<u64>,
    /// These users instead of a query.
    pub(super) user_ids: Option<OneOrMany>,
    /// Whether the chunks have `presences`.
    pub(super) presences: Option<bool>,
    /// Copied into the chunks; ignored unless it is a string of up to 32 bytes.
    nonce: Option<Value>,
}

/// Op 31.
#[derive(Debug, Deserialize)]
pub(super) struct RequestSounds {
    /// Servers.
    pub(super) guild_ids: OneOrMany,
}

/// Op 43.
#[derive(Debug, Deserialize)]
pub(super) struct RequestChannelInfo {
    /// Server.
    pub(super) guild_id: Id,
    /// `status`, `voice_start_time`.
    #[serde(rename = "fields")]
    _fields: Vec<String>,
}

/// A payload that closes the connection, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Close code.
    pub(super) code: CloseCode,
    /// Text for the close frame, in place of Discord's short reason, and for the log.
    pub(super) why: String,
}

impl Refusal {
    /// A refusal with this reason.
    pub(super) fn new(code: CloseCode, why: impl Into<String>) -> Self {
        Self { code, why: why.into() }
    }
}

/// Reads one payload.
///
/// # Errors
/// 4001 or 4002 with the reason.
pub(super) fn read(bytes: &[u8]) -> Result<ClientPayload, Refusal> {
    #[derive(Deserialize)]
    struct Envelope {
        op: u64,
        d: Option<Value>,
    }
    let bad = |why: String| Refusal::new(CloseCode::DecodeError, why);
    if bytes.len() > MAX_PAYLOAD {
        return Err(bad(format!("{} bytes; a payload may have {MAX_PAYLOAD}", bytes.len())));
    }
    let envelope: Envelope = serde_json::from_slice(bytes).map_err(|error| bad(format!("not a payload: {error}")))?;
    let d = envelope.d.unwrap_or_default();
    Ok(match envelope.op {
        1 => heartbeat(&d)?,
        2 => ClientPayload::Identify(body(2, d)?),
        3 => body::<Presence>(3, d)?.check().map(|()| ClientPayload::Presence)?,
        4 => ClientPayload::VoiceState(body(4, d)?),
        6 => ClientPayload::Resume(body(6, d)?),
        8 => ClientPayload::RequestMembers(body(8, d)?),
        31 => ClientPayload::RequestSounds(body(31, d)?),
        43 => ClientPayload::RequestChannelInfo(body(43, d)?),
        op => {
            return Err(Refusal::new(
                CloseCode::UnknownOpcode,
                format!("op {op} is not one that a client sends"),
            ));
        }
    })
}

fn body<T: DeserializeOwned>(op: u64, d: Value) -> Result<T, Refusal> {
    serde_json::from_value(d).map_err(|error| Refusal::new(CloseCode::DecodeError, format!("d of op {op}: {error}")))
}

/// `d` is the last sequence number received, or null before the first.
fn heartbeat(d: &Value) -> Result<ClientPayload, Refusal> {
    if d.is_null() || whole_of(d).is_some() {
        return Ok(ClientPayload::Heartbeat);
    }
    let why = format!("d of op 1: {d} is neither null nor a sequence number");
    Err(Refusal::new(CloseCode::DecodeError, why))
}

impl Presence {
    /// Refuses a status that does not exist.
    ///
    /// # Errors
    /// 4002.
    fn check(&self) -> Result<(), Refusal> {
        match self.status.as_deref() {
            None | Some("" | "online" | "dnd" | "idle" | "invisible" | "offline") => Ok(()),
            Some(other) => Err(Refusal::new(
                CloseCode::DecodeError,
                format!("{other:?} is not a status: online, dnd, idle, invisible or offline"),
            )),
        }
    }
}

impl Identify {
    /// The intents of a session of this version; all of them exist and are allowed.
    ///
    /// Up to v7 they may be absent, which selects all that the application may have. Up to v9 message content is sent to every
    /// application for which the intent is switched on, with or without the bit.
    ///
    /// # Errors
    /// 4013 and 4014.
    pub(super) fn intents(&self, version: u8, allowed: Intents) -> Result<Intents, Refusal> {
        let invalid = |why: String| Refusal::new(CloseCode::InvalidIntents, why);
        let implied = if version < 10 {
            allowed & Intents::MESSAGE_CONTENT
        } else {
            Intents::empty()
        };
        let bits = match self.intents.as_ref().filter(|value| !value.is_null()) {
            None if version < 8 => return Ok((Intents::all() - Intents::PRIVILEGED) | allowed),
            None => return Err(invalid(format!("intents are required in v{version}"))),
            Some(value) => whole_of(value).ok_or_else(|| invalid(format!("intents {value} are not a whole number")))?,
        };
        let unknown = bits & !(Intents::all().bits() | Intents::UNDOCUMENTED);
        if unknown != 0 {
            return Err(invalid(format!("bits {unknown:#x} are no intents")));
        }
        let intents = Intents::from_bits_truncate(bits);
        let refused = intents & Intents::PRIVILEGED & !allowed;
        if refused.is_empty() {
            return Ok(intents | implied);
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
        let numbers: Option<Vec<u64>> = value.as_array().and_then(|list| list.iter().map(whole_of).collect());
        match numbers.as_deref() {
            Some([id, count]) if id < count => Ok([*id, *count]),
            _ => Err(Refusal::new(
                CloseCode::InvalidShard,
                format!("shard {value} is not [number, count], number < count"),
            )),
        }
    }

    /// Whether payloads may be compressed one by one.
    pub(super) fn compresses(&self) -> bool {
        self.compress.unwrap_or(false)
    }

    /// Checks of the remaining fields.
    ///
    /// # Errors
    /// 4002.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        if let Some(threshold) = self.large_threshold.filter(|threshold| !(50..=250).contains(threshold)) {
            let why = format!("large_threshold {threshold} is not between 50 and 250");
            return Err(Refusal::new(CloseCode::DecodeError, why));
        }
        self.presence.as_ref().map_or(Ok(()), Presence::check)
    }
}

impl RequestMembers {
    /// The nonce, when it is valid.
    pub(super) fn nonce(&self) -> Option<&str> {
        self.nonce
            .as_ref()
            .and_then(Value::as_str)
            .filter(|nonce| nonce.len() <= 32)
    }

    /// Whether all members are requested, which needs a privileged intent and has a rate limit.
    pub(super) fn is_for_everyone(&self) -> bool {
        self.user_ids.is_none() && self.query.as_deref().unwrap_or_default().is_empty() && self.limit.unwrap_or(0) == 0
    }
}

/// A payload without the token in its `d`, for the ledger.
pub(super) fn redacted(bytes: &[u8]) -> String {
    let mut payload: Value = serde_json::from_slice(bytes).unwrap_or_default();
    if let Some(token) = payload.pointer_mut("/d/token") {
        *token = "[redacted]".into();
    }
    payload.to_string()
}

/// The token without its `Bot ` prefix.
pub(super) fn bare_token(token: &str) -> &str {
    token.strip_prefix("Bot ").unwrap_or(token).trim()
}

/// Op 10.
pub(super) fn hello(heartbeat_interval_ms: u64) -> String {
    json!({"t": null, "s": null, "op": 10, "d": {"heartbeat_interval": heartbeat_interval_ms, "_trace": ["[\"emulator\"]"]}}).to_string()
}

/// A frame with this opcode and `d`.
pub(super) fn bare(op: u8, d: &Value) -> String {
    json!({"t": null, "s": null, "op": op, "d": d}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(payload: &str) -> u16 {
        read(payload.as_bytes()).unwrap_err().code.number()
    }

    fn identify(d: &Value) -> Identify {
        let mut whole = json!({"token": "t", "properties": {}});
        whole.as_object_mut().unwrap().extend(d.as_object().unwrap().clone());
        match read(json!({"op": 2, "d": whole}).to_string().as_bytes()) {
            Ok(ClientPayload::Identify(identify)) => *identify,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn bad_payloads_name_their_close_code() {
        assert_eq!(code("{\"op\":0,"), 4002);
        assert_eq!(code("[]"), 4002);
        assert_eq!(code("{\"op\":2,\"d\":{\"token\":5}}"), 4002);
        assert_eq!(code("{\"op\":1,\"d\":\"soon\"}"), 4002);
        assert_eq!(code("{\"op\":0,\"d\":null}"), 4001);
        assert_eq!(code("{\"op\":99,\"d\":null}"), 4001);
        let long = format!("{{\"op\":1,\"d\":null,\"x\":\"{}\"}}", "y".repeat(MAX_PAYLOAD));
        assert_eq!(code(&long), 4002);
    }

    #[test]
    fn intents_are_checked_against_what_exists_and_what_is_switched_on() {
        let intents = |intents: Value| {
            identify(&json!({ "intents": intents }))
                .intents(10, Intents::GUILD_MEMBERS)
                .map_err(|refusal| refusal.code.number())
        };
        assert_eq!(intents(json!(3)), Ok(Intents::GUILDS | Intents::GUILD_MEMBERS));
        assert_eq!(intents(json!("3")), Ok(Intents::GUILDS | Intents::GUILD_MEMBERS));
        assert_eq!(intents(json!(3.0)), Ok(Intents::GUILDS | Intents::GUILD_MEMBERS));
        for undocumented in [17, 18, 19, 22, 23] {
            assert_eq!(
                intents(json!(1 | 1_u64 << undocumented)),
                Ok(Intents::GUILDS),
                "{undocumented}"
            );
        }
        for wrong in [
            json!(1_u64 << 26),
            json!(1_u64 << 63),
            json!(-1),
            json!(1.5),
            json!("all"),
            json!([1]),
            Value::Null,
        ] {
            assert_eq!(intents(wrong.clone()), Err(4013), "{wrong}");
        }
        assert_eq!(intents(json!(1 << 15)), Err(4014));
    }

    #[test]
    fn intents_may_be_absent_up_to_v7_and_content_needs_no_intent_up_to_v9() {
        let allowed = Intents::MESSAGE_CONTENT;
        for version in [6, 7] {
            let all = identify(&json!({})).intents(version, allowed).unwrap();
            assert!(all.contains(Intents::GUILDS | Intents::MESSAGE_CONTENT) && !all.contains(Intents::GUILD_MEMBERS));
        }
        for version in [8, 9, 10] {
            assert_eq!(
                identify(&json!({}))
                    .intents(version, allowed)
                    .unwrap_err()
                    .code
                    .number(),
                4013
            );
        }
        let asked = identify(&json!({"intents": 1 << 9}));
        assert!(asked.intents(9, allowed).unwrap().contains(Intents::MESSAGE_CONTENT));
        assert!(
            !asked
                .intents(9, Intents::empty())
                .unwrap()
                .contains(Intents::MESSAGE_CONTENT)
        );
        assert!(!asked.intents(10, allowed).unwrap().contains(Intents::MESSAGE_CONTENT));
    }

    #[test]
    fn token_is_not_in_the_record() {
        let shown = redacted(br#"{"op":2,"d":{"token":"secret","intents":1}}"#);
        assert!(!shown.contains("secret") && shown.contains("\"intents\":1"), "{shown}");
    }
}
