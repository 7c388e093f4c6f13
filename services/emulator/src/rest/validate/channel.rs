//! Channel forms: create, edit, positions.
//!
//! Source: <https://discord.com/developers/docs/resources/channel#modify-channel-json-params-guild-channel>. The route checks
//! whether a type is allowed in this server (community), and permissions.

use serde_json::{Value, json};

use super::{
    form::{Form, FormField, Length},
    overwrite::{OverwriteForm, read_overwrites},
};
use crate::model::Guild;

/// Discord's numbers of channel types.
pub mod kind {
    #![expect(missing_docs, reason = "the names are Discord's own")]
    pub const TEXT: u8 = 0;
    pub const DM: u8 = 1;
    pub const VOICE: u8 = 2;
    pub const CATEGORY: u8 = 4;
    pub const ANNOUNCEMENT: u8 = 5;
    pub const STAGE: u8 = 13;
    pub const FORUM: u8 = 15;
    pub const MEDIA: u8 = 16;
}

/// Types of server channels.
pub const GUILD_KINDS: &[i64] = &[0, 2, 4, 5, 13, 14, 15, 16];

/// Types allowed in `channel_types` of a select or an option. 16 is in the documentation and not in the OpenAPI document.
const NAMED_KINDS: &[i64] = &[0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 16];

/// `channel_types` of a channel select or of a command's channel option.
pub fn read_channel_types(form: &Form<'_>) -> FormField<Vec<Value>> {
    form.entries("channel_types", Length::up_to(NAMED_KINDS.len()))
        .map(|entries| {
            for (index, entry) in entries.iter().enumerate() {
                if !entry.as_i64().is_some_and(|kind| NAMED_KINDS.contains(&kind)) {
                    form.refuse(
                        &format!("channel_types.{index}"),
                        "BASE_TYPE_CHOICES",
                        format!("Value must be one of {NAMED_KINDS:?}."),
                    );
                }
            }
            entries.clone()
        })
}

/// Fields of a server channel that a bot may set.
#[derive(Clone, Debug)]
pub struct ChannelForm {
    /// Type; text when absent on creation.
    pub kind: FormField<u8>,
    /// 1 to 100 characters, not normalized.
    pub name: FormField<String>,
    /// Sorting position.
    pub position: FormField<i64>,
    /// Up to 1,024 characters, forum and media up to 4,096.
    pub topic: FormField<String>,
    /// Bits a second of voice and stage.
    pub bitrate: FormField<i64>,
    /// Members in a voice channel (99) or stage (10,000).
    pub user_limit: FormField<i64>,
    /// Age-restricted.
    pub nsfw: FormField<bool>,
    /// Slow mode in seconds.
    pub rate_limit_per_user: FormField<i64>,
    /// Category.
    pub parent_id: FormField<u64>,
    /// All overwrites.
    pub overwrites: FormField<Vec<OverwriteForm>>,
    /// Voice region.
    pub rtc_region: FormField<String>,
    /// 1 auto, 2 full.
    pub video_quality_mode: FormField<i64>,
    /// Minutes until threads are archived.
    pub default_auto_archive_duration: FormField<i64>,
    /// Slow mode of new threads in seconds.
    pub default_thread_rate_limit_per_user: FormField<i64>,
    /// Forum sort order.
    pub default_sort_order: FormField<i64>,
    /// Forum layout.
    pub default_forum_layout: FormField<i64>,
    /// Forum tags in the form of responses; new ones have no ids.
    pub available_tags: FormField<Vec<Value>>,
    /// How tags are combined when posts are searched: `match_all` or `match_some`.
    pub default_tag_setting: FormField<String>,
    /// Emoji of the reaction button of forum posts.
    pub default_reaction_emoji: FormField<Value>,
    /// Channel flags.
    pub flags: FormField<i64>,
}

/// Reads a channel form. `max_bitrate` depends on the server's boost level.
pub fn read_channel(form: &Form<'_>, create: bool, max_bitrate: i64) -> ChannelForm {
    if create {
        form.require("name");
    } else if matches!(form.raw("name"), Some(Value::Null)) {
        form.refuse("name", "BASE_TYPE_REQUIRED", "This field is required");
    }
    ChannelForm {
        kind: form
            .choice("type", GUILD_KINDS)
            .map(|kind| u8::try_from(kind).unwrap_or(0)),
        name: if form.has("name") {
            form.text("name", Length::between(1, 100))
        } else {
            FormField::Absent
        },
        position: form.integer("position", 0, i64::from(i32::MAX)),
        topic: form.text("topic", Length::up_to(4_096)),
        bitrate: form.integer("bitrate", 8_000, max_bitrate),
        user_limit: form.integer("user_limit", 0, 10_000),
        nsfw: form.flag("nsfw"),
        rate_limit_per_user: form.integer("rate_limit_per_user", 0, 21_600),
        parent_id: form.snowflake("parent_id"),
        overwrites: read_overwrites(form),
        rtc_region: form.text("rtc_region", Length::up_to(100)),
        video_quality_mode: form.choice("video_quality_mode", &[1, 2]),
        default_auto_archive_duration: form.choice("default_auto_archive_duration", &[60, 1_440, 4_320, 10_080]),
        default_thread_rate_limit_per_user: form.integer("default_thread_rate_limit_per_user", 0, 21_600),
        default_sort_order: form.choice("default_sort_order", &[0, 1]),
        default_forum_layout: form.choice("default_forum_layout", &[0, 1, 2]),
        available_tags: read_tags(form),
        default_tag_setting: read_tag_setting(form),
        default_reaction_emoji: form.form("default_reaction_emoji").map(|emoji| {
            json!({
                "emoji_id": emoji.snowflake("emoji_id").value().map(|id| id.to_string()),
                "emoji_name": emoji.text("emoji_name", Length::up_to(100)).value(),
            })
        }),
        flags: form.integer("flags", 0, i64::from(i32::MAX)),
    }
}

fn read_tag_setting(form: &Form<'_>) -> FormField<String> {
    match form.text("default_tag_setting", Length::up_to(100)) {
        FormField::Value(text) if !matches!(text.as_str(), "match_all" | "match_some") => {
            let message = "Value must be one of {'match_all', 'match_some'}.";
            form.refuse("default_tag_setting", "BASE_TYPE_CHOICES", message);
            FormField::Absent
        }
        given => given,
    }
}

fn read_tags(form: &Form<'_>) -> FormField<Vec<Value>> {
    form.forms("available_tags", Length::up_to(20)).map(|tags| {
        tags.iter()
            .map(|tag| {
                // An empty name is valid; an absent one is not.
                let name = tag.text("name", Length::up_to(50));
                if matches!(name, FormField::Null) || !tag.has("name") {
                    tag.refuse("name", "BASE_TYPE_REQUIRED", "This field is required");
                }
                let name = name.value().unwrap_or_default();
                json!({
                    "id": tag.snowflake("id").value().map(|id| id.to_string()),
                    "name": name,
                    "moderated": tag.flag("moderated").value().unwrap_or(false),
                    "emoji_id": tag.snowflake("emoji_id").value().map(|id| id.to_string()),
                    "emoji_name": tag.text("emoji_name", Length::up_to(100)).value(),
                })
            })
            .collect()
    })
}

/// Checks limits that depend on the type of the channel.
pub fn check_kind_limits(form: &Form<'_>, read: &ChannelForm, channel_kind: u8) {
    let threads_only = matches!(channel_kind, kind::FORUM | kind::MEDIA);
    if let Some(topic) = read.topic.as_value()
        && !threads_only
        && topic.chars().count() > 1_024
    {
        form.refuse("topic", "BASE_TYPE_MAX_LENGTH", "Must be 1024 or fewer in length.");
    }
    if let Some(limit) = read.user_limit.as_value()
        && channel_kind != kind::STAGE
        && *limit > 99
    {
        form.refuse(
            "user_limit",
            "NUMBER_TYPE_MAX",
            "int value should be less than or equal to 99.",
        );
    }
    if let Some(bitrate) = read.bitrate.as_value()
        && channel_kind == kind::STAGE
        && *bitrate > 64_000
    {
        form.refuse(
            "bitrate",
            "NUMBER_TYPE_MAX",
            "int value should be less than or equal to 64000.",
        );
    }
    if channel_kind == kind::CATEGORY && read.parent_id.as_value().is_some() {
        form.refuse(
            "parent_id",
            "CHANNEL_PARENT_INVALID_TYPE",
            "Categories cannot have subcategories",
        );
    }
}

/// The highest bitrate of a server's voice channels, in bits a second. `VIP_REGIONS` has the limit of boost level 3.
/// <https://discord.com/developers/docs/resources/channel#modify-channel-json-params-guild-channel>
pub fn max_bitrate(guild: &Guild) -> i64 {
    match guild.premium_tier {
        _ if guild.has_feature("VIP_REGIONS") => 384_000,
        0 => 96_000,
        1 => 128_000,
        2 => 256_000,
        _ => 384_000,
    }
}

/// One entry of a bulk change of channel positions.
pub struct ChannelPosition {
    /// Channel.
    pub id: u64,
    /// New position.
    pub position: FormField<i64>,
    /// Whether it takes over the category's overwrites.
    pub lock_permissions: bool,
    /// New category.
    pub parent_id: FormField<u64>,
}

/// Reads one entry of `PATCH /guilds/{guild}/channels`.
pub fn read_position(form: &Form<'_>) -> ChannelPosition {
    form.require("id");
    ChannelPosition {
        id: form.snowflake("id").value().unwrap_or(0),
        position: form.integer("position", 0, i64::from(i32::MAX)),
        lock_permissions: form.flag("lock_permissions").value().unwrap_or(false),
        parent_id: form.snowflake("parent_id"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::validate::form::read_body;

    #[test]
    fn limits_depend_on_the_kind() {
        let body = json!({"name": "x", "topic": "t".repeat(1_025), "user_limit": 100, "bitrate": 65_000});
        let check = |channel_kind| {
            read_body(&body, |form| {
                let read = read_channel(form, true, 96_000);
                check_kind_limits(form, &read, channel_kind);
            })
        };
        let errors = check(kind::VOICE).unwrap_err().errors.unwrap();
        assert!(errors["topic"].is_object() && errors["user_limit"].is_object() && errors["bitrate"].is_null());
        let errors = check(kind::STAGE).unwrap_err().errors.unwrap();
        assert!(errors["user_limit"].is_null() && errors["bitrate"].is_object());
        let errors = check(kind::FORUM).unwrap_err().errors.unwrap();
        assert!(errors["topic"].is_null());
    }

    #[test]
    fn a_name_is_needed_on_create_only() {
        assert!(read_body(&json!({}), |form| read_channel(form, true, 96_000)).is_err());
        assert!(read_body(&json!({}), |form| read_channel(form, false, 96_000)).is_ok());
        assert!(read_body(&json!({"name": null}), |form| read_channel(form, false, 96_000)).is_err());
    }
}
