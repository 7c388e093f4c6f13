//! Responses of the control API: JSON, and errors that state what to do.

use axum::{
    Json,
    extract::{FromRequest, Request},
    response::{IntoResponse, Response},
};
use http::{Method, StatusCode, Uri};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::http_server::BODY_WITHIN;

/// A refused request, with the reason and what to do.
#[derive(Clone, Debug)]
pub(super) struct ControlError {
    status: StatusCode,
    error: String,
    what_to_do: String,
}

/// Result of a handler.
pub(super) type ControlResult = Result<Json<Value>, ControlError>;

/// The request is wrong: 400.
pub(super) fn bad(error: impl Into<String>, what_to_do: impl Into<String>) -> ControlError {
    ControlError {
        status: StatusCode::BAD_REQUEST,
        error: error.into(),
        what_to_do: what_to_do.into(),
    }
}

/// A named object does not exist: 404.
pub(super) fn missing(error: impl Into<String>, what_to_do: impl Into<String>) -> ControlError {
    ControlError {
        status: StatusCode::NOT_FOUND,
        ..bad(error, what_to_do)
    }
}

/// Discord's client would refuse this to the member: 403.
pub(super) fn forbidden(error: impl Into<String>, what_to_do: impl Into<String>) -> ControlError {
    ControlError {
        status: StatusCode::FORBIDDEN,
        ..bad(error, what_to_do)
    }
}

/// The object exists already: 409.
pub(super) fn conflict(error: impl Into<String>, what_to_do: impl Into<String>) -> ControlError {
    ControlError {
        status: StatusCode::CONFLICT,
        ..bad(error, what_to_do)
    }
}

impl IntoResponse for ControlError {
    fn into_response(self) -> Response {
        (
            self.status,
            Json(json!({"error": self.error, "what_to_do": self.what_to_do})),
        )
            .into_response()
    }
}

pub(super) async fn unknown_path(uri: Uri) -> ControlError {
    missing(
        format!("{uri} is not a path of the control API"),
        "the README lists all paths; GET /control/health is one",
    )
}

pub(super) async fn wrong_method(method: Method, uri: Uri) -> ControlError {
    let error = format!("{method} is not a method of {uri}");
    ControlError {
        status: StatusCode::METHOD_NOT_ALLOWED,
        ..bad(error, "see the table of the control API in the README")
    }
}

/// A JSON body. Unlike axum's extractor it accepts every content type, so that `curl -d` works without a header.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ControlError;

    async fn from_request(request: Request, _: &S) -> Result<Self, Self::Rejection> {
        let read = axum::body::to_bytes(request.into_body(), 32 * 1_024 * 1_024);
        let bytes = tokio::time::timeout(BODY_WITHIN, read)
            .await
            .map_err(|_| bad("the body did not arrive within 30 seconds", "send it at once"))?
            .map_err(|error| bad(format!("the body cannot be read: {error}"), "send at most 32 MiB"))?;
        let bytes = if bytes.is_empty() { b"{}".as_slice() } else { &bytes };
        serde_json::from_slice(bytes).map(Self).map_err(|error| {
            bad(
                format!("the body does not have the expected form: {error}"),
                "compare it with the example in the README",
            )
        })
    }
}
