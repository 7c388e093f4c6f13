//! Calls to Discord's REST API.
//!
//! [`Transport`] sends one request once: [`Https`] with a bot token, [`Proxy`] through the discord-proxy. [`Discord`] uses either:
//! it keeps the rate limits, retries what may be retried, and reports what it waits for. What Discord's responses mean is decided in
//! `arrakis-discord-http`. This module does not depend on the kinds of resources.

mod body;
mod client;
mod endpoint;
mod error;
mod https;
mod limits;
mod pace;
mod proxy;
mod reason;

use std::fmt::Debug;
use std::time::Duration;

use arrakis_discord_http::client::SendError as ExchangeError;
pub use arrakis_discord_http::{FieldError, Response};
use async_trait::async_trait;
pub use body::{Body, Upload};
use bytes::Bytes;
pub use client::{Discord, RetryPolicy};
pub use endpoint::ENDPOINTS;
pub use error::CallError;
use http::{HeaderMap, HeaderValue, Method};
pub use https::{Https, HttpsError, Token};
pub use pace::{PACE, Pace};
pub use proxy::{Proxy, ProxyCaller, ProxySetupError};
pub use reason::{REASON_LENGTH, Reason};

/// A request, without what a transport adds (address, authorization, user agent).
#[derive(Clone, Debug)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Path below the API's base, with the slash: `/guilds/1/roles`.
    pub path: String,
    /// Body.
    pub body: Option<Body>,
    /// Reason for Discord's audit log.
    pub reason: Option<Reason>,
}

impl Request {
    /// The request for an API at `base`, which has no slash at its end. `headers` are the transport's.
    ///
    /// # Errors
    /// When the body cannot be encoded.
    fn build(
        &self,
        client: &reqwest::Client,
        base: &str,
        mut headers: HeaderMap,
    ) -> Result<reqwest::RequestBuilder, SendError> {
        if let Some(reason) = &self.reason
            && let Ok(value) = HeaderValue::from_str(reason.as_str())
        {
            headers.insert("x-audit-log-reason", value);
        }
        let built = client
            .request(self.method.clone(), format!("{base}{}", self.path))
            .headers(headers);
        match &self.body {
            Some(body) => body.attach(built),
            None if self.method == Method::GET => Ok(built),
            // Discord requires `Content-Length: 0`.
            None => Ok(built.body(Bytes::new())),
        }
    }
}

/// Bound of opening a connection: beyond it no byte of the request was sent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Bound of a call.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);
/// Largest response: 500 channels with 100 overwrites each are about 8 MB.
const MAX_BODY: usize = 32 << 20;

/// Why no complete response was received.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// No byte of the request was sent, so the call cannot have taken effect.
    #[error("{0}")]
    NotSent(String),
    /// The request, or a part of it, was sent: the call may have taken effect.
    #[error("{0}")]
    Lost(String),
    /// The discord-proxy refused the call and did not send it to Discord; the same call would be refused again.
    #[error("{0}")]
    Denied(String),
    /// The kill switch is on, or the community is frozen: the discord-proxy did not send the call, and sends the same call when that ends.
    #[error("{0}")]
    Stopped(String),
}

impl From<ExchangeError> for SendError {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::NotSent(reason) => Self::NotSent(reason),
            ExchangeError::ResponseLost(reason) => Self::Lost(reason),
        }
    }
}

/// Sends each request once; retries are decided by [`Discord`].
#[async_trait]
pub trait Transport: Debug + Send + Sync {
    /// Sends a request.
    ///
    /// # Errors
    /// No complete response was received; the variant states whether the call can have taken effect.
    async fn send(&self, request: &Request) -> Result<Response, SendError>;

    /// Whether the transport itself keeps Discord's global limit, together with all other users of the token.
    fn has_shared_limits(&self) -> bool {
        false
    }
}
