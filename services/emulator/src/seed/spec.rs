//! How a server is described: in JSON by whoever seeds one, in code by the lively one.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::model::{ChannelKind, Id, Permissions};

/// A server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GuildSpec {
    /// Chosen id; fresh when absent.
    pub id: Option<Id>,
    /// 2–100 characters.
    pub name: String,
    /// Text of a community server.
    pub description: Option<String>,
    /// Name of the owner, one of the members; an owner is made when absent.
    pub owner: Option<String>,
    /// Id of the owner who is made.
    pub owner_id: Option<Id>,
    /// Announcement, stage and forum channels need it.
    pub community: bool,
    /// Further features.
    pub features: Vec<String>,
    /// Boost level 0–3.
    pub premium_tier: u8,
    /// What `@everyone` may; Discord's default when absent.
    pub everyone: Option<PermissionSpec>,
    /// The bot's place.
    pub bot: BotSpec,
    /// From the highest to the lowest.
    pub roles: Vec<RoleSpec>,
    /// In the order of the list.
    pub channels: Vec<ChannelSpec>,
    /// People.
    pub members: Vec<MemberSpec>,
    /// Name of the channel where joins are announced.
    pub system_channel: Option<String>,
    /// What members said, in any order.
    pub messages: Vec<MessageSpec>,
}

/// A message that stands in a channel from the start.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MessageSpec {
    /// Name of the channel.
    pub channel: String,
    /// User name of the member who wrote it.
    pub author: String,
    /// 1–2,000 characters.
    pub content: String,
    /// Minutes ago that it was written.
    pub minutes_ago: u64,
}

/// The bot in a server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BotSpec {
    /// Id of its managed role.
    pub role_id: Option<Id>,
    /// What its role may; administrator when absent.
    pub permissions: Option<PermissionSpec>,
    /// Name of the role that stands right above its role; its role is the highest when absent.
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
    /// What it grants.
    pub permissions: Option<PermissionSpec>,
    /// Shown apart.
    pub hoist: bool,
    /// May be mentioned.
    pub mentionable: bool,
    /// Belongs to another integration: cannot be assigned or deleted.
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
    /// Text below the name.
    pub topic: Option<String>,
    /// Age restricted.
    pub nsfw: bool,
    /// Slow mode in seconds.
    pub slow_mode: u32,
    /// Bits a second, of voice.
    pub bitrate: Option<u32>,
    /// Most people, of voice.
    pub user_limit: u32,
    /// Names of the roles that see it; all others do not. Absent: everyone sees it.
    pub visible_to: Option<Vec<String>>,
    /// Names of the roles that may write (or speak); absent: whoever sees it. `[]` is the bot alone.
    pub writable_by: Option<Vec<String>>,
    /// Overwrites in full, beside those of the two lists above.
    pub overwrites: Vec<OverwriteSpec>,
    /// Channels of a category. Those that say nothing of access take the category's.
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
    /// Granted.
    pub allow: Option<PermissionSpec>,
    /// Taken.
    pub deny: Option<PermissionSpec>,
}

/// A member.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MemberSpec {
    /// Chosen id, or that of a known user.
    #[serde(alias = "id")]
    pub user_id: Option<Id>,
    /// User name; a known user of this name joins.
    pub name: String,
    /// Name that is shown.
    pub display: Option<String>,
    /// Name in this server.
    pub nick: Option<String>,
    /// Names of roles.
    pub roles: Vec<String>,
    /// Days ago that they joined.
    pub joined_days_ago: u64,
    /// Whether it is another bot.
    pub bot: bool,
    /// Refuses direct messages from bots.
    pub refuses_dms: bool,
}

impl PermissionSpec {
    /// The bits.
    ///
    /// # Errors
    /// The name that is no permission.
    pub fn bits(&self) -> Result<Permissions, String> {
        match self {
            Self::Bits(bits) => Ok(*bits),
            Self::Names(names) => Permissions::from_names(names.iter().map(String::as_str)),
        }
    }
}

impl ColorSpec {
    /// RGB; `None` when it is no colour.
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
    /// The kind; `None` when there is none of this name or number.
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
