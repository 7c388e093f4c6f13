//! `GET /verify/{token}/session`: the state of a session.

use axum::extract::{Path, State};
use axum::response::Response;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::refusal::{NoSession, RefusalBody, SuspendedAccount, answer};
use crate::openapi::EveryRoute;
use crate::problem::ProblemBody;
use crate::services::ApiState;

/// A session.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it describes `SessionView` for the OpenAPI document")]
pub(crate) struct Session {
    /// `open`, `signed`, `awaiting_consent`, `completed`, `refused`, `replaced` or `expired`
    state: String,
    /// The account for which a wallet is verified
    account: SessionAccount,
    /// The chain on which a contract wallet is checked
    chain_id: u64,
    /// When the session ends
    #[schema(format = DateTime, value_type = String)]
    expires_at: OffsetDateTime,
    /// Seconds until then
    seconds_left: u64,
    /// The wallet, once it has signed
    #[schema(required = true)]
    address: Option<String>,
}

/// The account of a session.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it describes `AccountView` for the OpenAPI document")]
pub(crate) struct SessionAccount {
    /// `discord` or `telegram`
    network: String,
    /// Its id
    id: String,
    /// Its name
    name: String,
}

/// State of a session
#[utoipa::path(
    get,
    path = "/verify/{token}/session",
    tag = "verification",
    params(("token" = String, Path, description = "Token of a session; a secret")),
    responses(
        (status = 200, description = "The session", body = Session), NoSession, SuspendedAccount,
        EveryRoute,
        (status = 429, description = "Too many requests, or attempts of the session", content((ProblemBody = "application/problem+json"), (RefusalBody = "application/json"))),
        (status = 503, description = "A dependency or the chain is unavailable", content((ProblemBody = "application/problem+json"), (RefusalBody = "application/json")))
    )
)]
pub(crate) async fn session(State(services): State<ApiState>, Path(token): Path<String>) -> Response {
    answer(services.verification.session(&token, OffsetDateTime::now_utc()).await)
}
