//! The application's interactions endpoint, as the developer portal sets it.

use arrakis_emulator_client::{InteractionsEndpoint, InteractionsEndpointChange};
use axum::{Json, extract::State};
use url::Url;

use super::response::{Body, ControlError, bad, conflict};
use crate::AppState;

/// The name of the setting in the application object.
const SETTING: &str = "interactions_endpoint_url";

pub(super) async fn show(State(app): State<AppState>) -> Json<InteractionsEndpoint> {
    Json(state_of(&app))
}

fn state_of(app: &AppState) -> InteractionsEndpoint {
    let url = app
        .world
        .read(|state| state.interactions_endpoint.as_ref().map(Url::to_string));
    InteractionsEndpoint {
        url,
        public_key: app.interactions.public_key(),
    }
}

/// Sets the address after the check that Discord makes, or removes it: then interactions come by the gateway.
pub(super) async fn change(
    State(app): State<AppState>,
    Body(change): Body<InteractionsEndpointChange>,
) -> Result<Json<InteractionsEndpoint>, ControlError> {
    let url = match change.url {
        Some(text) => {
            let what_to_do = "give an address as http://127.0.0.1:8050/interactions; the emulator speaks no TLS";
            let url = text
                .parse::<Url>()
                .map_err(|error| bad(format!("{text:?}: {error}"), what_to_do))?;
            if url.scheme() != "http" {
                return Err(bad(format!("{url} is not http://"), what_to_do));
            }
            let what_to_do = "start the endpoint with the public key of GET /control/interactions-endpoint";
            let checked = app.interactions.check(&app, &url).await;
            checked.map_err(|error| conflict(format!("{url} cannot be verified: {error}"), what_to_do))?;
            Some(url)
        }
        None => None,
    };
    app.world.write(|state| {
        let settings = &mut state.application.settings;
        match &url {
            Some(url) => drop(settings.insert(SETTING, url.as_str().into())),
            None => drop(settings.remove(SETTING)),
        }
        state.interactions_endpoint = url;
    });
    Ok(Json(state_of(&app)))
}
