//! The outcome of a request, its response and its value of the metrics' label.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};

/// The response to a PING: callback type 1.
const PONG: &str = r#"{"type":1}"#;

/// The outcome of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The broker has confirmed the interaction.
    Published,
    /// Discord checks the endpoint.
    Ping,
    /// The signature or the timestamp is missing, or none by its form: Discord sends no such request.
    Unsigned,
    /// The signature is invalid.
    Signature,
    /// The signature is valid and of another time.
    Timestamp,
    /// The body is too large.
    TooLarge,
    /// The body is incomplete.
    CutOff,
    /// The signature is valid, and the body is no interaction.
    Malformed,
    /// The bodies in memory exceed their limit.
    Busy,
    /// The broker has not confirmed the interaction in time.
    Unavailable,
}

impl Outcome {
    /// Every outcome.
    pub(crate) const ALL: [Self; 10] = [
        Self::Published,
        Self::Ping,
        Self::Unsigned,
        Self::Signature,
        Self::Timestamp,
        Self::TooLarge,
        Self::CutOff,
        Self::Malformed,
        Self::Busy,
        Self::Unavailable,
    ];

    /// Value of the label `outcome`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Ping => "ping",
            Self::Unsigned => "unsigned",
            Self::Signature => "signature",
            Self::Timestamp => "timestamp",
            Self::TooLarge => "too_large",
            Self::CutOff => "cut_off",
            Self::Malformed => "malformed",
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
        }
    }

    /// Status and text of the response.
    const fn status(self) -> (StatusCode, &'static str) {
        match self {
            // Discord requires a 202 without a body when the first response is sent to the callback endpoint.
            // https://discord.com/developers/docs/interactions/receiving-and-responding#interaction-callback
            Self::Published => (StatusCode::ACCEPTED, ""),
            Self::Ping => (StatusCode::OK, PONG),
            Self::Unsigned | Self::Signature => (StatusCode::UNAUTHORIZED, "invalid request signature"),
            Self::Timestamp => (StatusCode::UNAUTHORIZED, "the request is too old"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
            Self::CutOff => (StatusCode::BAD_REQUEST, "the body is incomplete"),
            Self::Malformed => (StatusCode::BAD_REQUEST, "the body is no interaction"),
            Self::Busy | Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "temporarily unavailable"),
        }
    }
}

impl IntoResponse for Outcome {
    fn into_response(self) -> Response {
        let (status, text) = self.status();
        let kind = match self {
            Self::Ping => "application/json",
            _ => "text/plain",
        };
        if text.is_empty() {
            return status.into_response();
        }
        (status, [(header::CONTENT_TYPE, kind)], text).into_response()
    }
}
