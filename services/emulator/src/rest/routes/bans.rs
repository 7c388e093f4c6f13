//! Bans. <https://discord.com/developers/docs/resources/guild#get-guild-bans>

use http::Method;
use serde_json::{Value, json};

use crate::{
    model::{Ban, Guild, Id, Permissions, Timestamp},
    rest::{
        call::{AccessChecks, Call, RouteResponse},
        errors::{ApiResult, ErrorCode},
        limits::BucketClass,
        permissions,
        route::{Route, bot},
        validate::form::{Form, FormField, Length, read_body},
    },
    world::State,
};

/// Routes of this file.
pub(super) const ROUTES: &[Route] = &[
    bot(&Method::GET, "/guilds/{guild_id}/bans", BucketClass::ReadBans, list),
    bot(&Method::GET, ONE, BucketClass::ReadBans, get),
    bot(&Method::PUT, ONE, BucketClass::Ban, put),
    bot(&Method::DELETE, ONE, BucketClass::Ban, delete),
    bot(&Method::POST, "/guilds/{guild_id}/bulk-ban", BucketClass::BulkBan, bulk),
];

const ONE: &str = "/guilds/{guild_id}/bans/{user_id}";
const WEEK_SECONDS: i64 = 604_800;

fn view(state: &State, ban: &Ban) -> Value {
    json!({ "user": state.users.get(&ban.user_id), "reason": ban.reason })
}

fn list(call: &Call) -> ApiResult<RouteResponse> {
    let guild = call.id("guild_id")?;
    let limit = usize::try_from(call.query.number("limit", 1, 1_000, 1_000)?).unwrap_or(1_000);
    let (before, after) = (
        call.query.snowflake("before")?.map(Id),
        call.query.snowflake("after")?.map(Id),
    );
    call.app.world.read(|state| {
        let bans = &state.guild_with(guild, Permissions::BAN_MEMBERS)?.bans;
        // With both, only `before` is used.
        let page: Vec<&Ban> = match (before, after) {
            (Some(before), _) => {
                let mut page: Vec<&Ban> = bans.range(..before).rev().take(limit).map(|(_, ban)| ban).collect();
                page.reverse();
                page
            }
            (None, Some(after)) => bans.values().filter(|ban| ban.user_id > after).take(limit).collect(),
            (None, None) => bans.values().take(limit).collect(),
        };
        let views: Vec<Value> = page.into_iter().map(|ban| view(state, ban)).collect();
        Ok(RouteResponse::json(&views))
    })
}

fn get(call: &Call) -> ApiResult<RouteResponse> {
    let (guild, user) = (call.id("guild_id")?, call.id("user_id")?);
    call.app.world.read(|state| {
        let ban = state
            .guild_with(guild, Permissions::BAN_MEMBERS)?
            .bans
            .get(&user)
            .ok_or(ErrorCode::UnknownBan)?;
        Ok(RouteResponse::json(&view(state, ban)))
    })
}

/// Seconds of messages to delete; the older field counts days.
fn read_delete_seconds(form: &Form<'_>) -> i64 {
    let days = form.integer("delete_message_days", 0, 7).value().unwrap_or(0);
    match form.integer("delete_message_seconds", 0, WEEK_SECONDS) {
        FormField::Value(seconds) => seconds,
        FormField::Absent | FormField::Null => days * 24 * 60 * 60,
    }
}

fn since(now: Timestamp, seconds: i64) -> Option<Timestamp> {
    let ms = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0)? * 1_000;
    Some(Timestamp(now.0.saturating_sub(ms)))
}

/// Whether the bot ranks above the user, who need not be a member.
fn may_ban(state: &State, guild: &Guild, user: Id) -> bool {
    user != state.bot_id && permissions::is_above_member(guild, state.bot_id, user)
}

fn put(call: &Call) -> ApiResult<RouteResponse> {
    let (guild_id, user) = (call.id("guild_id")?, call.id("user_id")?);
    let seconds = read_body(&call.json_or_empty(), read_delete_seconds)?;
    call.app.world.write(|state| {
        let guild = state.guild_with(guild_id, Permissions::BAN_MEMBERS)?;
        if !state.users.contains_key(&user) {
            return Err(ErrorCode::UnknownUser.into());
        }
        if !may_ban(state, guild, user) {
            return Err(ErrorCode::MissingPermissions.into());
        }
        if !guild.bans.contains_key(&user) {
            state.ban(guild_id, user, since(call.now, seconds), &call.cause());
        }
        Ok(RouteResponse::NoContent)
    })
}

fn delete(call: &Call) -> ApiResult<RouteResponse> {
    let (guild, user) = (call.id("guild_id")?, call.id("user_id")?);
    call.app.world.write(|state| {
        state.guild_with(guild, Permissions::BAN_MEMBERS)?;
        if state.unban(guild, user, &call.cause()) {
            Ok(RouteResponse::NoContent)
        } else {
            Err(ErrorCode::UnknownBan.into())
        }
    })
}

fn bulk(call: &Call) -> ApiResult<RouteResponse> {
    let guild_id = call.id("guild_id")?;
    let (users, seconds) = read_body(call.json()?, |form| {
        form.require("user_ids");
        let users = form
            .snowflakes("user_ids", Length::between(1, 200))
            .value()
            .unwrap_or_default();
        (users, read_delete_seconds(form))
    })?;
    call.app.world.write(|state| {
        state.guild_with(guild_id, Permissions::BAN_MEMBERS | Permissions::MANAGE_GUILD)?;
        let (mut banned, mut failed) = (Vec::new(), Vec::new());
        for user in users.into_iter().map(Id) {
            let guild = state.guild_for_bot(guild_id)?;
            let bannable = state.users.contains_key(&user) && !guild.bans.contains_key(&user);
            if bannable && may_ban(state, guild, user) {
                state.ban(guild_id, user, since(call.now, seconds), &call.cause());
                banned.push(user);
            } else {
                failed.push(user);
            }
        }
        if banned.is_empty() {
            return Err(ErrorCode::FailedToBan.into());
        }
        Ok(RouteResponse::json(
            &json!({ "banned_users": banned, "failed_users": failed }),
        ))
    })
}
