//! The gateway from outside: sessions, limits, privileged intents, the token.

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, Body, bad};
use crate::{AppState, gateway::Intents};

pub(super) async fn show(State(app): State<AppState>) -> Json<Value> {
    Json(view(&app))
}

fn view(app: &AppState) -> Value {
    let intents = app.world.read(|state| state.application.privileged_intents);
    json!({
        "sessions": app.hub.sessions(),
        "connections": app.hub.connections(),
        "session_start_limit": app.hub.session_start_limit(&app.clock),
        "recommended_shards": app.recommended_shards(),
        "privileged_intents": intents.iter_names().map(|(name, _)| name).collect::<Vec<_>>(),
        "heartbeat_interval_ms": app.options.heartbeat_interval_ms,
    })
}

/// What can be changed while it runs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    /// Names of privileged intents that are on from now.
    privileged_intents: Option<Vec<String>>,
    /// Identifies in 24 hours; starts a full budget.
    session_start_limit: Option<u32>,
    /// Identifies left of them.
    session_starts_remaining: Option<u32>,
    /// Identify buckets.
    max_concurrency: Option<u32>,
}

pub(super) async fn change(State(app): State<AppState>, Body(change): Body<Change>) -> Answer {
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
    Ok(Json(view(&app)))
}

/// A new token, as from the developer portal: the old one is dead, all sessions end.
pub(super) async fn reset_token(State(app): State<AppState>) -> Json<Value> {
    Json(json!({"token": crate::gateway::reset_token(&app)}))
}
