//! Discord's JSON: common types and functions.
//!
//! Fields that Discord's OpenAPI document requires are required here: a response without one, or with an undocumented `null`,
//! is an error with the call and the field. A missing list is never read as an empty one. Optional fields are `Option`s with
//! Discord's default. Where a default would cause a wrong deletion or move (stickers, positions of channels), the snapshot
//! records that the field is absent.

mod image;
mod unknown;

use std::fmt;

use arrakis_domain::{Permissions, PermissionsError};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::values::{EmojiReference, Reference, Snowflake};

pub use image::LiveImage;
pub use unknown::UnknownValue;
pub(crate) use unknown::{UnknownValues, number};

/// A response in which a required field is absent or has a wrong type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Discord's response to `{call}` cannot be read: {why}, at `{at}`; nothing was changed: try again later")]
pub struct Unreadable {
    /// The call, e.g. `GET /guilds/{id}`.
    pub call: &'static str,
    /// Path of the field in the response, e.g. `roles[3].permissions`; for an absent field, the path of its object.
    pub at: String,
    /// The reason.
    pub why: String,
}

/// Reads the response to a call.
pub(crate) fn read<T: DeserializeOwned>(call: &'static str, value: &Value) -> Result<T, Unreadable> {
    serde_path_to_error::deserialize(value).map_err(|error| Unreadable {
        call,
        at: error.path().to_string(),
        why: error.into_inner().to_string(),
    })
}

/// Reads a part of a response whose form depends on another part; `at` is its path.
pub(crate) fn read_part<T: DeserializeOwned>(
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

/// Deserializes a required field that may be `null`. Without this, serde accepts an absent field as `null`.
pub(crate) fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

/// An integer in a response. Wider than the exact range of JSON numbers, so that no value is truncated; its use checks the
/// range.
pub(crate) type Integer = i128;

/// A position, saturated: positions are only compared with each other.
pub(crate) fn position(sent: Integer) -> i64 {
    i64::try_from(sent).unwrap_or(if sent < 0 { i64::MIN } else { i64::MAX })
}

/// Permission bits. Discord sends them as decimal text of any length; more than [`Permissions::BITS`] bits stay text.
#[derive(Debug)]
pub(crate) enum Bits {
    Known(Permissions),
    Longer(String),
}

impl Bits {
    pub(crate) const fn known(&self) -> Option<Permissions> {
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
pub(crate) struct User {
    pub(crate) id: Snowflake,
}

/// The call determines the user: Discord's documentation allows an absent `user`.
#[derive(Debug, Deserialize)]
pub(crate) struct Member {
    pub(crate) roles: Vec<Snowflake>,
}

/// The type of an object. Its other fields may be absent if the type is unknown.
#[derive(Debug, Deserialize)]
pub(crate) struct Head {
    pub(crate) id: Snowflake,
    #[serde(rename = "type")]
    pub(crate) kind: Integer,
    pub(crate) name: Option<String>,
}

/// A used emoji: the id of an emoji of the server, or a Unicode emoji; neither for none.
#[derive(Debug, Deserialize)]
pub(crate) struct UsedEmoji {
    #[serde(deserialize_with = "nullable")]
    pub(crate) emoji_id: Option<Snowflake>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) emoji_name: Option<String>,
}

/// The emoji with this id or name. The outer `None` is an invalid name.
pub(crate) fn used_emoji(id: Option<Snowflake>, name: Option<&str>) -> Option<Option<EmojiReference>> {
    match (id, name) {
        (Some(id), _) => Some(Some(EmojiReference::Own(Reference::Id(id)))),
        (None, None | Some("")) => Some(None),
        (None, Some(name)) if name.is_ascii() => None,
        (None, Some(name)) => Some(Some(EmojiReference::Unicode(name.to_owned()))),
    }
}
