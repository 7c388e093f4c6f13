//! `POST /control/seed`: creates servers.

use arrakis_emulator_client::SeedRequest;
use axum::{Json, extract::State};
use serde_json::json;

use super::response::{Body, ControlError, ControlResult, bad, conflict};
use crate::{
    AppState,
    seed::{self, SeedError, lively, load, spec::GuildSpec},
};

pub(super) async fn seed(
    State(app): State<AppState>,
    Body(request): Body<SeedRequest<Box<GuildSpec>>>,
) -> ControlResult {
    match request {
        SeedRequest::Lively { seed } => {
            let made = app
                .world
                .write(|state| lively::lively(state, seed.unwrap_or(app.options.seed)))?;
            Ok(Json(json!({"guilds": made})))
        }
        SeedRequest::Load { guilds, members } => {
            if guilds > load::MAX_GUILDS || members > load::MAX_MEMBERS {
                let error = format!("{guilds} servers of {members} members are too many");
                return Err(bad(
                    error,
                    format!("at most {} servers of {} members", load::MAX_GUILDS, load::MAX_MEMBERS),
                ));
            }
            let added = app.world.write(|state| load::load(state, guilds, members));
            let first = load::guild_id(0);
            Ok(Json(json!({
                "added": added, "guilds": guilds, "members": members,
                "first": {"guild_id": first, "role_id": load::role_id(first), "channel_id": load::channel_id(first)},
                "step": (1_u64 << 22).to_string(),
                "first_user_id": load::person_id(0),
            })))
        }
        SeedRequest::Server { guild } => {
            let made = app.world.write(|state| seed::build(state, &guild))?;
            Ok(Json(json!({"guilds": [made], "guild": made})))
        }
    }
}

impl From<SeedError> for ControlError {
    fn from(error: SeedError) -> Self {
        match error {
            SeedError::Taken { .. } => conflict(error.to_string(), "omit the id, or start a new emulator"),
            SeedError::Unknown { .. } => bad(
                error.to_string(),
                "names refer to objects of the same description: check the spelling",
            ),
            SeedError::Invalid { .. } => bad(error.to_string(), "change the value that is named"),
        }
    }
}
