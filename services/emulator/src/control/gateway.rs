//! The gateway from outside: sessions, limits, privileged intents, the token.

use arrakis_emulator_client::{GatewayChange, GatewayState, NewToken};
use axum::{Json, extract::State};

use super::response::{Body, ControlError, bad};
use crate::{AppState, gateway::Intents};

pub(super) async fn show(State(app): State<AppState>) -> Json<GatewayState> {
    Json(state_of(&app))
}

fn state_of(app: &AppState) -> GatewayState {
    let intents = app.world.read(|state| state.application.privileged_intents);
    GatewayState {
        sessions: app.hub.sessions(),
        connections: app.hub.connections(),
        session_start_limit: app.hub.session_start_limit(&app.clock),
        recommended_shards: app.recommended_shards(),
        privileged_intents: intents.iter_names().map(|(name, _)| name.to_owned()).collect(),
        heartbeat_interval_ms: app.options.heartbeat_interval_ms,
    }
}

pub(super) async fn change(
    State(app): State<AppState>,
    Body(change): Body<GatewayChange>,
) -> Result<Json<GatewayState>, ControlError> {
    if let Some(names) = &change.privileged_intents {
        let mut intents = Intents::empty();
        for name in names {
            let known = Intents::from_name(name).filter(|intent| Intents::PRIVILEGED.contains(*intent));
            let what_to_do = "name GUILD_MEMBERS, GUILD_PRESENCES, MESSAGE_CONTENT";
            intents |= known.ok_or_else(|| bad(format!("{name} is not a privileged intent"), what_to_do))?;
        }
        app.world.write(|state| state.application.privileged_intents = intents);
    }
    app.hub.set_limits(
        change.session_start_limit,
        change.session_starts_remaining,
        change.max_concurrency,
    );
    Ok(Json(state_of(&app)))
}

/// Replaces the bot token, as the developer portal does: the old one is refused, and all sessions end.
pub(super) async fn reset_token(State(app): State<AppState>) -> Json<NewToken> {
    Json(NewToken {
        token: crate::gateway::reset_token(&app),
    })
}
