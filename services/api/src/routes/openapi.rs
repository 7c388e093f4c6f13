//! `GET /openapi.json`: the description of all routes.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;

use crate::openapi::EveryRoute;
use crate::services::ApiState;

/// This document
#[utoipa::path(
    get,
    path = "/openapi.json",
    responses((status = 200, description = "An OpenAPI 3.1 document", body = Object), EveryRoute)
)]
pub(crate) async fn document(State(services): State<ApiState>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "public, max-age=300"),
    ];
    (headers, services.openapi.clone()).into_response()
}
