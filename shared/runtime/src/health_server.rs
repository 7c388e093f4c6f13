//! The health endpoints: `/livez` (the process runs), `/readyz` (it accepts work), `/health` (diagnostic JSON), `/metrics`
//! (Prometheus).

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};

use crate::health::HealthStatus;
use crate::runtime::Runtime;

/// The router of a service's health endpoints: `/livez`, `/readyz`, `/health` and `/metrics`.
pub fn health_router(runtime: Runtime) -> Router {
    Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .with_state(runtime)
}

fn code(status: HealthStatus) -> StatusCode {
    if status == HealthStatus::Down {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    }
}

async fn readyz(State(runtime): State<Runtime>) -> impl IntoResponse {
    // A load balancer must send no new work to a draining process.
    if runtime.shutdown.soft.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned());
    }
    let status = runtime.health.status();
    let mut text = runtime.health.unhealthy_components().join("\n");
    if status != HealthStatus::Down {
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
        runtime.render_metrics(),
    )
}
