//! The control API: acts as members, creates servers, moves the clock, arms faults, reads records.
//!
//! Owns what a test, a script or the page does to the emulated Discord. Loopback only, no authentication. Errors state what is
//! wrong and what to do. To add an endpoint, add a file with its handler and a line in [`router`]; the crate's README is the
//! reference.

mod clock;
mod faults;
mod gateway;
mod guilds;
mod interactions;
mod interactions_endpoint;
mod ledger;
mod load;
mod members;
mod messages;
mod names;
mod response;
mod seed;
mod structure;

use axum::{
    Json, Router,
    extract::State,
    routing::{delete, get, patch, post},
};
use serde_json::{Value, json};

use crate::AppState;

/// The control API, below `/control`.
pub(crate) fn router(app: AppState) -> Router {
    let routes = Router::new()
        .route("/health", get(health))
        .route("/addresses", get(addresses))
        .route("/seed", post(seed::seed))
        .route("/users", get(members::users).post(members::create_user))
        .route("/users/{user}", patch(members::edit_user))
        .route("/guilds", get(guilds::list))
        .route(
            "/guilds/{guild}",
            get(guilds::show).delete(guilds::remove).patch(guilds::edit),
        )
        .route("/guilds/{guild}/audit-log", get(guilds::audit_log))
        .route("/guilds/{guild}/members", get(members::list).post(members::join))
        .route(
            "/guilds/{guild}/members/{user}",
            get(members::show).delete(members::leave).patch(members::edit),
        )
        .route("/guilds/{guild}/bans/{user}", post(members::ban).delete(members::unban))
        .route("/guilds/{guild}/roles", post(structure::create_role))
        .route(
            "/guilds/{guild}/roles/{role}",
            patch(structure::edit_role).delete(structure::delete_role),
        )
        .route("/guilds/{guild}/channels", post(structure::create_channel))
        .route(
            "/guilds/{guild}/channels/{channel}",
            patch(structure::edit_channel).delete(structure::delete_channel),
        )
        .route(
            "/guilds/{guild}/channels/{channel}/messages",
            get(messages::list).post(messages::send),
        )
        .route(
            "/guilds/{guild}/channels/{channel}/messages/{message}/reactions",
            post(messages::react),
        )
        .route("/dms", post(messages::send_first_dm))
        .route(
            "/dms/{channel}/messages",
            get(messages::list_dm).post(messages::send_dm),
        )
        .route("/interactions", get(interactions::list).post(interactions::create))
        .route("/interactions/{interaction}", get(interactions::show))
        .route("/commands", get(interactions::commands))
        .route("/clock", get(clock::show).post(clock::change))
        .route("/outage", post(guilds::outage))
        .route("/faults", get(faults::list).post(faults::create).delete(faults::clear))
        .route("/faults/{fault}", delete(faults::remove))
        .route("/gateway", get(gateway::show).patch(gateway::change))
        .route(
            "/interactions-endpoint",
            get(interactions_endpoint::show).post(interactions_endpoint::change),
        )
        .route("/token/reset", post(gateway::reset_token))
        .route("/load", get(load::progress).post(load::start).delete(load::stop))
        .route("/load/results", get(load::results))
        .route("/load/events", get(load::events))
        .route("/ledger", get(ledger::read).post(ledger::switch))
        .route("/traffic", get(ledger::stream))
        .route("/stats", get(ledger::stats).delete(ledger::reset))
        .fallback(response::unknown_path)
        .method_not_allowed_fallback(response::wrong_method)
        .with_state(app);
    Router::new().nest("/control", routes)
}

async fn health(State(app): State<AppState>) -> Json<Value> {
    let (guilds, users) = app.world.read(|state| (state.guilds.len(), state.users.len()));
    Json(json!({"status": "ok", "guilds": guilds, "users": users, "connections": app.hub.connections()}))
}

async fn addresses(State(app): State<AppState>) -> Json<Value> {
    let (token, application) = app.world.read(|state| (state.token.clone(), state.application.id));
    Json(json!({
        "rest": app.addresses.rest,
        "gateway": app.addresses.gateway,
        "resume": app.addresses.resume,
        "control": app.addresses.control,
        "page": app.addresses.page,
        "application_id": application,
        "token": token,
    }))
}
