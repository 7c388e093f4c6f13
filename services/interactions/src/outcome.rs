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
    /// A PING with a valid signature, by which Discord checks the endpoint.
    Ping,
    /// The signature is missing or has not 128 hexadecimal digits, or the timestamp is missing or has other characters than digits. Discord sends
    /// no such request.
    Unsigned,
    /// The signature has the right form, and is not of this timestamp and body by the application's key.
    Signature,
    /// The signature is valid, and the timestamp differs by more than 300 s from the system clock.
    Timestamp,
    /// The body is larger than 1 MiB.
    TooLarge,
    /// The body was not complete 2 s after the head, or the connection ended before.
    CutOff,
    /// The signature is valid, and the body is no interaction.
    Malformed,
    /// No memory for bodies is left: 48 MiB for the first 64 KiB of every body in progress, 16 MiB for the bytes behind them.
    Busy,
    /// The broker had not confirmed the interaction 2.5 s after the head of the request, or no queue takes it.
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
