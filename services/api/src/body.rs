//! Extractors of query and body whose errors are problems.

use std::fmt::Display;

use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use bytes::BytesMut;
use futures_util::StreamExt as _;
use http::request::Parts;
use http::{HeaderMap, header};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize as _, Deserializer};

use crate::problem::{Problem, ProblemKind};
use crate::services::ApiState;

/// Largest body in bytes, unless a handler has another limit.
const MAX_BODY: usize = 16 << 10;
/// Longest reason of a change, in characters.
const MAX_REASON: usize = 500;

/// The problem of a parameter with an invalid value.
pub(crate) fn invalid_parameter(name: &str, reason: impl Display) -> Problem {
    Problem::new(ProblemKind::InvalidParameter, format!("{name}: {reason}"))
}

/// Refuses an empty reason, and one that is too long.
pub(crate) fn check_reason(reason: &str) -> Result<(), Problem> {
    let is_text = !reason.trim().is_empty() && !reason.chars().any(char::is_control);
    if !is_text || reason.chars().count() > MAX_REASON {
        let detail = format!("reason: it must have 1 to {MAX_REASON} characters and no control characters");
        return Err(Problem::new(ProblemKind::InvalidBody, detail));
    }
    Ok(())
}

/// The query. Its type refuses unknown parameters, which are probably mistyped.
#[derive(Debug)]
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<ApiState> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, Problem> {
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => {
                let detail = rejection.body_text();
                let detail = detail
                    .strip_prefix("Failed to deserialize query string: ")
                    .unwrap_or(&detail);
                Err(Problem::new(ProblemKind::InvalidParameter, detail))
            }
        }
    }
}

/// Deserializes a parameter that is a whole number from `MIN` to `MAX`.
///
/// # Errors
/// Any other text; the error states the range.
pub(crate) fn number<'de, D, T, const MIN: u64, const MAX: u64>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64>,
{
    let text = String::deserialize(deserializer)?;
    let number = text.parse::<u64>().ok().filter(|number| (MIN..=MAX).contains(number));
    let number = number.and_then(|number| T::try_from(number).ok());
    let refused = || D::Error::custom(format_args!("write a number from {MIN} to {MAX}"));
    number.map(Some).ok_or_else(refused)
}

/// A body of JSON of at most `MAX` bytes.
#[derive(Debug)]
pub(crate) struct JsonBody<T, const MAX: usize = MAX_BODY>(pub(crate) T);

impl<T: DeserializeOwned, const MAX: usize> FromRequest<ApiState> for JsonBody<T, MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &ApiState) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            let detail = "send the body with Content-Type: application/json";
            return Err(Problem::new(ProblemKind::UnsupportedMediaType, detail));
        }
        let bytes = receive(request, MAX).await?;
        let invalid =
            |error: &dyn Display| Problem::new(ProblemKind::InvalidBody, format!("the body is invalid: {error}"));
        let mut json = serde_json::Deserializer::from_slice(&bytes);
        // The error names the field.
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| invalid(&error))?;
        json.end().map_err(|error| invalid(&error))?;
        Ok(Self(value))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

/// Reads the body up to its limit. The listener has a limit of its time.
pub(crate) async fn receive(request: Request, max: usize) -> Result<BytesMut, Problem> {
    let too_large = || {
        Problem::new(
            ProblemKind::BodyTooLarge,
            format!("the body is larger than {max} bytes"),
        )
    };
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > max) {
        return Err(too_large());
    }
    let mut body = request.into_body().into_data_stream();
    let mut received = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let cut_off = |error| Problem::new(ProblemKind::InvalidBody, format!("the body was cut off: {error}"));
        let chunk = chunk.map_err(cut_off)?;
        if received.len() + chunk.len() > max {
            return Err(too_large());
        }
        received.extend_from_slice(&chunk);
    }
    Ok(received)
}
