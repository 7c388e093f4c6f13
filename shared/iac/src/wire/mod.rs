//! Discord's JSON: common types and functions.
//!
//! What Discord's OpenAPI document calls `required` is required here: an answer without it, or with `null` where the document
//! allows none, is an error that names the call and the field. Nothing is read as empty that was not sent. Fields that the
//! document, or Discord's reference, leaves optional are `Option`s with the reference's default. Where a default would have
//! something forgotten or moved (stickers, positions of channels), their absence is noted in the snapshot instead.

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

/// An answer of Discord lacks a field that the OpenAPI document requires, or has another type there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Discord's answer to `{call}` cannot be read: {why}, at `{at}`; nothing was changed: try again later")]
pub struct Unreadable {
    /// The call, e.g. `GET /guilds/{id}`.
    pub call: &'static str,
    /// Path of the field within the answer, e.g. `roles[3].permissions`; for an absent field, of what it is missing from.
    pub at: String,
    /// The reason.
    pub why: String,
}

/// Reads what a call answered.
pub(crate) fn read<T: DeserializeOwned>(call: &'static str, value: &Value) -> Result<T, Unreadable> {
    serde_path_to_error::deserialize(value).map_err(|error| Unreadable {
        call,
        at: error.path().to_string(),
        why: error.into_inner().to_string(),
    })
}

/// Reads a part of an answer whose shape depends on another part; `at` is its path.
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

/// A field that must be there and may be `null`. Without this, serde takes an absent field for `null`.
pub(crate) fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

/// An integer of a JSON answer. Wider than any that JSON numbers can hold exactly, so that no value is cut off; whether it
/// makes sense is decided where it is understood.
pub(crate) type Integer = i128;

/// The nearest position: positions are compared with each other and nothing else.
pub(crate) fn position(sent: Integer) -> i64 {
    i64::try_from(sent).unwrap_or(if sent < 0 { i64::MIN } else { i64::MAX })
}

/// Permission bits. Discord documents them as integers of any length in decimal text; more than [`Permissions::BITS`] are kept
/// as text.
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

/// Whose member it is, the call says: the reference lets `user` be absent.
#[derive(Debug, Deserialize)]
pub(crate) struct Member {
    pub(crate) roles: Vec<Snowflake>,
}

/// What decides how something is read. All else may be missing where the kind is unknown.
#[derive(Debug, Deserialize)]
pub(crate) struct Head {
    pub(crate) id: Snowflake,
    #[serde(rename = "type")]
    pub(crate) kind: Integer,
    pub(crate) name: Option<String>,
}

/// An emoji where it is used: an id of the server's own, or Unicode; neither for none.
#[derive(Debug, Deserialize)]
pub(crate) struct UsedEmoji {
    #[serde(deserialize_with = "nullable")]
    pub(crate) emoji_id: Option<Snowflake>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) emoji_name: Option<String>,
}

/// The emoji of this id or name. Outside: `None` for a name that stands for no emoji of Unicode's.
pub(crate) fn used_emoji(id: Option<Snowflake>, name: Option<&str>) -> Option<Option<EmojiReference>> {
    match (id, name) {
        (Some(id), _) => Some(Some(EmojiReference::Own(Reference::Id(id)))),
        (None, None | Some("")) => Some(None),
        (None, Some(name)) if name.is_ascii() => None,
        (None, Some(name)) => Some(Some(EmojiReference::Unicode(name.to_owned()))),
    }
}
