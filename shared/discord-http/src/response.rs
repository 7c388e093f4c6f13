//! A complete response, and the header by which Discord recognises us.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

/// Value of the `User-Agent` header in the form that Discord requires
/// (<https://discord.com/developers/docs/reference#user-agent>).
pub const USER_AGENT: &str = concat!(
    "DiscordBot (",
    env!("CARGO_PKG_REPOSITORY"),
    ", ",
    env!("CARGO_PKG_VERSION"),
    ")"
);

/// An HTTP response that was received completely.
#[derive(Debug, Clone)]
pub struct Response {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body; empty where there is none.
    pub body: Bytes,
}
