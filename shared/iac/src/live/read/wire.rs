//! Discord's JSON, as far as we look at it. Everything but ids may be absent.

use arrakis_domain::Permissions;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Unreadable;
use crate::model::{EmojiReference, Reference, Snowflake};

/// Reads a collection.
pub(super) fn read<T: DeserializeOwned>(what: &'static str, value: &Value) -> Result<T, Unreadable> {
    T::deserialize(value).map_err(|why| Unreadable {
        what,
        why: why.to_string(),
    })
}

#[derive(Debug, Deserialize)]
pub(super) struct Guild {
    pub(super) id: Snowflake,
    pub(super) owner_id: Snowflake,
    #[serde(default)]
    pub(super) name: String,
    pub(super) description: Option<String>,
    #[serde(default)]
    pub(super) verification_level: u64,
    #[serde(default)]
    pub(super) default_message_notifications: u64,
    #[serde(default)]
    pub(super) explicit_content_filter: u64,
    #[serde(default)]
    pub(super) preferred_locale: String,
    pub(super) afk_channel_id: Option<Snowflake>,
    #[serde(default)]
    pub(super) afk_timeout: u64,
    pub(super) system_channel_id: Option<Snowflake>,
    #[serde(default)]
    pub(super) system_channel_flags: u64,
    pub(super) rules_channel_id: Option<Snowflake>,
    pub(super) public_updates_channel_id: Option<Snowflake>,
    pub(super) safety_alerts_channel_id: Option<Snowflake>,
    #[serde(default)]
    pub(super) premium_progress_bar_enabled: bool,
    #[serde(default)]
    pub(super) premium_tier: u8,
    #[serde(default)]
    pub(super) features: Vec<String>,
    #[serde(default)]
    pub(super) roles: Vec<Role>,
    #[serde(default)]
    pub(super) emojis: Vec<Emoji>,
    #[serde(default)]
    pub(super) stickers: Vec<Sticker>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Colors {
    #[serde(default)]
    pub(super) primary_color: u32,
    pub(super) secondary_color: Option<u32>,
    pub(super) tertiary_color: Option<u32>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Role {
    pub(super) id: Snowflake,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) color: u32,
    pub(super) colors: Option<Colors>,
    #[serde(default)]
    pub(super) hoist: bool,
    #[serde(default)]
    pub(super) mentionable: bool,
    #[serde(default)]
    pub(super) managed: bool,
    #[serde(default)]
    pub(super) position: i64,
    #[serde(default)]
    pub(super) permissions: Permissions,
    pub(super) unicode_emoji: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct User {
    pub(super) id: Snowflake,
}

#[derive(Debug, Deserialize)]
pub(super) struct Member {
    pub(super) user: User,
    #[serde(default)]
    pub(super) roles: Vec<Snowflake>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Overwrite {
    pub(super) id: Snowflake,
    #[serde(default, rename = "type")]
    pub(super) kind: u64,
    #[serde(default)]
    pub(super) allow: Permissions,
    #[serde(default)]
    pub(super) deny: Permissions,
}

/// An emoji where it is used: an id of the server's own, or Unicode.
#[derive(Debug, Default, Deserialize)]
pub(super) struct UsedEmoji {
    #[serde(alias = "id")]
    pub(super) emoji_id: Option<Snowflake>,
    #[serde(alias = "name")]
    pub(super) emoji_name: Option<String>,
}

impl UsedEmoji {
    pub(super) fn reference(&self) -> Option<EmojiReference> {
        let own = self.emoji_id.map(|id| EmojiReference::Own(Reference::Id(id)));
        let unicode = || self.emoji_name.clone().filter(|name| !name.is_empty());
        own.or_else(|| unicode().map(EmojiReference::Unicode))
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Tag {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) moderated: bool,
    #[serde(flatten)]
    pub(super) emoji: UsedEmojiFields,
}

/// The same within an object that has an id and a name of its own.
#[derive(Debug, Default, Deserialize)]
pub(super) struct UsedEmojiFields {
    emoji_id: Option<Snowflake>,
    emoji_name: Option<String>,
}

impl UsedEmojiFields {
    pub(super) fn reference(&self) -> Option<EmojiReference> {
        UsedEmoji {
            emoji_id: self.emoji_id,
            emoji_name: self.emoji_name.clone(),
        }
        .reference()
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Channel {
    pub(super) id: Snowflake,
    #[serde(rename = "type")]
    pub(super) kind: u64,
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) position: i64,
    pub(super) parent_id: Option<Snowflake>,
    pub(super) topic: Option<String>,
    #[serde(default)]
    pub(super) nsfw: bool,
    pub(super) rate_limit_per_user: Option<u16>,
    pub(super) bitrate: Option<u32>,
    pub(super) user_limit: Option<u16>,
    pub(super) rtc_region: Option<String>,
    pub(super) video_quality_mode: Option<u64>,
    pub(super) default_auto_archive_duration: Option<u64>,
    pub(super) default_thread_rate_limit_per_user: Option<u16>,
    pub(super) available_tags: Option<Vec<Tag>>,
    pub(super) default_reaction_emoji: Option<UsedEmoji>,
    pub(super) default_sort_order: Option<u64>,
    pub(super) default_forum_layout: Option<u64>,
    pub(super) default_tag_setting: Option<String>,
    #[serde(default)]
    pub(super) flags: u64,
    #[serde(default)]
    pub(super) permission_overwrites: Vec<Overwrite>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Emoji {
    pub(super) id: Snowflake,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) roles: Vec<Snowflake>,
    #[serde(default)]
    pub(super) managed: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Sticker {
    pub(super) id: Snowflake,
    #[serde(default)]
    pub(super) name: String,
    pub(super) description: Option<String>,
    #[serde(default)]
    pub(super) tags: String,
}
