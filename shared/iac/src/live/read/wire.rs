//! Discord's JSON, as far as we look at it.
//!
//! What Discord's OpenAPI document calls `required` is required here: an answer without it, or with `null` where the document
//! allows none, is an error that names the call and the field. Nothing is read as empty that was not sent. Fields that the
//! document, or Discord's reference, leaves optional are `Option`s with the reference's default. Where a default would have
//! something forgotten or moved (stickers, positions of channels), their absence is noted in the snapshot instead.

use std::fmt;

use arrakis_domain::{Permissions, PermissionsError};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::Unreadable;
use crate::model::{EmojiReference, Reference, Snowflake};

/// Reads what a call answered.
pub(super) fn read<T: DeserializeOwned>(call: &'static str, value: &Value) -> Result<T, Unreadable> {
    serde_path_to_error::deserialize(value).map_err(|error| Unreadable {
        call,
        at: error.path().to_string(),
        why: error.into_inner().to_string(),
    })
}

/// Reads a part of an answer whose shape depends on another part; `at` is its path.
pub(super) fn read_part<T: DeserializeOwned>(
    call: &'static str,
    at: &str,
    value: Option<&Value>,
) -> Result<T, Unreadable> {
    let null = Value::Null;
    serde_path_to_error::deserialize(value.unwrap_or(&null)).map_err(|error| {
        let below = error.path().to_string();
        let at = if below == "." {
            at.to_owned()
        } else {
            format!("{at}.{below}")
        };
        let why = error.into_inner().to_string();
        Unreadable { call, at, why }
    })
}

/// A field that must be there and may be `null`. Without this, serde takes an absent field for `null`.
fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

/// An integer of a JSON answer. Wider than any that JSON numbers can hold exactly, so that no value is cut off; whether it makes
/// sense is decided where it is understood.
pub(super) type Integer = i128;

/// The nearest position: positions are compared with each other and nothing else.
pub(super) fn position(sent: Integer) -> i64 {
    i64::try_from(sent).unwrap_or(if sent < 0 { i64::MIN } else { i64::MAX })
}

/// Permission bits. Discord documents them as integers of any length in decimal text; more than [`Permissions::BITS`] are kept
/// as text.
#[derive(Debug)]
pub(super) enum Bits {
    Known(Permissions),
    Longer(String),
}

impl Bits {
    pub(super) const fn known(&self) -> Option<Permissions> {
        match self {
            Self::Known(bits) => Some(*bits),
            Self::Longer(_) => None,
        }
    }
}

impl fmt::Display for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(bits) => bits.fmt(f),
            Self::Longer(text) => f.write_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for Bits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.parse() {
            Ok(bits) => Ok(Self::Known(bits)),
            Err(PermissionsError::TooLarge) => Ok(Self::Longer(text)),
            Err(error @ PermissionsError::NotDecimal) => Err(D::Error::custom(error)),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Guild {
    pub(super) id: Snowflake,
    pub(super) owner_id: Snowflake,
    pub(super) name: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) description: Option<String>,
    pub(super) verification_level: Integer,
    pub(super) default_message_notifications: Integer,
    pub(super) explicit_content_filter: Integer,
    pub(super) preferred_locale: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) afk_channel_id: Option<Snowflake>,
    pub(super) afk_timeout: Integer,
    #[serde(deserialize_with = "nullable")]
    pub(super) system_channel_id: Option<Snowflake>,
    pub(super) system_channel_flags: Integer,
    #[serde(deserialize_with = "nullable")]
    pub(super) rules_channel_id: Option<Snowflake>,
    #[serde(deserialize_with = "nullable")]
    pub(super) public_updates_channel_id: Option<Snowflake>,
    #[serde(deserialize_with = "nullable")]
    pub(super) safety_alerts_channel_id: Option<Snowflake>,
    pub(super) premium_progress_bar_enabled: bool,
    pub(super) premium_tier: Integer,
    pub(super) features: Vec<String>,
    pub(super) roles: Vec<Role>,
    pub(super) emojis: Vec<Emoji>,
    /// Required by the OpenAPI document; the reference lets it be absent.
    pub(super) stickers: Option<Vec<Sticker>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Colors {
    pub(super) primary_color: Integer,
    #[serde(deserialize_with = "nullable")]
    pub(super) secondary_color: Option<Integer>,
    #[serde(deserialize_with = "nullable")]
    pub(super) tertiary_color: Option<Integer>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Role {
    pub(super) id: Snowflake,
    pub(super) name: String,
    pub(super) colors: Colors,
    pub(super) hoist: bool,
    pub(super) mentionable: bool,
    pub(super) managed: bool,
    pub(super) position: Integer,
    pub(super) permissions: Bits,
    /// Required by the OpenAPI document; the reference lets it be absent.
    pub(super) unicode_emoji: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct User {
    pub(super) id: Snowflake,
}

/// Whose member it is, the call says: the reference lets `user` be absent.
#[derive(Debug, Deserialize)]
pub(super) struct Member {
    pub(super) roles: Vec<Snowflake>,
}

/// What decides how something is read. All else may be missing where the kind is unknown.
#[derive(Debug, Deserialize)]
pub(super) struct Head {
    pub(super) id: Snowflake,
    #[serde(rename = "type")]
    pub(super) kind: Integer,
    pub(super) name: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Overwrite {
    pub(super) id: Snowflake,
    #[serde(rename = "type")]
    pub(super) kind: Integer,
    pub(super) allow: Bits,
    pub(super) deny: Bits,
}

/// An emoji where it is used: an id of the server's own, or Unicode; neither for none.
#[derive(Debug, Deserialize)]
pub(super) struct UsedEmoji {
    #[serde(deserialize_with = "nullable")]
    pub(super) emoji_id: Option<Snowflake>,
    #[serde(deserialize_with = "nullable")]
    pub(super) emoji_name: Option<String>,
}

/// The emoji of this id or name. Outside: `None` for a name that stands for no emoji of Unicode's.
pub(super) fn used_emoji(id: Option<Snowflake>, name: Option<&str>) -> Option<Option<EmojiReference>> {
    match (id, name) {
        (Some(id), _) => Some(Some(EmojiReference::Own(Reference::Id(id)))),
        (None, None | Some("")) => Some(None),
        (None, Some(name)) if name.is_ascii() => None,
        (None, Some(name)) => Some(Some(EmojiReference::Unicode(name.to_owned()))),
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Tag {
    /// A tag of which no id can be read is told apart by its name.
    #[serde(default)]
    pub(super) id: Value,
    pub(super) name: String,
    pub(super) moderated: bool,
    #[serde(deserialize_with = "nullable")]
    pub(super) emoji_id: Option<Snowflake>,
    #[serde(deserialize_with = "nullable")]
    pub(super) emoji_name: Option<String>,
}

/// A channel of a known kind. What depends on the kind is optional.
#[derive(Debug, Deserialize)]
pub(super) struct Channel {
    pub(super) id: Snowflake,
    pub(super) name: String,
    /// Required by the OpenAPI document, as are the flags; the reference lets both be absent.
    pub(super) position: Option<Integer>,
    pub(super) flags: Option<Integer>,
    pub(super) parent_id: Option<Snowflake>,
    pub(super) topic: Option<String>,
    pub(super) nsfw: Option<bool>,
    pub(super) rate_limit_per_user: Option<Integer>,
    pub(super) bitrate: Option<Integer>,
    pub(super) user_limit: Option<Integer>,
    pub(super) rtc_region: Option<String>,
    pub(super) video_quality_mode: Option<Integer>,
    pub(super) default_auto_archive_duration: Option<Integer>,
    pub(super) default_thread_rate_limit_per_user: Option<Integer>,
    pub(super) available_tags: Option<Vec<Tag>>,
    pub(super) default_reaction_emoji: Option<UsedEmoji>,
    pub(super) default_sort_order: Option<Integer>,
    pub(super) default_forum_layout: Option<Integer>,
    pub(super) default_tag_setting: Option<String>,
    pub(super) permission_overwrites: Option<Vec<Overwrite>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Emoji {
    pub(super) id: Snowflake,
    pub(super) name: String,
    /// Required by the OpenAPI document, as is `managed`; the reference lets both be absent.
    pub(super) roles: Option<Vec<Snowflake>>,
    pub(super) managed: Option<bool>,
    pub(super) animated: Option<bool>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Sticker {
    pub(super) id: Snowflake,
    pub(super) name: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) description: Option<String>,
    pub(super) tags: String,
    /// Only for its image.
    #[serde(default)]
    pub(super) format_type: Value,
}

#[derive(Debug, Deserialize)]
pub(super) struct Webhook {
    pub(super) id: Snowflake,
    #[serde(deserialize_with = "nullable")]
    pub(super) channel_id: Option<Snowflake>,
    /// The reference lets it be `null`, the OpenAPI document does not.
    #[serde(deserialize_with = "nullable")]
    pub(super) name: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct AutomodRule {
    pub(super) id: Snowflake,
    pub(super) name: String,
    pub(super) enabled: bool,
    pub(super) trigger_type: Integer,
    /// Its shape depends on the trigger.
    pub(super) trigger_metadata: Option<Value>,
    pub(super) actions: Vec<AutomodAction>,
    pub(super) exempt_roles: Vec<Snowflake>,
    pub(super) exempt_channels: Vec<Snowflake>,
}

#[derive(Debug, Deserialize)]
pub(super) struct AutomodAction {
    #[serde(rename = "type")]
    pub(super) kind: Integer,
    /// Its shape depends on the kind.
    pub(super) metadata: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Words {
    pub(super) keyword_filter: Vec<String>,
    pub(super) regex_patterns: Vec<String>,
    pub(super) allow_list: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Presets {
    pub(super) presets: Vec<Integer>,
    pub(super) allow_list: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Mentions {
    pub(super) mention_total_limit: Integer,
    pub(super) mention_raid_protection_enabled: bool,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct BlockMessage {
    pub(super) custom_message: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Alert {
    pub(super) channel_id: Snowflake,
}

#[derive(Debug, Deserialize)]
pub(super) struct Timeout {
    pub(super) duration_seconds: Integer,
}

#[derive(Debug, Deserialize)]
pub(super) struct WelcomeScreen {
    #[serde(deserialize_with = "nullable")]
    pub(super) description: Option<String>,
    pub(super) welcome_channels: Vec<WelcomeChannel>,
}

#[derive(Debug, Deserialize)]
pub(super) struct WelcomeChannel {
    pub(super) channel_id: Snowflake,
    pub(super) description: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) emoji_id: Option<Snowflake>,
    #[serde(deserialize_with = "nullable")]
    pub(super) emoji_name: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Onboarding {
    pub(super) enabled: bool,
    pub(super) mode: Integer,
    pub(super) default_channel_ids: Vec<Snowflake>,
    pub(super) prompts: Vec<Prompt>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Prompt {
    pub(super) title: String,
    #[serde(rename = "type")]
    pub(super) kind: Integer,
    pub(super) single_select: bool,
    pub(super) required: bool,
    pub(super) in_onboarding: bool,
    pub(super) options: Vec<Answer>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    pub(super) title: String,
    /// The reference lets it be `null`, the OpenAPI document does not.
    #[serde(deserialize_with = "nullable")]
    pub(super) description: Option<String>,
    /// Required by the OpenAPI document; the reference lets it be absent for an answer without an emoji.
    pub(super) emoji: Option<AnswerEmoji>,
    pub(super) role_ids: Vec<Snowflake>,
    pub(super) channel_ids: Vec<Snowflake>,
}

#[derive(Debug, Deserialize)]
pub(super) struct AnswerEmoji {
    #[serde(deserialize_with = "nullable")]
    pub(super) id: Option<Snowflake>,
    #[serde(deserialize_with = "nullable")]
    pub(super) name: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Event {
    pub(super) id: Snowflake,
    pub(super) name: String,
    /// Required by the OpenAPI document; the reference lets it be absent.
    pub(super) description: Option<String>,
    pub(super) scheduled_start_time: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) scheduled_end_time: Option<String>,
    pub(super) entity_type: Integer,
    #[serde(deserialize_with = "nullable")]
    pub(super) channel_id: Option<Snowflake>,
    /// An object for an event outside Discord, `null` else.
    pub(super) entity_metadata: Option<Value>,
    /// Only for its image.
    #[serde(default)]
    pub(super) image: Value,
}

#[derive(Debug, Deserialize)]
pub(super) struct Location {
    pub(super) location: String,
}
