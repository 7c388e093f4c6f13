//! An answer that the proxy makes by itself: Discord's shape of an error, and a header that says whose answer it is.

use std::time::Duration;

use arrakis_contracts::proxy::{self, ProxyError};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

/// Why the proxy answers by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Kind.
    pub error: ProxyError,
    /// What is wrong and what to do.
    pub message: String,
    /// When to come back.
    pub retry_after: Option<Duration>,
    /// How many times Discord was asked before.
    pub attempts: u32,
}

impl Refusal {
    /// A refusal before Discord was asked.
    pub(crate) fn new(error: ProxyError, message: impl Into<String>) -> Self {
        Self {
            error,
            message: message.into(),
            retry_after: None,
            attempts: 0,
        }
    }

    /// Says when to come back.
    #[must_use]
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Says how many times Discord was asked.
    #[must_use]
    pub(crate) fn after(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Discord refused the bot token.
    pub(crate) fn token_dead() -> Self {
        Self::new(
            ProxyError::TokenDead,
            "Discord refuses the bot token; nothing that needs it is sent until Discord accepts it again or the proxy has a new one: \
             see the component token in the proxy's /health",
        )
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
            // Whoever has no credential keeps no connection either.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(wait) = self.retry_after {
            // Whole seconds, rounded up: less would bring the caller back too early.
            let seconds = wait.as_millis().div_ceil(1_000).max(1);
            headers.insert(header::RETRY_AFTER, u64::try_from(seconds).unwrap_or(u64::MAX).into());
        }
        response
    }
}
