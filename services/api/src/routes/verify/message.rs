//! `POST /verify/{token}/message`: the text that a wallet is to sign.

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::refusal::{NoSession, PageBody, RefusalBody, Refusals, answer};
use crate::body::JsonBody;
use crate::openapi::EveryRoute;
use crate::problem::ProblemBody;
use crate::services::ApiState;

/// The wallet that is to sign.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessageRequest {
    /// Its address
    address: String,
    /// The chain that it has selected
    chain_id: u64,
}

/// A text to sign.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it describes `MessageView` for the OpenAPI document")]
pub(crate) struct SignInMessage {
    /// The text, a Sign-In with Ethereum message (EIP-4361)
    message: String,
}

/// Text to sign
///
/// Changes nothing.
#[utoipa::path(
    post,
    path = "/verify/{token}/message",
    tag = "verification",
    params(("token" = String, Path, description = "Token of a session; a secret")),
    request_body = MessageRequest,
    responses(
        (status = 200, description = "The text", body = SignInMessage), PageBody, NoSession, Refusals,
        EveryRoute,
        (status = 429, description = "Too many requests, or attempts of the session", content((ProblemBody = "application/problem+json"), (RefusalBody = "application/json"))),
        (status = 503, description = "A dependency or the chain is unavailable", content((ProblemBody = "application/problem+json"), (RefusalBody = "application/json")))
    )
)]
pub(crate) async fn message(
    State(services): State<ApiState>,
    Path(token): Path<String>,
    JsonBody(request): JsonBody<MessageRequest>,
) -> Response {
    let now = OffsetDateTime::now_utc();
    let text = services
        .verification
        .message(&token, &request.address, request.chain_id, now);
    answer(text.await)
}
