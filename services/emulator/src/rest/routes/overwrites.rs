//! Permission overwrites of channels. <https://discord.com/developers/docs/resources/channel#edit-channel-permissions>

use http::Method;

use crate::{
    model::{Channel, ChannelKind, Guild, Id, Overwrite, OverwriteKind, Permissions},
    rest::{
        call::{AccessChecks, Call, RouteResponse},
        errors::{ApiResult, ErrorCode},
        limits::BucketClass,
        permissions,
        route::{Route, bot},
        validate::{
            form::read_body,
            overwrite::{OverwriteForm, read_overwrite},
        },
    },
    world::{Cause, State},
};

/// Routes of this file.
pub(super) const ROUTES: &[Route] = &[
    bot(&Method::PUT, ONE, BucketClass::EditOverwrites, put),
    bot(&Method::DELETE, ONE, BucketClass::EditOverwrites, delete),
];

const ONE: &str = "/channels/{channel_id}/permissions/{overwrite_id}";

/// Converts a form into an overwrite of the model.
pub(super) fn to_model(form: &OverwriteForm) -> Overwrite {
    Overwrite {
        id: Id(form.id),
        kind: if form.kind == 1 {
            OverwriteKind::Member
        } else {
            OverwriteKind::Role
        },
        allow: form.allow,
        deny: form.deny,
    }
}

/// Refuses overwrites of unknown roles, and changes of permissions that the bot does not have.
///
/// # Errors
/// 10009, 50013.
pub(super) fn check_bits(
    guild: &Guild,
    own: Permissions,
    before: &[Overwrite],
    wanted: &[OverwriteForm],
) -> ApiResult<()> {
    for form in wanted {
        let overwrite = to_model(form);
        if overwrite.kind == OverwriteKind::Role && !guild.roles.contains_key(&overwrite.id) {
            return Err(ErrorCode::UnknownOverwrite.into());
        }
        let known = before.iter().find(|known| known.id == overwrite.id);
        let (allow, deny) = known.map_or_else(Default::default, |known| (known.allow, known.deny));
        let changed = allow.symmetric_difference(overwrite.allow) | deny.symmetric_difference(overwrite.deny);
        if !own.contains(changed) {
            return Err(ErrorCode::MissingPermissions.into());
        }
    }
    Ok(())
}

/// Permissions that the bot may allow or deny in a channel (`None` for a new channel in `parent`): those that it has in the
/// server or in the category. With an overwrite that allows it `MANAGE_ROLES` in the channel it may set any. On creation of a
/// channel only administrators may set `MANAGE_ROLES`.
pub(super) fn grantable(state: &State, guild: &Guild, channel: Option<&Channel>, parent: Option<Id>) -> Permissions {
    let (bot, now) = (state.bot_id, state.now());
    let of_guild = permissions::in_guild(guild, bot, now);
    let of_parent = parent
        .and_then(|parent| guild.channels.get(&parent))
        .map_or(Permissions::empty(), |parent| {
            permissions::in_channel(guild, parent, bot, now)
        });
    let own = of_guild | of_parent;
    let Some(channel) = channel else {
        let is_administrator = of_guild.contains(Permissions::ADMINISTRATOR);
        return if is_administrator {
            own
        } else {
            own - Permissions::MANAGE_ROLES
        };
    };
    let holds = |id: Id| id == bot || guild.members.get(&bot).is_some_and(|member| member.has(id));
    let managed = channel
        .permission_overwrites
        .iter()
        .any(|overwrite| holds(overwrite.id) && overwrite.allow.contains(Permissions::MANAGE_ROLES));
    if managed { Permissions::all() } else { own }
}

/// Applies the overwrites of a category to its channels that had the same overwrites before.
pub(super) fn sync_children(state: &mut State, category: Id, before: &[Overwrite], cause: &Cause) {
    let Some(now) = state
        .channel(category)
        .map(|category| category.permission_overwrites.clone())
    else {
        return;
    };
    if same(&now, before) {
        return;
    }
    let Some(guild) = state.channel(category).and_then(|category| category.guild_id) else {
        return;
    };
    let synced: Vec<Channel> = state
        .guilds
        .get(&guild)
        .into_iter()
        .flat_map(|guild| guild.channels.values())
        .filter(|child| child.parent_id == Some(category) && !child.kind.is_thread())
        .filter(|child| same(&child.permission_overwrites, before))
        .map(|child| Channel {
            permission_overwrites: now.clone(),
            ..child.clone()
        })
        .collect();
    for child in synced {
        state.update_channel(child, cause);
    }
}

/// Whether two sets of overwrites are equal, in any order.
fn same(one: &[Overwrite], other: &[Overwrite]) -> bool {
    one.len() == other.len() && one.iter().all(|overwrite| other.contains(overwrite))
}

/// The channel, when the bot may edit overwrites there.
fn editable(state: &State, id: Id) -> ApiResult<Channel> {
    let channel = state.channel_with(id, Permissions::VIEW_CHANNEL)?;
    if channel.kind == ChannelKind::Dm || channel.kind.is_thread() {
        return Err(ErrorCode::WrongChannelKind.into());
    }
    state.channel_with(id, Permissions::MANAGE_ROLES)?;
    Ok(channel.clone())
}

fn put(call: &Call) -> ApiResult<RouteResponse> {
    let (id, target) = (call.id("channel_id")?, call.id("overwrite_id")?);
    call.app.world.write(|state| {
        let mut channel = editable(state, id)?;
        let guild = channel
            .guild_id
            .and_then(|guild| state.guilds.get(&guild))
            .ok_or(ErrorCode::UnknownChannel)?;
        let is_member = u8::from(!guild.roles.contains_key(&target));
        let form = read_body(call.json()?, |form| read_overwrite(form, target.0, is_member))?;
        let before = channel.permission_overwrites.clone();
        let own = grantable(state, guild, Some(&channel), channel.parent_id);
        check_bits(guild, own, &before, &[form])?;
        let overwrite = to_model(&form);
        match channel
            .permission_overwrites
            .iter_mut()
            .find(|known| known.id == target)
        {
            Some(known) => *known = overwrite,
            None => channel.permission_overwrites.push(overwrite),
        }
        let is_category = channel.kind == ChannelKind::Category;
        state.update_channel(channel, &call.cause());
        if is_category {
            sync_children(state, id, &before, &call.cause());
        }
        Ok(RouteResponse::NoContent)
    })
}

fn delete(call: &Call) -> ApiResult<RouteResponse> {
    let (id, target) = (call.id("channel_id")?, call.id("overwrite_id")?);
    call.app.world.write(|state| {
        let mut channel = editable(state, id)?;
        let before = channel.permission_overwrites.clone();
        channel.permission_overwrites.retain(|known| known.id != target);
        if channel.permission_overwrites.len() == before.len() {
            return Err(ErrorCode::UnknownOverwrite.into());
        }
        let is_category = channel.kind == ChannelKind::Category;
        state.update_channel(channel, &call.cause());
        if is_category {
            sync_children(state, id, &before, &call.cause());
        }
        Ok(RouteResponse::NoContent)
    })
}
