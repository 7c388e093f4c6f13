//! Description of a server, in JSON for the control API and in code for the lively servers.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::model::{ChannelKind, Id, Permissions};

/// A server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GuildSpec {
    /// Id; a new one when absent.
    pub id: Option<Id>,
    /// 2–100 characters.
    pub name: String,
    /// Description of a community server.
    pub description: Option<String>,
    /// Name of the owner, who must be one of the members; an owner is created when absent.
    pub owner: Option<String>,
    /// Id of the created owner.
    pub owner_id: Option<Id>,
    /// Announcement, stage and forum channels need it.
    pub community: bool,
    /// Further features.
    pub features: Vec<String>,
    /// Boost level 0–3.
    pub premium_tier: u8,
    /// Permissions of `@everyone`; Discord's default when absent.
    pub everyone: Option<PermissionSpec>,
    /// The bot in the server.
    pub bot: BotSpec,
    /// Roles from the highest to the lowest.
    pub roles: Vec<RoleSpec>,
    /// Channels in the order of the list.
    pub channels: Vec<ChannelSpec>,
    /// Members.
    pub members: Vec<MemberSpec>,
    /// Name of the channel where joins are announced.
    pub system_channel: Option<String>,
    /// Messages, in any order.
    pub messages: Vec<MessageSpec>,
}

/// An initial message of a channel.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MessageSpec {
    /// Name of the channel.
    pub channel: String,
    /// User name of the member who wrote it.
    pub author: String,
    /// 1–2,000 characters.
    pub content: String,
    /// Age in minutes.
    pub minutes_ago: u64,
}

/// The bot in a server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BotSpec {
    /// Id of its managed role.
    pub role_id: Option<Id>,
    /// Permissions of its role; administrator when absent.
    pub permissions: Option<PermissionSpec>,
    /// Name of the role directly above its role; its role is the highest when absent.
    pub below: Option<String>,
}

/// A role.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RoleSpec {
    /// Chosen id.
    pub id: Option<Id>,
    /// 1–100 characters.
    pub name: String,
    /// `#rrggbb` or a number.
    pub color: Option<ColorSpec>,
    /// Permissions.
    pub permissions: Option<PermissionSpec>,
    /// Whether members are listed apart.
    pub hoist: bool,
    /// Whether everyone may mention it.
    pub mentionable: bool,
    /// Whether it belongs to another integration and cannot be assigned or deleted.
    pub managed: bool,
}

/// Permissions as names, as a decimal string or as a number.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum PermissionSpec {
    /// e.g. `["VIEW_CHANNEL"]`.
    Names(Vec<String>),
    /// e.g. `"1024"`.
    Bits(Permissions),
}

/// A colour.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum ColorSpec {
    /// RGB.
    Number(u32),
    /// `#rrggbb`.
    Text(String),
}

/// A channel or category.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChannelSpec {
    /// Chosen id.
    pub id: Option<Id>,
    /// 1–100 characters.
    pub name: String,
    /// `text` (default), `voice`, `category`, `announcement`, `stage`, `forum`, `media`, or Discord's number.
    pub kind: Option<KindSpec>,
    /// Topic.
    pub topic: Option<String>,
    /// Age restricted.
    pub nsfw: bool,
    /// Slow mode in seconds.
    pub slow_mode: u32,
    /// Bitrate of voice in bits a second.
    pub bitrate: Option<u32>,
    /// User limit of voice.
    pub user_limit: u32,
    /// Names of the roles that may view it; absent: everyone.
    pub visible_to: Option<Vec<String>>,
    /// Names of the roles that may write (or speak); absent: all that may view it; `[]`: the bot alone.
    pub writable_by: Option<Vec<String>>,
    /// Overwrites in addition to those of the two lists above.
    pub overwrites: Vec<OverwriteSpec>,
    /// Channels of a category. Channels without access fields have the category's overwrites.
    pub channels: Vec<ChannelSpec>,
}

/// A kind of channel.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum KindSpec {
    /// Discord's number.
    Number(u64),
    /// e.g. `voice`.
    Name(String),
}

/// An overwrite.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OverwriteSpec {
    /// Name of a role, or `@everyone`.
    pub role: Option<String>,
    /// Name of a member.
    pub member: Option<String>,
    /// Allowed permissions.
    pub allow: Option<PermissionSpec>,
    /// Denied permissions.
    pub deny: Option<PermissionSpec>,
}

/// A member.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MemberSpec {
    /// Id of a new or an existing user.
    #[serde(alias = "id")]
    pub user_id: Option<Id>,
    /// User name; an existing user with this name joins.
    pub name: String,
    /// Display name.
    pub display: Option<String>,
    /// Name in this server.
    pub nick: Option<String>,
    /// Names of roles.
    pub roles: Vec<String>,
    /// Days since joining.
    pub joined_days_ago: u64,
    /// Whether it is another bot.
    pub bot: bool,
    /// Whether the user refuses direct messages from bots.
    pub refuses_dms: bool,
}

impl PermissionSpec {
    /// The bits.
    ///
    /// # Errors
    /// The name that is not a permission.
    pub fn bits(&self) -> Result<Permissions, String> {
        match self {
            Self::Bits(bits) => Ok(*bits),
            Self::Names(names) => Permissions::from_names(names.iter().map(String::as_str)),
        }
    }
}

impl ColorSpec {
    /// RGB; `None` when it is not a colour.
    #[must_use]
    pub fn rgb(&self) -> Option<u32> {
        match self {
            Self::Number(number) => Some(*number).filter(|number| *number <= 0xFF_FFFF),
            Self::Text(text) => {
                let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6)?;
                u32::from_str_radix(digits, 16).ok()
            }
        }
    }
}

impl KindSpec {
    /// The type; `None` when the name or number is unknown.
    #[must_use]
    pub fn kind(&self) -> Option<ChannelKind> {
        let name = match self {
            Self::Number(number) => return ChannelKind::from_number(*number).filter(|kind| !kind.is_thread()),
            Self::Name(name) => name,
        };
        Some(match name.as_str() {
            "text" => ChannelKind::Text,
            "voice" => ChannelKind::Voice,
            "category" => ChannelKind::Category,
            "announcement" => ChannelKind::Announcement,
            "stage" => ChannelKind::Stage,
            "forum" => ChannelKind::Forum,
            "media" => ChannelKind::Media,
            _ => return None,
        })
    }
}

/// Ids by name.
pub type Names = BTreeMap<String, Id>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_permissions_are_read_in_all_their_forms() {
        let role: RoleSpec =
            serde_json::from_str(r##"{"name":"Naib","color":"#FFD700","permissions":["VIEW_CHANNEL"]}"##).unwrap();
        assert_eq!(role.color.unwrap().rgb(), Some(0xFF_D700));
        assert_eq!(role.permissions.unwrap().bits(), Ok(Permissions::VIEW_CHANNEL));
        let role: RoleSpec = serde_json::from_str(r#"{"name":"Naib","color":255,"permissions":"8"}"#).unwrap();
        assert_eq!(role.color.unwrap().rgb(), Some(255));
        assert_eq!(role.permissions.unwrap().bits(), Ok(Permissions::ADMINISTRATOR));
        assert_eq!(ColorSpec::Text("gold".into()).rgb(), None);
    }

    #[test]
    fn a_misspelt_field_is_refused() {
        let refused = serde_json::from_str::<GuildSpec>(r#"{"name":"x","chanels":[]}"#).unwrap_err();
        assert!(refused.to_string().contains("chanels"), "{refused}");
    }
}
