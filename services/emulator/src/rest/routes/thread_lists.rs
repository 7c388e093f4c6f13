//! Lists of threads: those that are active in a server, and those that are archived in a channel.
//! <https://discord.com/developers/docs/topics/threads#enumerating-threads>

use std::cmp::Reverse;

use http::Method;
use serde_json::{Value, json};

use crate::{
    model::{Channel, ChannelKind, Id, Permissions, Timestamp},
    rest::{
        call::{AccessChecks, Call, RouteResponse},
        errors::{ApiError, ApiResult, ErrorCode},
        limits::BucketClass,
        route::{Route, bot},
    },
    world::State,
};

/// Routes of this file.
pub(super) const ROUTES: &[Route] = &[
    bot(
        &Method::GET,
        "/guilds/{guild_id}/threads/active",
        BucketClass::Threads,
        active,
    ),
    bot(
        &Method::GET,
        "/channels/{channel_id}/threads/archived/public",
        BucketClass::Threads,
        archived_public,
    ),
    bot(
        &Method::GET,
        "/channels/{channel_id}/threads/archived/private",
        BucketClass::Threads,
        archived_private,
    ),
    bot(
        &Method::GET,
        "/channels/{channel_id}/users/@me/threads/archived/private",
        BucketClass::Threads,
        archived_joined,
    ),
];

fn active(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("guild_id")?;
    call.app.world.read(|state| {
        let guild = state.guild_for_bot(id)?;
        let open = |channel: &&Channel| channel.thread.as_ref().is_some_and(|thread| !thread.archived);
        let threads: Vec<&Channel> = guild.channels.values().filter(open).collect();
        Ok(RouteResponse::json(&view(state, &threads, false)))
    })
}

/// Threads and the bot's membership in each of them that it is in.
fn view(state: &State, threads: &[&Channel], has_more: bool) -> Value {
    let members: Vec<Value> = threads
        .iter()
        .filter_map(|channel| {
            let member = channel.thread.as_ref()?.member(state.bot_id)?;
            Some(state.thread_member_view(channel, member, false))
        })
        .collect();
    json!({ "threads": threads, "members": members, "has_more": has_more })
}

fn archived_public(call: &Call) -> ApiResult<RouteResponse> {
    let before = read_before(call)?;
    let is_public = |thread: &Channel| thread.kind != ChannelKind::PrivateThread;
    archived(call, Permissions::READ_MESSAGE_HISTORY, |_, thread, archived_at| {
        (is_public(thread) && before.is_none_or(|before| archived_at < before)).then_some(archived_at.0)
    })
}

fn archived_private(call: &Call) -> ApiResult<RouteResponse> {
    let before = read_before(call)?;
    let needed = Permissions::READ_MESSAGE_HISTORY | Permissions::MANAGE_THREADS;
    archived(call, needed, |_, thread, archived_at| {
        let private = thread.kind == ChannelKind::PrivateThread;
        (private && before.is_none_or(|before| archived_at < before)).then_some(archived_at.0)
    })
}

/// Whether the sort key is the id, not the time.
fn archived_joined(call: &Call) -> ApiResult<RouteResponse> {
    let before = call.query.snowflake("before")?.map(Id);
    archived(call, Permissions::READ_MESSAGE_HISTORY, |state, thread, _| {
        let joined = thread
            .thread
            .as_ref()
            .is_some_and(|own| own.member(state.bot_id).is_some());
        let wanted = thread.kind == ChannelKind::PrivateThread && joined;
        (wanted && before.is_none_or(|before| thread.id < before)).then_some(thread.id.0)
    })
}

/// Archived threads of a channel, sorted by `key`, the highest first. The default limit of 50 threads is from memory.
fn archived(
    call: &Call,
    needed: Permissions,
    key: impl Fn(&State, &Channel, Timestamp) -> Option<u64>,
) -> ApiResult<RouteResponse> {
    let id = call.id("channel_id")?;
    let limit = usize::try_from(call.query.number("limit", 2, 100, 50)?).unwrap_or(50);
    call.app.world.read(|state| {
        let channel = state.channel_with(id, needed)?;
        let has_threads =
            matches!(channel.kind, ChannelKind::Text | ChannelKind::Announcement) || channel.kind.is_forum();
        let guild = channel
            .guild_id
            .and_then(|guild| state.guilds.get(&guild))
            .filter(|_| has_threads)
            .ok_or(ErrorCode::WrongChannelKind)?;
        let mut found: Vec<(u64, &Channel)> = guild
            .channels
            .values()
            .filter(|thread| thread.parent_id == Some(id))
            .filter_map(|thread| {
                let own = thread.thread.as_ref().filter(|own| own.archived)?;
                Some((key(state, thread, own.archive_timestamp)?, thread))
            })
            .collect();
        found.sort_by_key(|(key, thread)| Reverse((*key, thread.id)));
        let has_more = found.len() > limit;
        let page: Vec<&Channel> = found.into_iter().take(limit).map(|(_, thread)| thread).collect();
        Ok(RouteResponse::json(&view(state, &page, has_more)))
    })
}

/// `before` as a time.
fn read_before(call: &Call) -> ApiResult<Option<Timestamp>> {
    let Some(text) = call.query.text("before") else {
        return Ok(None);
    };
    // An unescaped plus sign is decoded as a space, and some clients omit the offset.
    let forms = [text.to_owned(), text.replace(' ', "+"), format!("{text}Z")];
    let time = forms.iter().find_map(|text| Timestamp::parse(text)).ok_or_else(|| {
        let message = format!("Could not parse {text}. Should be ISO8601.");
        ApiError::field("before", "DATE_TIME_TYPE_PARSE", message)
    })?;
    Ok(Some(time))
}
