//! Interactions by members (commands, autocomplete, components, modals) and the bot's responses to them.
//!
//! Requests that Discord's client would refuse are refused here, with the reason. `"force": true` sends them, as a broken or
//! hostile client could.

mod command;
mod component;
mod describe;
mod modal;
mod resolve;
mod shared;

pub(super) use shared::validate as validate_for_all;

use std::time::Duration;

use arrakis_emulator_client::{InteractionCreated, InteractionRecord, InteractionRequest};
use axum::{
    Json,
    extract::{Path, Query, State},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::{
    messages, names,
    response::{Body, ControlError, bad, forbidden, missing},
};
use crate::{
    AppState,
    model::{Channel, Id, Interaction, InteractionState, Permissions},
    world::{self, NewInteraction},
};

/// Channel and member of an interaction under construction.
struct InteractionContext<'a> {
    state: &'a world::State,
    channel: &'a Channel,
    user: Id,
    force: bool,
}

impl InteractionContext<'_> {
    /// Refuses what Discord's client would refuse, unless the request sets `force`.
    fn refuse(&self, error: impl Into<String>, what_to_do: impl Into<String>) -> Result<(), ControlError> {
        if self.force {
            Ok(())
        } else {
            Err(bad(error, what_to_do))
        }
    }
}

pub(super) async fn create(
    State(app): State<AppState>,
    Body(request): Body<InteractionRequest>,
) -> Result<Json<InteractionCreated>, ControlError> {
    app.world.write(|state| {
        let (channel, user) = place(state, &request)?;
        let new = validate(state, channel, user, &request)?;
        let id = state.create_interaction(new);
        let id = id.ok_or_else(|| missing("the channel or the member is gone", "try again"))?;
        let made = state.interactions.get(&id);
        let token = made.map(|interaction| interaction.token.clone()).unwrap_or_default();
        Ok(Json(InteractionCreated { id, token }))
    })
}

/// Resolves channel and user, and checks that the user may act in the channel.
fn place(state: &mut world::State, request: &InteractionRequest) -> Result<(Id, Id), ControlError> {
    let Some(guild) = &request.guild_id else {
        let user = names::user(state, &request.user_id)?;
        let named = request.channel_id.as_deref().and_then(|text| text.parse().ok());
        return match named.and_then(|id: Id| state.channel(id)) {
            None => Ok((state.dm_with(user), user)),
            Some(channel) if channel.recipients.contains(&user) => Ok((channel.id, user)),
            Some(channel) if channel.guild_id.is_some() => Ok((channel.id, user)),
            Some(_) => Err(forbidden(
                "this is another user's direct message",
                "leave channel_id out",
            )),
        };
    };
    let guild = names::guild(state, guild)?;
    let user = names::member(state, guild, &request.user_id)?;
    let name = request.channel_id.as_deref();
    let name = name.ok_or_else(|| bad("channel_id is missing", "name the channel where it happens"))?;
    let channel = names::channel(guild, name)?;
    if guild.unavailable {
        return Err(bad(
            format!("{} has an outage", guild.name),
            "POST /control/outage ends it",
        ));
    }
    if !request.force {
        let needed = if matches!(request.kind.as_str(), "command" | "autocomplete") {
            Permissions::USE_APPLICATION_COMMANDS
        } else {
            Permissions::VIEW_CHANNEL
        };
        messages::require(state, guild, channel, user, needed, "use the bot in")?;
    }
    Ok((channel.id, user))
}

fn validate(
    state: &mut world::State,
    channel: Id,
    user: Id,
    request: &InteractionRequest,
) -> Result<NewInteraction, ControlError> {
    let files = command::uploads(state, request)?;
    let place = state
        .channel(channel)
        .ok_or_else(|| missing("the channel is gone", "try again"))?;
    let context = InteractionContext {
        state,
        channel: place,
        user,
        force: request.force,
    };
    match request.kind.as_str() {
        "command" => command::run(&context, request, false, &files),
        "autocomplete" => command::run(&context, request, true, &files),
        "component" => component::press(&context, request),
        "modal" => modal::submit(&context, request),
        other => Err(bad(
            format!("{other:?} is not a kind of interaction"),
            "command, autocomplete, component or modal",
        )),
    }
}

/// Query of a request that may wait for the answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WaitQuery {
    #[serde(default)]
    wait_ms: u64,
}

/// Pause before a waiting request checks again: in a load run thousands of changes happen in a second, and many requests wait.
const RECHECK_PAUSE: Duration = Duration::from_millis(5);

/// Longest wait of one request, in milliseconds.
const MAX_WAIT_MS: u64 = 60_000;

/// Returns the record once the interaction is answered or expired, or when the requested wait is over.
pub(super) async fn show(
    State(app): State<AppState>,
    Path(id): Path<Id>,
    Query(wait): Query<WaitQuery>,
) -> Result<Json<InteractionRecord>, ControlError> {
    let until = Instant::now() + Duration::from_millis(wait.wait_ms.min(MAX_WAIT_MS));
    let mut changes = app.world.changes();
    loop {
        changes.borrow_and_update();
        let now = app.clock.now_ms();
        let (record, done, expires) = app.world.read(|state| {
            let known = state.interactions.get(&id);
            let known = known.ok_or_else(|| {
                missing(
                    format!("there is no interaction {id}"),
                    "POST /control/interactions creates one",
                )
            })?;
            let done = matches!(
                known.state_at(now),
                InteractionState::Answered | InteractionState::Expired
            );
            let expires = known.created_at.0 + Interaction::ACKNOWLEDGE_WITHIN_MS;
            Ok::<_, ControlError>((record_of(state, known, now), done, expires))
        })?;
        let pending = now < expires;
        let next = async {
            tokio::select! {
                _ = changes.changed() => tokio::time::sleep(RECHECK_PAUSE).await,
                () = app.clock.sleep_until(expires), if pending => {}
            }
        };
        if done || timeout_at(until, next).await.is_err() {
            return Ok(Json(record));
        }
    }
}

pub(super) async fn list(State(app): State<AppState>) -> Json<Vec<InteractionRecord>> {
    let now = app.clock.now_ms();
    Json(app.world.read(|state| {
        let newest = state.interactions.values().rev().take(100);
        newest.map(|interaction| record_of(state, interaction, now)).collect()
    }))
}

pub(super) async fn commands(State(app): State<AppState>) -> Json<Value> {
    Json(
        app.world
            .read(|state| json!(state.commands.values().collect::<Vec<_>>())),
    )
}

fn record_of(state: &world::State, known: &Interaction, now: u64) -> InteractionRecord {
    let message = |id: &Id| {
        state
            .message(known.channel_id, *id)
            .map(|message| state.message_view(message))
    };
    InteractionRecord {
        id: known.id,
        token: known.token.clone(),
        kind: known.kind as u8,
        state: known.state_at(now),
        guild_id: known.guild_id,
        channel_id: known.channel_id,
        user_id: known.user_id,
        command: known.command.clone(),
        data: known.data.clone(),
        created_at: known.created_at,
        acknowledged_at: known.acknowledged_at,
        acknowledged_after_ms: known.acknowledged_at.map(|at| at.0.saturating_sub(known.created_at.0)),
        callback_type: known.callback_type,
        ephemeral: known.ephemeral,
        responses: known.responses.clone(),
        message: known.original.as_ref().and_then(message),
        followups: known.followups.iter().filter_map(message).collect(),
        modal: known.modal.clone(),
        choices: known.choices.clone(),
    }
}
