//! The widget, the vanity URL and the integrations of a server.
//! <https://discord.com/developers/docs/resources/guild#get-guild-widget-settings>

use http::Method;
use serde_json::{Value, json};

use crate::{
    model::{ChannelKind, Guild, Id, Permissions},
    rest::{
        call::{AccessChecks, Call, RouteResponse},
        errors::{ApiError, ApiResult, ErrorCode},
        limits::BucketClass,
        permissions,
        route::{Route, bot, open},
        validate::form::{FormField, read_body},
    },
};

/// Routes of this file.
pub(super) const ROUTES: &[Route] = &[
    bot(&Method::GET, SETTINGS, BucketClass::ReadGuild, settings),
    bot(&Method::PATCH, SETTINGS, BucketClass::EditGuild, edit),
    open(
        &Method::GET,
        "/guilds/{guild_id}/widget.json",
        BucketClass::ReadGuild,
        widget,
    ),
    bot(
        &Method::GET,
        "/guilds/{guild_id}/vanity-url",
        BucketClass::ReadGuild,
        vanity,
    ),
    bot(
        &Method::GET,
        "/guilds/{guild_id}/integrations",
        BucketClass::ReadGuild,
        integrations,
    ),
];

const SETTINGS: &str = "/guilds/{guild_id}/widget";

fn settings_of(guild: &Guild) -> Value {
    json!({ "enabled": guild.widget_enabled, "channel_id": guild.widget_channel_id })
}

fn settings(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("guild_id")?;
    call.app.world.read(|state| {
        Ok(RouteResponse::json(&settings_of(
            state.guild_with(id, Permissions::MANAGE_GUILD)?,
        )))
    })
}

fn edit(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("guild_id")?;
    let (enabled, channel) = read_body(call.json()?, |form| {
        (form.flag("enabled"), form.snowflake("channel_id"))
    })?;
    call.app.world.write(|state| {
        let guild = state.guild_with(id, Permissions::MANAGE_GUILD)?;
        if let FormField::Value(channel) = channel
            && !guild.channels.contains_key(&Id(channel))
        {
            return Err(ApiError::field("channel_id", "CHANNEL_INVALID", "Invalid channel"));
        }
        state.update_guild(
            id,
            |guild| {
                guild.widget_enabled = enabled.or_default(guild.widget_enabled, false);
                guild.widget_channel_id = channel.map(Id).or_keep(guild.widget_channel_id);
            },
            &call.cause(),
        );
        Ok(RouteResponse::json(&settings_of(state.guild_for_bot(id)?)))
    })
}

/// The public widget: the voice channels that everyone can view. The emulator does not track presences, so no members are
/// listed.
fn widget(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("guild_id")?;
    call.app.world.read(|state| {
        let guild = state.guilds.get(&id).ok_or(ErrorCode::UnknownGuild)?;
        if !guild.widget_enabled {
            return Err(ErrorCode::WidgetDisabled.into());
        }
        let seen = guild
            .channels
            .values()
            .filter(|channel| channel.kind == ChannelKind::Voice && permissions::everyone_sees(guild, channel));
        let channels: Vec<Value> = seen
            .map(|channel| json!({ "id": channel.id, "name": channel.name, "position": channel.position }))
            .collect();
        Ok(RouteResponse::json(&json!({
            "id": guild.id,
            "name": guild.name,
            "instant_invite": null,
            "channels": channels,
            "members": [],
            "presence_count": 0,
        })))
    })
}

/// No server of the emulator has a vanity URL.
fn vanity(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("guild_id")?;
    call.app.world.read(|state| {
        state.guild_with(id, Permissions::MANAGE_GUILD)?;
        Ok(RouteResponse::json(&json!({ "code": null, "uses": 0 })))
    })
}

/// The bot's own integration. In the emulator its id is the application's.
fn integrations(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("guild_id")?;
    call.app.world.read(|state| {
        let guild = state.guild_with(id, Permissions::MANAGE_GUILD)?;
        let application = &state.application;
        Ok(RouteResponse::json(&json!([{
            "id": application.id,
            "type": "discord",
            "name": application.name,
            "enabled": true,
            "account": { "id": application.id, "name": application.name },
            "application": {
                "id": application.id,
                "name": application.name,
                "icon": null,
                "description": application.description,
                "summary": "",
                "type": null,
                "bot": state.users.get(&state.bot_id),
            },
            "scopes": ["applications.commands", "bot"],
            "user": state.users.get(&guild.owner_id),
        }])))
    })
}
