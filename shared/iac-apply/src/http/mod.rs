//! Calls to Discord's REST API.
//!
//! [`Transport`] sends one request once: [`Https`] with a token of its own, [`Proxy`] through the
//! discord-proxy. [`Discord`] is on top of either: it keeps to the rate limits, repeats what may be repeated, and says what
//! it waits for. Refused here: any knowledge of resources.

mod body;
mod client;
mod endpoint;
mod error;
mod exchange;
mod https;
mod limits;
mod pace;
mod proxy;
mod reason;
mod route;

use std::fmt::Debug;

use async_trait::async_trait;
pub use body::{Body, Upload};
use bytes::Bytes;
pub use client::{Discord, Patience};
pub use endpoint::ENDPOINTS;
pub use error::{CallError, FieldError};
use http::{HeaderMap, Method, StatusCode};
pub use https::{Https, HttpsError, Token};
pub use pace::{PACE, Pace};
pub use proxy::{Proxy, ProxySetupError};
pub use reason::{REASON_LENGTH, Reason};

/// A request, without what a transport adds (address, token, user agent).
#[derive(Clone, Debug)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Below the API's base, with the slash: `/guilds/1/roles`.
    pub path: String,
    /// Body.
    pub body: Option<Body>,
    /// For the audit log.
    pub reason: Option<Reason>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, whole.
    pub body: Bytes,
}

/// No answer came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Nothing left this machine: nothing can have happened.
    #[error("{0}")]
    NotSent(String),
    /// Something left, and no whole answer came: it may have taken effect.
    #[error("{0}")]
    Lost(String),
    /// The discord-proxy refused it and did not send it to Discord; the same again would be refused again.
    #[error("{0}")]
    Denied(String),
}

/// Sends one request once, and decides nothing.
#[async_trait]
pub trait Transport: Debug + Send + Sync {
    /// Sends it.
    ///
    /// # Errors
    /// No whole answer came; the variant says whether anything can have happened.
    async fn send(&self, request: &Request) -> Result<Answer, SendError>;

    /// Whether it keeps Discord's global limit itself, together with all who use the same token.
    fn has_shared_limits(&self) -> bool {
        false
    }
}
