//! A response that the proxy makes itself: Discord's error form, and headers that identify it as the proxy's.

use std::time::Duration;

use arrakis_contracts::proxy::{self, ProxyError};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

/// Why the proxy responds itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The error.
    pub error: ProxyError,
    /// What is wrong, and how to correct it.
    pub message: String,
    /// How long the caller must wait before another call.
    pub retry_after: Option<Duration>,
    /// How many times the call was sent to Discord.
    pub attempts: u32,
}

impl Refusal {
    /// A refusal of a call that was not sent to Discord.
    pub(crate) fn new(error: ProxyError, message: impl Into<String>) -> Self {
        Self {
            error,
            message: message.into(),
            retry_after: None,
            attempts: 0,
        }
    }

    /// Sets how long the caller must wait.
    #[must_use]
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Sets how many times the call was sent to Discord.
    #[must_use]
    pub(crate) fn after(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Discord refuses the bot token.
    pub(crate) fn token_refused() -> Self {
        Self::new(
            ProxyError::TokenDead,
            "Discord refuses the bot token; calls that need it are not sent until Discord accepts it again or the proxy has a new \
             token: see the component token in the proxy's /health",
        )
    }

    /// Discord's edge requires a pause of all calls from this address.
    pub(crate) fn edge_pause(pause: Duration) -> Self {
        Self::new(
            ProxyError::WaitedTooLong,
            "Cloudflare in front of Discord limits this address: all calls are paused",
        )
        .retry_after(pause)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut body = json!({ "message": self.message, "code": 0, "proxy_error": self.error.name() });
        if let Some(wait) = self.retry_after {
            body["retry_after"] = json!(wait.as_millis() as f64 / 1_000.0);
        }
        if self.error == ProxyError::WaitedTooLong {
            body["global"] = json!(false);
        }
        let status = StatusCode::from_u16(self.error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(proxy::PROXY_ERROR, HeaderValue::from_static(self.error.name()));
        headers.insert(proxy::ATTEMPTS, self.attempts.into());
        if self.error == ProxyError::UnknownCaller {
            // A connection without a credential is not kept.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(wait) = self.retry_after {
            // Whole seconds, rounded up, so that the wait is over when the caller retries.
            let seconds = wait.as_millis().div_ceil(1_000).max(1);
            headers.insert(header::RETRY_AFTER, u64::try_from(seconds).unwrap_or(u64::MAX).into());
        }
        response
    }
}
