//! Server channels and direct messages: read, create, edit, delete. Positions are in `channel_positions`, overwrites in
//! `overwrites`. <https://discord.com/developers/docs/resources/channel>

use http::Method;
use serde_json::Value;

use super::overwrites::{check_bits, grantable, sync_children, to_model};
use crate::{
    model::{Channel, ChannelKind, ForumTag, Guild, Id, Permissions},
    rest::{
        call::{AccessChecks, Call, RouteResponse},
        errors::{ApiError, ApiResult, ErrorCode},
        limits::BucketClass,
        route::{Route, bot},
        validate::{
            channel::{ChannelForm, check_kind_limits, max_bitrate, read_channel},
            channel_name::normalize_name,
            form::{FormField, read_body},
        },
    },
    world::State,
};

/// Routes of this file.
pub(super) const ROUTES: &[Route] = &[
    bot(
        &Method::GET,
        "/guilds/{guild_id}/channels",
        BucketClass::ReadChannels,
        list,
    ),
    bot(
        &Method::POST,
        "/guilds/{guild_id}/channels",
        BucketClass::CreateChannel,
        create,
    ),
    bot(&Method::GET, ONE, BucketClass::ReadChannels, get),
    bot(&Method::PATCH, ONE, BucketClass::EditChannel, edit),
    bot(&Method::DELETE, ONE, BucketClass::EditChannel, delete),
];

const ONE: &str = "/channels/{channel_id}";
/// Largest number of channels of a server, categories among them.
const MAXIMUM: usize = 500;
/// Largest number of channels of a category.
const MAXIMUM_IN_CATEGORY: usize = 50;

fn list(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("guild_id")?;
    call.app.world.read(|state| {
        let channels: Vec<&Channel> = state
            .guild_for_bot(id)?
            .channels
            .values()
            .filter(|channel| !channel.kind.is_thread())
            .collect();
        Ok(RouteResponse::json(&channels))
    })
}

fn get(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("channel_id")?;
    call.app.world.read(|state| {
        let channel = state.channel_with(id, Permissions::VIEW_CHANNEL)?;
        Ok(RouteResponse::json(&state.channel_view(channel)))
    })
}

/// Refuses types that only a community may have, and types that the emulator does not create.
fn check_kind(guild: &Guild, kind: u8) -> ApiResult<ChannelKind> {
    let known = ChannelKind::from_number(u64::from(kind)).ok_or(ErrorCode::WrongChannelKind)?;
    let community = guild.has_feature("COMMUNITY");
    match known {
        ChannelKind::Announcement | ChannelKind::Stage if !community => Err(ErrorCode::WrongChannelKind.into()),
        ChannelKind::Forum | ChannelKind::Media if !community => Err(ApiError::field(
            "type",
            "BASE_TYPE_CHOICES",
            "Value must be one of {0, 2, 4}.",
        )),
        _ => Ok(known),
    }
}

/// The category of a form: it must exist, be a category and have less than 50 channels.
pub(super) fn check_parent(guild: &Guild, parent: Id, moving: Option<Id>) -> ApiResult<()> {
    let refuse = |code: &str, words: &str| Err(ApiError::field("parent_id", code, words));
    let Some(category) = guild.channels.get(&parent) else {
        return refuse("CHANNEL_PARENT_INVALID", "Category does not exist");
    };
    if category.kind != ChannelKind::Category {
        return refuse("CHANNEL_PARENT_INVALID_TYPE", "Not a category");
    }
    let others = guild
        .channels
        .values()
        .filter(|child| child.parent_id == Some(parent) && Some(child.id) != moving)
        .count();
    if others >= MAXIMUM_IN_CATEGORY {
        return refuse(
            "CHANNEL_PARENT_MAX_CHANNELS",
            "Maximum number of channels in category reached (50)",
        );
    }
    Ok(())
}

/// Channels are ordered by type (text, voice, category) within their category.
pub(super) const fn sort_of(kind: ChannelKind) -> u8 {
    match kind {
        ChannelKind::Category => 2,
        ChannelKind::Voice | ChannelKind::Stage => 1,
        _ => 0,
    }
}

fn create(call: &Call) -> ApiResult<RouteResponse> {
    let guild_id = call.id("guild_id")?;
    call.app.world.write(|state| {
        let guild = state.guild_with(guild_id, Permissions::MANAGE_CHANNELS)?;
        let highest = max_bitrate(guild);
        let form = read_body(call.json()?, |form| {
            let read = read_channel(form, true, highest);
            check_kind_limits(form, &read, read.kind.as_value().copied().unwrap_or(0));
            read
        })?;
        check_tag_names(&form)?;
        let kind = check_kind(guild, form.kind.as_value().copied().unwrap_or(0))?;
        if guild
            .channels
            .values()
            .filter(|channel| !channel.kind.is_thread())
            .count()
            >= MAXIMUM
        {
            return Err(ErrorCode::MaximumChannels.into());
        }
        let parent = form.parent_id.as_value().copied().map(Id);
        if let Some(parent) = parent {
            check_parent(guild, parent, None)?;
        }
        let overwrites = match &form.overwrites {
            FormField::Value(overwrites) => {
                let own = grantable(state, guild, None, parent);
                check_bits(guild, own, &[], overwrites)?;
                overwrites.iter().map(to_model).collect()
            }
            // When absent, a channel begins with the overwrites of its category.
            FormField::Absent | FormField::Null => parent
                .and_then(|parent| guild.channels.get(&parent))
                .map(|category| category.permission_overwrites.clone())
                .unwrap_or_default(),
        };
        let siblings = guild.channels.values().filter(|other| {
            sort_of(other.kind) == sort_of(kind) && other.parent_id == parent && !other.kind.is_thread()
        });
        let last = siblings.map(|other| other.position + 1).max().unwrap_or(0);
        let id = state.next_id();
        let mut channel = Channel::named(id, guild_id, kind, "");
        channel.permission_overwrites = overwrites;
        channel.parent_id = parent;
        channel.position = last;
        change(state, &mut channel, &form);
        state.create_channel(channel, &call.cause());
        let channel = state.channel(id).ok_or(ErrorCode::UnknownChannel)?;
        Ok(RouteResponse::created(channel))
    })
}

/// Applies the fields of a form to a channel, without type, category and overwrites.
fn change(state: &mut State, channel: &mut Channel, form: &ChannelForm) {
    if let FormField::Value(name) = &form.name {
        channel.name = normalize_name(channel.kind.number(), name);
    }
    if let FormField::Value(position) = form.position {
        channel.position = position;
    }
    channel.topic = form
        .topic
        .clone()
        .or_keep(channel.topic.take())
        .filter(|topic| !topic.is_empty());
    channel.nsfw = form.nsfw.clone().or_default(channel.nsfw, false);
    let number = |given: &FormField<i64>, current: u32, default: u32| {
        given
            .clone()
            .map(|number| u32::try_from(number).unwrap_or(default))
            .or_default(current, default)
    };
    let optional = |given: &FormField<i64>, current: Option<u32>| {
        given
            .clone()
            .map(|number| u32::try_from(number).unwrap_or(0))
            .or_keep(current)
    };
    let small = |given: &FormField<i64>, current: Option<u8>| {
        given
            .clone()
            .map(|number| u8::try_from(number).unwrap_or(0))
            .or_keep(current)
    };
    channel.rate_limit_per_user = number(&form.rate_limit_per_user, channel.rate_limit_per_user, 0);
    channel.bitrate = number(&form.bitrate, channel.bitrate, 64_000);
    channel.user_limit = number(&form.user_limit, channel.user_limit, 0);
    channel.rtc_region = form.rtc_region.clone().or_keep(channel.rtc_region.take());
    channel.video_quality_mode = small(&form.video_quality_mode, channel.video_quality_mode);
    channel.default_auto_archive_duration = optional(
        &form.default_auto_archive_duration,
        channel.default_auto_archive_duration,
    );
    channel.default_thread_rate_limit_per_user = optional(
        &form.default_thread_rate_limit_per_user,
        channel.default_thread_rate_limit_per_user,
    );
    channel.default_sort_order = small(&form.default_sort_order, channel.default_sort_order);
    channel.default_forum_layout = small(&form.default_forum_layout, channel.default_forum_layout);
    channel.default_reaction_emoji = form
        .default_reaction_emoji
        .clone()
        .or_keep(channel.default_reaction_emoji.take());
    channel.default_tag_setting = form
        .default_tag_setting
        .clone()
        .or_keep(channel.default_tag_setting.take());
    if let FormField::Value(flags) = form.flags {
        channel.flags = u64::try_from(flags).unwrap_or(0);
    }
    match &form.available_tags {
        FormField::Absent => {}
        FormField::Null => channel.available_tags.clear(),
        FormField::Value(tags) => {
            let mut known: Vec<Id> = channel.available_tags.iter().map(|tag| tag.id).collect();
            channel.available_tags = tags.iter().map(|tag| to_tag(state, tag, &mut known)).collect();
        }
    }
}

/// Refuses two tags of the same name.
fn check_tag_names(form: &ChannelForm) -> ApiResult<()> {
    let tags = form.available_tags.as_value().map_or(&[][..], Vec::as_slice);
    let doubled = |(index, tag): (usize, &Value)| tags[..index].iter().any(|other| other["name"] == tag["name"]);
    if tags.iter().enumerate().any(doubled) {
        return Err(ErrorCode::TagNamesNotUnique.into());
    }
    Ok(())
}

/// A tag of a form. An id that is not one of the channel's tags is ignored, as on Discord
/// (<https://github.com/discord/discord-api-docs/issues/5613>): the tag is new and gets an id of its own.
fn to_tag(state: &mut State, tag: &Value, known: &mut Vec<Id>) -> ForumTag {
    let id = |key: &str| tag[key].as_str().and_then(|text| text.parse::<Id>().ok());
    let same = id("id").and_then(|id| known.iter().position(|known| *known == id));
    ForumTag {
        id: same.map_or_else(|| state.next_id(), |index| known.swap_remove(index)),
        name: tag["name"].as_str().unwrap_or_default().to_owned(),
        moderated: tag["moderated"] == true,
        emoji_id: id("emoji_id"),
        emoji_name: tag["emoji_name"].as_str().map(str::to_owned),
    }
}

fn edit(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("channel_id")?;
    call.app.world.write(|state| {
        let known = state.channel_with(id, Permissions::VIEW_CHANNEL)?;
        if known.kind == ChannelKind::Dm {
            return Err(ErrorCode::CannotExecuteOnDm.into());
        }
        if known.kind.is_thread() {
            return super::threads::edit(call, state, id);
        }
        state.channel_with(id, Permissions::MANAGE_CHANNELS)?;
        let guild = known
            .guild_id
            .and_then(|guild| state.guilds.get(&guild))
            .ok_or(ErrorCode::UnknownChannel)?;
        let mut channel = known.clone();
        let form = read_body(call.json()?, |form| {
            let read = read_channel(form, false, max_bitrate(guild));
            check_kind_limits(
                form,
                &read,
                read.kind.as_value().copied().unwrap_or(channel.kind.number()),
            );
            read
        })?;
        check_tag_names(&form)?;
        if let FormField::Value(kind) = form.kind {
            channel.kind = converted(guild, &channel, kind)?;
        }
        channel.parent_id = form.parent_id.clone().map(Id).or_keep(channel.parent_id);
        if let Some(parent) = channel.parent_id.filter(|parent| known.parent_id != Some(*parent)) {
            check_parent(guild, parent, Some(id))?;
        }
        let before = known.permission_overwrites.clone();
        if let FormField::Value(overwrites) = &form.overwrites {
            state.channel_with(id, Permissions::MANAGE_ROLES)?;
            let own = grantable(state, guild, Some(known), known.parent_id);
            check_bits(guild, own, &before, overwrites)?;
            channel.permission_overwrites = overwrites.iter().map(to_model).collect();
        } else if form.overwrites == FormField::Null {
            channel.permission_overwrites.clear();
        }
        let (name, topic) = (channel.name.clone(), channel.topic.clone());
        change(state, &mut channel, &form);
        if call.app.options.rate_limits && (channel.name != name || channel.topic != topic) {
            let taken = call.limits.take_rename(id.0, call.now.0);
            taken.map_err(|refusal| ApiError::rate_limited(refusal.retry_after_ms))?;
        }
        let is_category = channel.kind == ChannelKind::Category;
        state.update_channel(channel, &call.cause());
        if is_category {
            sync_children(state, id, &before, &call.cause());
        }
        let channel = state.channel(id).ok_or(ErrorCode::UnknownChannel)?;
        Ok(RouteResponse::json(channel))
    })
}

/// Only text and announcement channels can be converted into each other, in a community.
fn converted(guild: &Guild, channel: &Channel, wanted: u8) -> ApiResult<ChannelKind> {
    if wanted == channel.kind.number() {
        return Ok(channel.kind);
    }
    let convertible = |kind: u8| matches!(kind, 0 | 5);
    if !convertible(wanted) || !convertible(channel.kind.number()) {
        return Err(ErrorCode::WrongChannelKind.into());
    }
    check_kind(guild, 5)?;
    let required = [guild.rules_channel_id, guild.public_updates_channel_id].contains(&Some(channel.id));
    if required {
        Err(ErrorCode::WrongChannelKind.into())
    } else {
        check_kind(guild, wanted)
    }
}

fn delete(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("channel_id")?;
    call.app.world.write(|state| {
        let channel = state.channel_with(id, Permissions::VIEW_CHANNEL)?;
        let view = state.channel_view(channel);
        let Some(guild) = channel.guild_id else {
            // A closed direct message is hidden, and shown again with the next message.
            return Ok(RouteResponse::json(&view));
        };
        let needed = if channel.kind.is_thread() {
            Permissions::MANAGE_THREADS
        } else {
            Permissions::MANAGE_CHANNELS
        };
        state.channel_with(id, needed)?;
        let guild = state.guild_for_bot(guild)?;
        let required = [guild.rules_channel_id, guild.public_updates_channel_id].contains(&Some(id));
        if required && guild.has_feature("COMMUNITY") {
            return Err(ErrorCode::CannotDeleteCommunityChannel.into());
        }
        state.delete_channel(id, &call.cause());
        Ok(RouteResponse::json(&view))
    })
}
