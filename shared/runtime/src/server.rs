//! `/livez` (the process itself), `/readyz` (may it take work), `/health` (diagnostic JSON), `/metrics` (Prometheus).

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};

use crate::health::Status;
use crate::start::Runtime;

/// The four endpoints of a service.
pub fn router(runtime: Runtime) -> Router {
    Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .with_state(runtime)
}

fn code(status: Status) -> StatusCode {
    if status == Status::Down {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    }
}

async fn readyz(State(runtime): State<Runtime>) -> impl IntoResponse {
    // A draining process must get no new work from whoever balances it.
    if runtime.shutdown.soft.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned());
    }
    let status = runtime.health.status();
    let mut text = runtime.health.troubles().join("\n");
    if status != Status::Down {
        text.insert_str(0, "ready\n");
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    (code(status), text)
}

async fn health(State(runtime): State<Runtime>) -> impl IntoResponse {
    let document = runtime
        .health
        .document(runtime.service.binary(), env!("CARGO_PKG_VERSION"));
    (code(runtime.health.status()), Json(document))
}

async fn metrics(State(runtime): State<Runtime>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        runtime.metrics.render(),
    )
}
