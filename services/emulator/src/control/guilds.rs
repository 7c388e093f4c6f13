//! Servers: list, full view, changes, outages, removal of the bot.

use arrakis_emulator_client::{GuildSummary, Outage};
use axum::{
    Json,
    extract::{Path, State},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    names,
    response::{Body, ControlResult, missing},
};
use crate::{AppState, model::Guild, world::Cause};

pub(super) async fn list(State(app): State<AppState>) -> Json<Vec<GuildSummary>> {
    let summary = |guild: &Guild| GuildSummary {
        id: guild.id,
        name: guild.name.clone(),
        owner_id: guild.owner_id,
        members: guild.members.len(),
        channels: guild.channels.len(),
        roles: guild.roles.len(),
        unavailable: guild.unavailable,
    };
    Json(app.world.read(|state| state.guilds.values().map(summary).collect()))
}

pub(super) async fn show(State(app): State<AppState>, Path(guild): Path<String>) -> ControlResult {
    app.world.read(|state| {
        let guild = names::guild(state, &guild)?;
        let mut view = json!(guild);
        let members: Vec<Value> = guild
            .members
            .keys()
            .map(|id| json!(state.member_view(guild.id, *id)))
            .collect();
        let mut channels: Vec<_> = guild.channels.values().collect();
        channels.sort_by_key(|channel| {
            (
                channel.parent_id.unwrap_or(channel.id),
                channel.parent_id.is_some(),
                channel.position,
            )
        });
        view["roles"] = json!(guild.roles_by_rank());
        view["channels"] = json!(channels);
        view["members"] = json!(members);
        view["bans"] = guild
            .bans
            .values()
            .map(|ban| json!({"user_id": ban.user_id, "reason": ban.reason}))
            .collect();
        view["webhooks"] = state
            .webhooks
            .values()
            .filter(|webhook| webhook.guild_id == guild.id)
            .map(|w| json!(w))
            .collect();
        view["unavailable"] = json!(guild.unavailable);
        Ok(Json(view))
    })
}

pub(super) async fn audit_log(State(app): State<AppState>, Path(guild): Path<String>) -> ControlResult {
    app.world.read(|state| {
        let guild = names::guild(state, &guild)?;
        Ok(Json(
            json!({"audit_log_entries": guild.audit_log.iter().rev().take(1_000).collect::<Vec<_>>()}),
        ))
    })
}

/// Removes the bot from the server and dispatches `GUILD_DELETE`.
pub(super) async fn remove(State(app): State<AppState>, Path(guild): Path<String>) -> ControlResult {
    app.world.write(|state| {
        let id = names::guild(state, &guild)?.id;
        Ok(Json(json!({"removed": state.remove_guild(id), "guild_id": id})))
    })
}

/// Changes of a server by its owner; absent fields stay as they are.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Edit {
    name: Option<String>,
    description: Option<String>,
    owner: Option<String>,
    features: Option<Vec<String>>,
    premium_tier: Option<u8>,
}

pub(super) async fn edit(
    State(app): State<AppState>,
    Path(guild): Path<String>,
    Body(edit): Body<Edit>,
) -> ControlResult {
    app.world.write(|state| {
        let guild = names::guild(state, &guild)?;
        let (id, cause) = (guild.id, Cause::by(guild.owner_id));
        let owner = edit
            .owner
            .as_deref()
            .map(|name| names::member(state, guild, name))
            .transpose()?;
        state.update_guild(
            id,
            |guild| {
                guild.name = edit.name.unwrap_or_else(|| std::mem::take(&mut guild.name));
                guild.description = edit.description.or_else(|| guild.description.take());
                guild.owner_id = owner.unwrap_or(guild.owner_id);
                guild.features = edit.features.unwrap_or_else(|| std::mem::take(&mut guild.features));
                guild.premium_tier = edit.premium_tier.unwrap_or(guild.premium_tier);
            },
            &cause,
        );
        Ok(Json(json!(state.guilds.get(&id))))
    })
}

pub(super) async fn outage(State(app): State<AppState>, Body(outage): Body<Outage>) -> ControlResult {
    if app
        .world
        .write(|state| state.set_unavailable(outage.guild_id, outage.unavailable))
    {
        return Ok(Json(
            json!({"guild_id": outage.guild_id, "unavailable": outage.unavailable}),
        ));
    }
    Err(missing(
        format!("there is no server {}", outage.guild_id),
        "GET /control/guilds lists them",
    ))
}
