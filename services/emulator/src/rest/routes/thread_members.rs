//! Members of threads. <https://discord.com/developers/docs/resources/channel#thread-member-object>

use http::Method;
use serde_json::Value;

use super::threads::{require_active, thread_of};
use crate::{
    gateway::Intents,
    model::{Channel, ChannelKind, Id, Permissions, ThreadState},
    rest::{
        call::{AccessChecks, Call, RouteResponse},
        errors::{ApiResult, ErrorCode},
        limits::BucketClass,
        permissions,
        route::{Route, bot},
    },
    world::State,
};

/// Routes of this file.
pub(super) const ROUTES: &[Route] = &[
    bot(&Method::GET, ALL, BucketClass::Threads, list),
    bot(&Method::PUT, OWN, BucketClass::Threads, join),
    bot(&Method::DELETE, OWN, BucketClass::Threads, leave),
    bot(&Method::GET, ONE, BucketClass::Threads, get),
    bot(&Method::PUT, ONE, BucketClass::Threads, add),
    bot(&Method::DELETE, ONE, BucketClass::Threads, remove),
];

const ALL: &str = "/channels/{channel_id}/thread-members";
const OWN: &str = "/channels/{channel_id}/thread-members/@me";
const ONE: &str = "/channels/{channel_id}/thread-members/{user_id}";

fn state_of(channel: &Channel) -> ApiResult<&ThreadState> {
    Ok(channel.thread.as_ref().ok_or(ErrorCode::WrongChannelKind)?)
}

/// All members, or with `with_member` a page of them in the order of their ids.
fn list(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("channel_id")?;
    let with_member = call.query.flag("with_member");
    let limit = usize::try_from(call.query.number("limit", 1, 100, 100)?).unwrap_or(100);
    let after = call.query.snowflake("after")?.map(Id);
    call.app.world.read(|state| {
        let channel = thread_of(state, id)?;
        // The list needs the privileged intent.
        if !state.application.privileged_intents.contains(Intents::GUILD_MEMBERS) {
            return Err(ErrorCode::MissingAccess.into());
        }
        let mut members: Vec<_> = state_of(channel)?.members.iter().collect();
        if with_member {
            members.sort_unstable_by_key(|member| member.user_id);
            members.retain(|member| after.is_none_or(|after| member.user_id > after));
            members.truncate(limit);
        }
        let views: Vec<Value> = members
            .into_iter()
            .map(|member| state.thread_member_view(channel, member, with_member))
            .collect();
        Ok(RouteResponse::json(&views))
    })
}

fn get(call: &Call) -> ApiResult<RouteResponse> {
    let (id, with_member) = (call.id("channel_id")?, call.query.flag("with_member"));
    // Libraries read the bot's own membership by `@me`; the OpenAPI document does not list that.
    let user = match call.param("user_id") {
        "@me" => call.bot(),
        _ => call.id("user_id")?,
    };
    call.app.world.read(|state| {
        let channel = thread_of(state, id)?;
        // A 404 is documented; its code 10007 is from memory.
        let member = state_of(channel)?.member(user).ok_or(ErrorCode::UnknownMember)?;
        Ok(RouteResponse::json(&state.thread_member_view(
            channel,
            member,
            with_member,
        )))
    })
}

fn join(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("channel_id")?;
    call.app.world.write(|state| {
        require_active(thread_of(state, id)?)?;
        state.add_thread_member(id, state.bot_id);
        Ok(RouteResponse::NoContent)
    })
}

fn leave(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("channel_id")?;
    call.app.world.write(|state| {
        require_active(thread_of(state, id)?)?;
        state.remove_thread_member(id, state.bot_id);
        Ok(RouteResponse::NoContent)
    })
}

/// Adding a member needs the permission to send messages in the thread. To a private thread that is not `invitable`, only its
/// creator and moderators may add members.
fn add(call: &Call) -> ApiResult<RouteResponse> {
    let (id, user) = (call.id("channel_id")?, call.id("user_id")?);
    call.app.world.write(|state| {
        let channel = thread_of(state, id)?;
        state.channel_with(id, Permissions::SEND_MESSAGES_IN_THREADS)?;
        require_active(channel)?;
        let thread = state_of(channel)?;
        let closed = channel.kind == ChannelKind::PrivateThread && !thread.invitable;
        if closed && thread.owner_id != state.bot_id {
            state.channel_with(id, Permissions::MANAGE_THREADS)?;
        }
        require_viewer(state, channel, user)?;
        state.add_thread_member(id, user);
        Ok(RouteResponse::NoContent)
    })
}

/// An added user must be a member who can view the channel. The codes are from memory.
fn require_viewer(state: &State, thread: &Channel, user: Id) -> ApiResult<()> {
    if !state.users.contains_key(&user) {
        return Err(ErrorCode::UnknownUser.into());
    }
    let guild = thread.guild_id.and_then(|guild| state.guilds.get(&guild));
    let guild = guild.filter(|guild| guild.members.contains_key(&user));
    let guild = guild.ok_or(ErrorCode::UnknownMember)?;
    let sees = permissions::in_channel(guild, thread, user, state.now()).contains(Permissions::VIEW_CHANNEL);
    if sees {
        Ok(())
    } else {
        Err(ErrorCode::MissingAccess.into())
    }
}

/// Needs `MANAGE_THREADS`, unless the bot created the private thread.
fn remove(call: &Call) -> ApiResult<RouteResponse> {
    let (id, user) = (call.id("channel_id")?, call.id("user_id")?);
    call.app.world.write(|state| {
        let channel = thread_of(state, id)?;
        let thread = state_of(channel)?;
        let own = channel.kind == ChannelKind::PrivateThread && thread.owner_id == state.bot_id;
        if !own && user != state.bot_id {
            state.channel_with(id, Permissions::MANAGE_THREADS)?;
        }
        require_active(channel)?;
        if !state.remove_thread_member(id, user) {
            return Err(ErrorCode::UnknownMember.into());
        }
        Ok(RouteResponse::NoContent)
    })
}
