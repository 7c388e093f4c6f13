//! Answers of the page's requests.

use arrakis_causes::causes;
use arrakis_verification::{Refusal, VerificationError};
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use crate::envelope::OwnBody;
use crate::problem::ProblemBody;

/// Why a request of the page is refused; or a problem, which has no `message`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RefusalBody {
    /// The kind of refusal for programs
    #[schema(pattern = "^[a-z_]+$")]
    code: String,
    /// The text for the member
    message: String,
}

/// The refusal of a token without a session.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it describes responses for the OpenAPI document")]
pub(crate) enum NoSession {
    /// There is no session of this token
    #[response(status = 404)]
    Unknown(RefusalBody),
}

/// The refusal of a session whose account is suspended.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it describes responses for the OpenAPI document")]
pub(crate) enum SuspendedAccount {
    /// The account is suspended
    #[response(status = 422)]
    Suspended(RefusalBody),
}

/// Refusals of requests that need an open session.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it describes responses for the OpenAPI document")]
pub(crate) enum Refusals {
    /// The session has ended or was replaced
    #[response(status = 409)]
    Ended(RefusalBody),
    /// The session has expired
    #[response(status = 410)]
    Expired(RefusalBody),
    /// The account is suspended, or the address, the message or the signature is refused
    #[response(status = 422)]
    Refused(RefusalBody),
}

/// Problems of requests of the page that have a body.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it describes responses for the OpenAPI document")]
pub(crate) enum PageBody {
    /// The body is invalid
    #[response(status = 400, content_type = "application/problem+json")]
    Invalid(ProblemBody),
    /// The body is too large
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(ProblemBody),
    /// The body is not JSON
    #[response(status = 415, content_type = "application/problem+json")]
    NotJson(ProblemBody),
}

/// The response to a request of the wallet page: its result as JSON, or the refusal's status with `code` and `message`.
pub(crate) fn answer<T: Serialize>(result: Result<T, VerificationError>) -> Response {
    let error = match result {
        Ok(body) => return Json(body).into_response(),
        Err(error) => error,
    };
    if !matches!(error, VerificationError::Refused(_)) {
        tracing::error!(error = causes(&error), "a request of the wallet page failed");
    }
    let refusal: Refusal = error.shown();
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Json(refusal.body())).into_response();
    response.extensions_mut().insert(OwnBody { code: refusal.code() });
    response
}
