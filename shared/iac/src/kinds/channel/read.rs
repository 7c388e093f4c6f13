//! Categories and channels as Discord sends them.

use serde::Deserialize;
use serde_json::Value;

use super::{
    AutoArchive, Channel, ChannelKind, FLAG_HIDE_DOWNLOAD_OPTIONS, FLAG_REQUIRE_TAG, ForumLayout, SortOrder, Tag,
    TagMatch, VideoQuality,
};
use crate::kinds::{Attributes, LiveResource};
use crate::values::{Clearable, Kind, Overwrite, Overwrites, Reference, Snowflake, Target};
use crate::wire::{
    self, Bits, Head, Integer, UnknownValue, UnknownValues, Unreadable, UsedEmoji, nullable, number, position,
    used_emoji,
};

/// A channel of a known kind as Discord sends it. Fields that depend on the kind are optional.
#[derive(Debug, Deserialize)]
struct ChannelObject {
    id: Snowflake,
    name: String,
    /// Required by the OpenAPI document, as are the flags; optional in the reference.
    position: Option<Integer>,
    flags: Option<Integer>,
    parent_id: Option<Snowflake>,
    topic: Option<String>,
    nsfw: Option<bool>,
    rate_limit_per_user: Option<Integer>,
    bitrate: Option<Integer>,
    user_limit: Option<Integer>,
    rtc_region: Option<String>,
    video_quality_mode: Option<Integer>,
    default_auto_archive_duration: Option<Integer>,
    default_thread_rate_limit_per_user: Option<Integer>,
    available_tags: Option<Vec<TagObject>>,
    default_reaction_emoji: Option<UsedEmoji>,
    default_sort_order: Option<Integer>,
    default_forum_layout: Option<Integer>,
    default_tag_setting: Option<String>,
    permission_overwrites: Option<Vec<OverwriteObject>>,
}

#[derive(Debug, Deserialize)]
struct OverwriteObject {
    id: Snowflake,
    #[serde(rename = "type")]
    kind: Integer,
    allow: Bits,
    deny: Bits,
}

#[derive(Debug, Deserialize)]
struct TagObject {
    /// A tag without a readable id is identified by its name.
    #[serde(default)]
    id: Value,
    name: String,
    moderated: bool,
    #[serde(deserialize_with = "nullable")]
    emoji_id: Option<Snowflake>,
    #[serde(deserialize_with = "nullable")]
    emoji_name: Option<String>,
}

/// The call that lists channels.
pub(crate) const LIST: &str = "GET /guilds/{id}/channels";

/// The channels of a list.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    /// Channels of known kinds.
    pub(crate) known: Vec<LiveResource>,
    /// Channels of unknown kinds (a directory, for example), by the value of their kind. Nothing else of them is read.
    pub(crate) unreadable: Vec<UnknownValue>,
    /// A channel was sent without its position.
    pub(crate) unordered: bool,
}

/// Reads a list of channels from the response to `call`.
pub(crate) fn read(
    call: &'static str,
    value: &Value,
    guild: Snowflake,
    unknown: &mut Vec<UnknownValue>,
) -> Result<Channels, Unreadable> {
    let heads: Vec<Head> = wire::read(call, value)?;
    let mut channels = Channels::default();
    for (index, head) in heads.into_iter().enumerate() {
        let name = head.name.unwrap_or_default();
        let mut unknown = UnknownValues::of(Kind::Channel, head.id, &name, unknown);
        match unknown.check("kind", number(head.kind, ChannelKind::from_discord_number), head.kind) {
            Some(kind) => {
                let channel: ChannelObject = wire::read_part(call, &format!("[{index}]"), value.get(index))?;
                channels.unordered |= channel.position.is_none();
                channels.known.push(resource(kind, &channel, guild, &mut unknown));
            }
            None => channels.unreadable.push(unknown.value("kind", head.kind)),
        }
    }
    Ok(channels)
}

fn resource(
    kind: ChannelKind,
    channel: &ChannelObject,
    guild: Snowflake,
    unknown: &mut UnknownValues<'_>,
) -> LiveResource {
    let attributes = attributes(kind, channel, guild, unknown);
    let attributes = match kind {
        ChannelKind::Category => Attributes::Category(attributes),
        _ => Attributes::Channel(attributes),
    };
    LiveResource {
        position: channel.position.map_or(0, position),
        ..LiveResource::new(channel.id, attributes)
    }
}

fn attributes(
    kind: ChannelKind,
    channel: &ChannelObject,
    guild: Snowflake,
    unknown: &mut UnknownValues<'_>,
) -> Channel {
    let mut attributes = Channel {
        kind,
        name: Some(channel.name.clone()),
        overwrites: overwrites(channel.permission_overwrites.as_deref(), guild, unknown),
        ..Channel::default()
    };
    if kind == ChannelKind::Category {
        return attributes;
    }
    // Absent for none, no limit or not set.
    let mut seconds =
        |field: &str, sent: Option<Integer>| unknown.check(field, count(sent.unwrap_or(0)), sent.unwrap_or_default());
    attributes.slow_mode = seconds("slow_mode", channel.rate_limit_per_user);
    if kind.is_voice() {
        attributes.user_limit = seconds("user_limit", channel.user_limit);
    } else {
        attributes.thread_slow_mode = seconds("thread_slow_mode", channel.default_thread_rate_limit_per_user);
    }
    attributes.category = Some(Clearable::from(channel.parent_id.map(Reference::Id)));
    attributes.nsfw = Some(channel.nsfw.unwrap_or(false));
    if kind.is_voice() {
        voice(channel, &mut attributes, unknown);
    } else {
        attributes.topic = Some(channel.topic.clone().unwrap_or_default());
        attributes.auto_archive = match channel.default_auto_archive_duration {
            None => Some(Clearable::Cleared),
            Some(sent) => unknown
                .check("auto_archive", number(sent, AutoArchive::from_discord_number), sent)
                .map(Clearable::Set),
        };
    }
    if kind.has_posts() {
        posts(kind, channel, &mut attributes, unknown);
    }
    attributes
}

fn count(sent: Integer) -> Option<u32> {
    u32::try_from(sent).ok()
}

/// Reads the attributes that only voice channels and stages have.
fn voice(channel: &ChannelObject, attributes: &mut Channel, unknown: &mut UnknownValues<'_>) {
    attributes.bitrate = channel
        .bitrate
        .and_then(|sent| unknown.check("bitrate", count(sent), sent));
    attributes.region = match channel.rtc_region.as_deref() {
        None => Some(Clearable::Cleared),
        // `none` is an absent region.
        Some(sent) => unknown
            .check("region", (sent != "none").then(|| sent.to_owned()), sent)
            .map(Clearable::Set),
    };
    let quality = channel.video_quality_mode.unwrap_or(1);
    attributes.video_quality = unknown.check(
        "video_quality",
        number(quality, VideoQuality::from_discord_number),
        quality,
    );
}

/// Reads the attributes that only forums and media channels have.
fn posts(kind: ChannelKind, channel: &ChannelObject, attributes: &mut Channel, unknown: &mut UnknownValues<'_>) {
    attributes.tags = channel.available_tags.as_deref().and_then(|sent| tags(sent, unknown));
    let flags = channel.flags.unwrap_or(0);
    attributes.require_tag = Some(flags & flag(FLAG_REQUIRE_TAG) != 0);
    attributes.default_reaction = match &channel.default_reaction_emoji {
        None => Some(Clearable::Cleared),
        Some(sent) => {
            let emoji = used_emoji(sent.emoji_id, sent.emoji_name.as_deref());
            let name = sent.emoji_name.as_deref().unwrap_or_default();
            unknown.check("default_reaction", emoji, name).map(Clearable::from)
        }
    };
    attributes.sort_order = match channel.default_sort_order {
        None => Some(Clearable::Cleared),
        Some(sent) => unknown
            .check("sort_order", number(sent, SortOrder::from_discord_number), sent)
            .map(Clearable::Set),
    };
    attributes.tag_match = match channel.default_tag_setting.as_deref() {
        None => Some(Clearable::Cleared),
        Some(sent) => unknown
            .check("tag_match", TagMatch::from_name(sent), sent)
            .map(Clearable::Set),
    };
    if kind == ChannelKind::Forum {
        let sent = channel.default_forum_layout.unwrap_or(0);
        attributes.layout = unknown.check("layout", number(sent, ForumLayout::from_discord_number), sent);
    } else {
        attributes.hide_download_options = Some(flags & flag(FLAG_HIDE_DOWNLOAD_OPTIONS) != 0);
    }
}

fn flag(bit: u64) -> Integer {
    bit.into()
}

fn tags(sent: &[TagObject], unknown: &mut UnknownValues<'_>) -> Option<Vec<Tag>> {
    let understood = sent.iter().map(|tag| {
        Some(Tag {
            id: tag.id.as_str().and_then(|id| id.parse().ok()),
            name: tag.name.clone(),
            moderated: tag.moderated,
            emoji: used_emoji(tag.emoji_id, tag.emoji_name.as_deref())?,
        })
    });
    let names = sent.iter().filter_map(|tag| tag.emoji_name.as_deref());
    let names = names.collect::<Vec<_>>().join(", ");
    unknown.check("tags", understood.collect(), names)
}

/// Everyone by that name; a member by id, the bot too. An overwrite for something else than a role or a member is passed
/// over: overwrites are changed one by one, so it stays. `None` when they were not sent, or one has more bits than
/// [`Permissions::BITS`](arrakis_domain::Permissions::BITS).
fn overwrites(
    sent: Option<&[OverwriteObject]>,
    guild: Snowflake,
    unknown: &mut UnknownValues<'_>,
) -> Option<Overwrites> {
    let target = |overwrite: &OverwriteObject| match overwrite.kind {
        0 if overwrite.id == guild => Some(Target::Everyone),
        0 => Some(Target::Role(Reference::Id(overwrite.id))),
        1 => Some(Target::Member(overwrite.id)),
        _ => None,
    };
    let mut overwrites = Overwrites::new();
    for overwrite in sent? {
        let Some(target) = target(overwrite) else { continue };
        let bits = overwrite.allow.known().zip(overwrite.deny.known());
        let sent = format!("allow {}, deny {}", overwrite.allow, overwrite.deny);
        let (allow, deny) = unknown.check("overwrites", bits, sent)?;
        overwrites.insert(target, Overwrite { allow, deny });
    }
    Some(overwrites)
}
