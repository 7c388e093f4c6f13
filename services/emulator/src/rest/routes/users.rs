//! Users and the bot's own account. <https://discord.com/developers/docs/resources/user>

use http::Method;
use serde_json::{Value, json};

use crate::{
    gateway::Intents,
    model::{Id, User},
    rest::{
        call::{Call, RouteResponse},
        errors::{ApiResult, ErrorCode},
        limits::BucketClass,
        permissions,
        route::{Route, bot},
        validate::{
            form::{Form, FormField, Length, read_body},
            image::read_image,
        },
    },
    world::{Dispatch, State},
};

/// Routes of this file.
pub(super) const ROUTES: &[Route] = &[
    bot(&Method::GET, "/users/@me", BucketClass::CurrentUser, get_current),
    bot(&Method::PATCH, "/users/@me", BucketClass::CurrentUser, edit_current),
    bot(&Method::GET, "/users/{user_id}", BucketClass::User, get_user),
    bot(
        &Method::GET,
        "/users/@me/guilds",
        BucketClass::CurrentUserGuilds,
        list_guilds,
    ),
    bot(
        &Method::DELETE,
        "/users/@me/guilds/{guild_id}",
        BucketClass::CurrentUserGuilds,
        leave_guild,
    ),
    bot(
        &Method::GET,
        "/users/@me/guilds/{guild_id}/member",
        BucketClass::CurrentUserGuilds,
        not_for_bots,
    ),
    bot(&Method::POST, "/users/@me/channels", BucketClass::CreateDm, create_dm),
];

/// The bot's own account, with the fields that are not public.
fn own_view(user: &User) -> Value {
    let mut view = json!(user);
    for (key, value) in [
        ("mfa_enabled", json!(true)),
        ("locale", json!("en-US")),
        ("premium_type", json!(0)),
        ("email", Value::Null),
        ("verified", json!(true)),
    ] {
        view[key] = value;
    }
    view
}

fn get_current(call: &Call) -> ApiResult<RouteResponse> {
    call.app.world.read(|state| {
        let user = state.users.get(&state.bot_id).ok_or(ErrorCode::UnknownUser)?;
        Ok(RouteResponse::json(&own_view(user)))
    })
}

fn edit_current(call: &Call) -> ApiResult<RouteResponse> {
    let (username, avatar) = read_body(call.json()?, |form: &Form<'_>| {
        (
            form.text("username", Length::between(2, 32)),
            read_image(form, "avatar", 10 * 1_024 * 1_024),
        )
    })?;
    call.app.world.write(|state| {
        let avatar = avatar.map(|image| super::cdn::store_image(state, &image));
        let id = state.bot_id;
        let user = state.users.get_mut(&id).ok_or(ErrorCode::UnknownUser)?;
        if let FormField::Value(username) = username {
            user.username = username;
        }
        user.avatar = avatar.or_keep(user.avatar.take());
        let view = own_view(user);
        state.emit(Dispatch::of_user("USER_UPDATE", Intents::empty(), &view));
        Ok(RouteResponse::json(&view))
    })
}

fn get_user(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("user_id")?;
    call.app.world.read(|state| {
        let user = state.users.get(&id).ok_or(ErrorCode::UnknownUser)?;
        Ok(RouteResponse::json(user))
    })
}

fn list_guilds(call: &Call) -> ApiResult<RouteResponse> {
    let limit = call.query.number("limit", 1, 200, 200)?;
    let (before, after) = (call.query.snowflake("before")?, call.query.snowflake("after")?);
    let with_counts = call.query.flag("with_counts");
    call.app.world.read(|state| {
        let mut guilds: Vec<_> = state
            .guilds
            .values()
            .filter(|guild| guild.members.contains_key(&state.bot_id))
            .filter(|guild| before.is_none_or(|id| guild.id.0 < id) && after.is_none_or(|id| guild.id.0 > id))
            .collect();
        let limit = usize::try_from(limit).unwrap_or(200);
        // With `before` alone the page ends at that id; otherwise it starts at the lowest id.
        if before.is_some() && after.is_none() && guilds.len() > limit {
            guilds.drain(..guilds.len() - limit);
        }
        guilds.truncate(limit);
        let views: Vec<Value> = guilds
            .into_iter()
            .map(|guild| {
                let mut view = json!({
                    "id": guild.id,
                    "name": guild.name,
                    "icon": guild.icon,
                    "banner": guild.banner,
                    "owner": guild.owner_id == state.bot_id,
                    "permissions": permissions::in_guild(guild, state.bot_id, call.now),
                    "features": guild.features,
                });
                if with_counts {
                    view["approximate_member_count"] = json!(guild.members.len());
                    view["approximate_presence_count"] = json!(guild.members.len());
                }
                view
            })
            .collect();
        Ok(RouteResponse::json(&views))
    })
}

fn leave_guild(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("guild_id")?;
    call.app.world.write(|state| {
        let guild = state.guilds.get(&id).ok_or(ErrorCode::UnknownGuild)?;
        if guild.owner_id == state.bot_id {
            return Err(ErrorCode::InvalidGuildOwner.into());
        }
        state.remove_guild(id);
        Ok(RouteResponse::NoContent)
    })
}

fn not_for_bots(_: &Call) -> ApiResult<RouteResponse> {
    Err(ErrorCode::BotsCannotUse.into())
}

fn create_dm(call: &Call) -> ApiResult<RouteResponse> {
    let recipient = read_body(call.json()?, |form| {
        form.require("recipient_id");
        form.snowflake("recipient_id").value()
    })?;
    let user = Id(recipient.unwrap_or_default());
    call.app.world.write(|state| {
        if user == state.bot_id || !state.users.contains_key(&user) {
            return Err(ErrorCode::InvalidRecipients.into());
        }
        let id = state.dm_with(user);
        let channel = state.channel(id).ok_or(ErrorCode::UnknownChannel)?;
        Ok(RouteResponse::json(&state.channel_view(channel)))
    })
}

/// Whether the bot may send this user a direct message: the user accepts them and is in a server with the bot.
pub(super) fn accepts_messages(state: &State, user: Id) -> bool {
    let shares = || state.guilds.values().any(|guild| guild.members.contains_key(&user));
    state.users.get(&user).is_some_and(|user| user.accepts_dms && !user.bot) && shares()
}
