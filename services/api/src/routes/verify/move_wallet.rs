//! `POST /verify/{token}/move`: asks the holder of a wallet for consent to its move.

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::refusal::{NoSession, PageBody, RefusalBody, Refusals, answer};
use super::signature::VerificationProgress;
use crate::body::JsonBody;
use crate::jobs::publish_after;
use crate::openapi::EveryRoute;
use crate::problem::ProblemBody;
use crate::services::ApiState;

/// A request without parameters.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MoveRequest {}

/// Request a wallet
///
/// The consent of the member who holds the wallet is requested. Possible after a signature of the wallet.
#[utoipa::path(
    post,
    path = "/verify/{token}/move",
    tag = "verification",
    params(("token" = String, Path, description = "Token of a session; a secret")),
    request_body = MoveRequest,
    responses(
        (status = 200, description = "The consent of the holder is requested", body = VerificationProgress), PageBody, NoSession, Refusals,
        EveryRoute,
        (status = 429, description = "Too many requests, or attempts of the session", content((ProblemBody = "application/problem+json"), (RefusalBody = "application/json"))),
        (status = 503, description = "A dependency or the chain is unavailable", content((ProblemBody = "application/problem+json"), (RefusalBody = "application/json")))
    )
)]
pub(crate) async fn move_wallet(
    State(services): State<ApiState>,
    Path(token): Path<String>,
    JsonBody(MoveRequest {}): JsonBody<MoveRequest>,
) -> Response {
    let now = OffsetDateTime::now_utc();
    answer(publish_after(&services, Box::pin(services.verification.request_move(&token, now))).await)
}
