//! The emulator's clock.

use arrakis_emulator_client::{ClockChange, ClockState};
use axum::{Json, extract::State};

use super::response::{Body, ControlError, bad};
use crate::AppState;

pub(super) async fn show(State(app): State<AppState>) -> Json<ClockState> {
    Json(state_of(&app))
}

fn state_of(app: &AppState) -> ClockState {
    ClockState {
        now: app.clock.now(),
        now_ms: app.clock.now_ms(),
        ahead_ms: app.clock.offset_ms(),
    }
}

pub(super) async fn change(
    State(app): State<AppState>,
    Body(change): Body<ClockChange>,
) -> Result<Json<ClockState>, ControlError> {
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
    // Wakes the tasks that wait for a time.
    app.world.write(|_| ());
    Ok(Json(state_of(&app)))
}
