//! Application commands. <https://discord.com/developers/docs/interactions/application-commands>

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::{Id, Permissions};

/// A registered command.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Command {
    /// Snowflake of the command.
    pub id: Id,
    /// Application that owns it.
    pub application_id: Id,
    /// Server, or `None` for a global one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guild_id: Option<Id>,
    /// 1 chat input, 2 user, 3 message, 4 primary entry point.
    #[serde(rename = "type")]
    pub kind: u8,
    /// 1–32 characters, lower case for chat input.
    pub name: String,
    /// Names by locale.
    pub name_localizations: Option<BTreeMap<String, String>>,
    /// 1–100 characters, empty for user and message commands.
    pub description: String,
    /// Descriptions by locale.
    pub description_localizations: Option<BTreeMap<String, String>>,
    /// Up to 25.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<CommandOption>,
    /// Permissions that members need by default; `0` is administrators only.
    pub default_member_permissions: Option<Permissions>,
    /// Old form of `contexts`.
    pub dm_permission: bool,
    /// Contexts in which it can be used; `None` is all.
    pub contexts: Option<Vec<u8>>,
    /// 0 server, 1 user.
    pub integration_types: Vec<u8>,
    /// Age restricted.
    pub nsfw: bool,
    /// Changes with every edit of the command.
    pub version: Id,
}

/// An option of a command, or a subcommand or group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CommandOption {
    /// 1 subcommand, 2 group, 3 string, 4 integer, 5 boolean, 6 user, 7 channel, 8 role, 9 mentionable, 10 number,
    /// 11 attachment.
    #[serde(rename = "type")]
    pub kind: u8,
    /// 1–32 characters.
    pub name: String,
    /// Names by locale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_localizations: Option<BTreeMap<String, String>>,
    /// 1–100 characters.
    #[serde(default)]
    pub description: String,
    /// Descriptions by locale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description_localizations: Option<BTreeMap<String, String>>,
    /// Whether a value is required.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// Up to 25 fixed choices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<CommandChoice>,
    /// Options of a subcommand, subcommands of a group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<CommandOption>,
    /// Channel types that may be selected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channel_types: Vec<u8>,
    /// Smallest integer or number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_value: Option<Number>,
    /// Largest integer or number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_value: Option<Number>,
    /// Smallest length of a string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_length: Option<u32>,
    /// Largest length of a string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u32>,
    /// Whether the bot supplies choices by autocomplete.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub autocomplete: bool,
}

/// A choice of an option, fixed or from autocomplete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommandChoice {
    /// 1–100 characters.
    pub name: String,
    /// Names by locale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_localizations: Option<BTreeMap<String, String>>,
    /// String, integer or number, by the option's type.
    pub value: Value,
}
