//! Categories and channels.

use super::{LiveResource, plain, wire};
use crate::model::{
    Attributes, AutoArchive, Channel, ChannelKind, Clearable, ForumLayout, Overwrite, Overwrites, Reference, Snowflake,
    SortOrder, Tag, TagMatch, Target, VideoQuality,
};

/// <https://discord.com/developers/docs/resources/channel#channel-object-channel-flags>
pub const FLAG_REQUIRE_TAG: u64 = 1 << 4;
/// The same page.
pub const FLAG_HIDE_DOWNLOAD_OPTIONS: u64 = 1 << 15;

/// Those of known kinds, and how many are of others (directories, what comes next): those are left alone.
pub(super) fn resources(channels: &[wire::Channel], guild: Snowflake) -> (Vec<LiveResource>, usize) {
    let known: Vec<LiveResource> = channels
        .iter()
        .filter_map(|channel| Some(resource(ChannelKind::from_wire(channel.kind)?, channel, guild)))
        .collect();
    let foreign = channels.len() - known.len();
    (known, foreign)
}

fn resource(kind: ChannelKind, channel: &wire::Channel, guild: Snowflake) -> LiveResource {
    let attributes = attributes(kind, channel, guild);
    let attributes = match kind {
        ChannelKind::Category => Attributes::Category(attributes),
        _ => Attributes::Channel(attributes),
    };
    LiveResource {
        position: channel.position,
        ..plain(channel.id, attributes)
    }
}

fn attributes(kind: ChannelKind, channel: &wire::Channel, guild: Snowflake) -> Channel {
    let mut attributes = Channel {
        kind,
        name: channel.name.clone(),
        overwrites: Some(overwrites(&channel.permission_overwrites, guild)),
        ..Channel::default()
    };
    if kind == ChannelKind::Category {
        return attributes;
    }
    attributes.category = Some(Clearable::from(channel.parent_id.map(Reference::Id)));
    attributes.nsfw = Some(channel.nsfw);
    attributes.slow_mode = Some(channel.rate_limit_per_user.unwrap_or(0));
    if kind.is_voice() {
        attributes.bitrate = channel.bitrate;
        attributes.user_limit = Some(channel.user_limit.unwrap_or(0));
        attributes.region = Some(Clearable::from(channel.rtc_region.clone()));
        attributes.video_quality = VideoQuality::from_wire(channel.video_quality_mode.unwrap_or(1));
    } else {
        attributes.topic = Some(channel.topic.clone().unwrap_or_default());
        attributes.auto_archive = channel.default_auto_archive_duration.and_then(AutoArchive::from_wire);
        attributes.thread_slow_mode = Some(channel.default_thread_rate_limit_per_user.unwrap_or(0));
    }
    if kind.has_posts() {
        posts(kind, channel, &mut attributes);
    }
    attributes
}

/// What only forums and media channels have.
fn posts(kind: ChannelKind, channel: &wire::Channel, attributes: &mut Channel) {
    let tags = channel.available_tags.iter().flatten().map(|tag| Tag {
        name: tag.name.clone(),
        moderated: tag.moderated,
        emoji: tag.emoji.reference(),
    });
    attributes.tags = Some(tags.collect());
    attributes.require_tag = Some(channel.flags & FLAG_REQUIRE_TAG != 0);
    let reaction = channel
        .default_reaction_emoji
        .as_ref()
        .and_then(wire::UsedEmoji::reference);
    attributes.default_reaction = Some(Clearable::from(reaction));
    attributes.sort_order = match channel.default_sort_order {
        None => Some(Clearable::Cleared),
        Some(number) => SortOrder::from_wire(number).map(Clearable::Set),
    };
    attributes.tag_match = channel.default_tag_setting.as_deref().and_then(TagMatch::from_name);
    if kind == ChannelKind::Forum {
        attributes.layout = ForumLayout::from_wire(channel.default_forum_layout.unwrap_or(0));
    } else {
        attributes.hide_download_options = Some(channel.flags & FLAG_HIDE_DOWNLOAD_OPTIONS != 0);
    }
}

/// Everyone by that name; a member by id, the bot too. An overwrite for something else than a role or a member is passed
/// over.
fn overwrites(overwrites: &[wire::Overwrite], guild: Snowflake) -> Overwrites {
    let target = |overwrite: &wire::Overwrite| match overwrite.kind {
        0 if overwrite.id == guild => Some(Target::Everyone),
        0 => Some(Target::Role(Reference::Id(overwrite.id))),
        1 => Some(Target::Member(overwrite.id)),
        _ => None,
    };
    overwrites
        .iter()
        .filter_map(|overwrite| {
            let bits = Overwrite {
                allow: overwrite.allow,
                deny: overwrite.deny,
            };
            Some((target(overwrite)?, bits))
        })
        .collect()
}
