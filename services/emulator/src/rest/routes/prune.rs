//! Removal of inactive members. <https://discord.com/developers/docs/resources/guild#begin-guild-prune>
//!
//! Discord does not document what counts as activity. Here joining and writing a message count.

use http::Method;
use serde_json::{Value, json};

use crate::{
    model::{Guild, Id, Permissions, Timestamp},
    rest::{
        call::{AccessChecks, Call, RouteResponse},
        errors::{ApiError, ApiResult, ErrorCode},
        limits::BucketClass,
        route::{Route, bot},
        validate::form::{Form, read_body},
    },
    world::State,
};

/// Routes of this file.
pub(super) const ROUTES: &[Route] = &[
    bot(&Method::GET, PRUNE, BucketClass::Kick, count),
    bot(&Method::POST, PRUNE, BucketClass::Kick, begin),
];

const PRUNE: &str = "/guilds/{guild_id}/prune";
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// Default of `days`, the days without activity.
const DAYS: u64 = 7;

fn count(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("guild_id")?;
    let days = call.query.number("days", 1, 30, DAYS)?;
    let roles = read_roles(call.query.text("include_roles").unwrap_or_default())?;
    call.app.world.read(|state| {
        let guild = allowed(state, id)?;
        let found = inactive(state, guild, days, &roles);
        Ok(RouteResponse::json(&json!({ "pruned": found.len() })))
    })
}

fn begin(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("guild_id")?;
    let (days, counts, roles) = read_body(&call.json_or_empty(), |form| {
        let days = form.integer("days", 1, 30).value();
        let counts = form.flag("compute_prune_count").value().unwrap_or(true);
        (days.and_then(|days| u64::try_from(days).ok()), counts, roles_of(form))
    })?;
    let (days, roles) = (days.unwrap_or(DAYS), roles?);
    call.app.world.write(|state| {
        let found = inactive(state, allowed(state, id)?, days, &roles);
        state.prune(id, &found, days, &call.cause());
        let pruned = if counts { json!(found.len()) } else { Value::Null };
        Ok(RouteResponse::json(&json!({ "pruned": pruned })))
    })
}

fn allowed(state: &State, guild: Id) -> ApiResult<&Guild> {
    let known = state.guild_with(guild, Permissions::MANAGE_GUILD | Permissions::KICK_MEMBERS)?;
    Ok(known)
}

/// Ids separated by commas, as in the query.
fn read_roles(text: &str) -> ApiResult<Vec<Id>> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| {
            part.parse().map_err(|_| {
                let message = format!("Value \"{part}\" is not snowflake.");
                ApiError::field("include_roles", "NUMBER_TYPE_COERCE", message)
            })
        })
        .collect()
}

/// Ids in a body, where they may be a list.
fn roles_of(form: &Form<'_>) -> ApiResult<Vec<Id>> {
    match form.raw("include_roles") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => read_roles(text),
        Some(Value::Array(entries)) => {
            let ids = entries.iter().map(crate::rest::validate::form::snowflake);
            let ids: Option<Vec<u64>> = ids.collect();
            Ok(ids.ok_or(ErrorCode::InvalidFormBody)?.into_iter().map(Id).collect())
        }
        Some(_) => Err(ErrorCode::InvalidFormBody.into()),
    }
}

/// Members without roles other than `roles`, who neither joined nor wrote within these days. Bots and the owner are excluded.
fn inactive(state: &State, guild: &Guild, days: u64, roles: &[Id]) -> Vec<Id> {
    let since = Timestamp(state.now().0.saturating_sub(days * DAY_MS));
    let wrote = |user: Id| {
        let mut messages = guild.channels.keys().filter_map(|channel| state.messages.get(channel));
        messages.any(|all| {
            let newest = all.values().rev().take_while(|message| message.timestamp >= since);
            newest.into_iter().any(|message| message.author.id() == user)
        })
    };
    guild
        .members
        .values()
        .filter(|member| member.roles.iter().all(|role| roles.contains(role)))
        .filter(|member| member.user_id != guild.owner_id && member.joined_at < since)
        .map(|member| member.user_id)
        .filter(|user| !state.users.get(user).is_some_and(|user| user.bot))
        .filter(|user| !wrote(*user))
        .collect()
}
