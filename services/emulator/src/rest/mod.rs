//! Discord's REST API, v10.

use axum::{Json, Router, extract::State, routing::get};
use serde_json::{Value, json};

use crate::AppState;

/// The whole REST API, below `/api/v10` (and the other spellings that Discord accepts).
pub fn router(app: AppState) -> Router {
    let routes = Router::new()
        .route("/gateway", get(gateway))
        .route("/gateway/bot", get(gateway_bot))
        .with_state(app);
    Router::new().nest("/api/v10", routes)
}

async fn gateway(State(app): State<AppState>) -> Json<Value> {
    Json(json!({"url": app.addresses.gateway}))
}

async fn gateway_bot(State(app): State<AppState>) -> Json<Value> {
    Json(json!({
        "url": app.addresses.gateway,
        "shards": app.recommended_shards(),
        "session_start_limit": app.hub.session_start_limit(&app.clock),
    }))
}
