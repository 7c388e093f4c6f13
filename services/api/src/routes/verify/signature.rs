//! `POST /verify/{token}/signature`: presents a signature.

use arrakis_verification::Submission;
use axum::extract::{Path, State};
use axum::response::Response;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::refusal::{NoSession, PageBody, RefusalBody, Refusals, answer};
use crate::body::JsonBody;
use crate::jobs::publish_after;
use crate::openapi::EveryRoute;
use crate::problem::ProblemBody;
use crate::services::ApiState;

/// Largest body in bytes: a contract wallet with many owners that is not deployed yet has a long signature.
const MAX_BODY: usize = 128 << 10;

/// A signature.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it describes `Submission` for the OpenAPI document")]
pub(crate) struct SignatureRequest {
    /// Address of the wallet
    address: String,
    /// The text that was signed; without it, the message that the session has for this address
    message: Option<String>,
    /// The signature: `0x` and hexadecimal digits
    signature: String,
}

/// How far the verification is.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it describes `Progress` for the OpenAPI document")]
pub(crate) struct VerificationProgress {
    /// `completed`; `signed`: another member holds the wallet; `awaiting_consent`: the consent of that member was requested
    state: String,
    /// The wallet
    address: String,
}

/// Present a signature
#[utoipa::path(
    post,
    path = "/verify/{token}/signature",
    tag = "verification",
    params(("token" = String, Path, description = "Token of a session; a secret")),
    request_body = SignatureRequest,
    responses(
        (status = 200, description = "The signature is accepted", body = VerificationProgress), PageBody, NoSession, Refusals,
        EveryRoute,
        (status = 429, description = "Too many requests, or attempts of the session", content((ProblemBody = "application/problem+json"), (RefusalBody = "application/json"))),
        (status = 503, description = "A dependency or the chain is unavailable", content((ProblemBody = "application/problem+json"), (RefusalBody = "application/json")))
    )
)]
pub(crate) async fn signature(
    State(services): State<ApiState>,
    Path(token): Path<String>,
    JsonBody(submission): JsonBody<Submission, MAX_BODY>,
) -> Response {
    let now = OffsetDateTime::now_utc();
    answer(
        publish_after(
            &services,
            Box::pin(services.verification.submit(&token, &submission, now)),
        )
        .await,
    )
}
