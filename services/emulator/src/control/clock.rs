//! The emulator's clock.

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, Body, bad};
use crate::{AppState, model::Timestamp};

pub(super) async fn show(State(app): State<AppState>) -> Json<Value> {
    Json(view(&app))
}

fn view(app: &AppState) -> Value {
    json!({"now": app.clock.now(), "now_ms": app.clock.now_ms(), "ahead_ms": app.clock.offset_ms()})
}

/// One of the two.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    advance_ms: Option<u64>,
    set: Option<Timestamp>,
}

pub(super) async fn change(State(app): State<AppState>, Body(change): Body<Change>) -> Answer {
    match (change.advance_ms, change.set) {
        (Some(ms), None) => app.clock.advance(ms),
        (None, Some(to)) if app.clock.set(to) => {}
        (None, Some(to)) => return Err(bad(format!("{to} is in the past"), "the clock only goes forward")),
        _ => {
            return Err(bad(
                "one change at a time",
                "send {\"advance_ms\": 1000} or {\"set\": \"2030-01-01T00:00:00Z\"}",
            ));
        }
    }
    // Whoever waits for a time looks again.
    app.world.write(|_| ());
    Ok(Json(view(&app)))
}
