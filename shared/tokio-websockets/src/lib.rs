//! tokio-websockets with a User-Agent in the handshake.
//!
//! Discord asks every client to send one (<https://discord.com/developers/docs/reference#user-agent>), and twilight-gateway has
//! no setting for the headers of its handshake. The root `Cargo.toml` therefore puts this crate in place of tokio-websockets:
//! it re-exports the original and adds one header to what [`ClientBuilder`] sends. It owns nothing else. When
//! twilight-gateway can be given headers, it goes.

use std::sync::OnceLock;

use http::HeaderValue;
use http::header::USER_AGENT;
use http::uri::InvalidUri;
use tokio::net::TcpStream;

pub use original::*;

static VALUE: OnceLock<HeaderValue> = OnceLock::new();

/// Sets the User-Agent of every handshake of this process. The first value stays.
///
/// # Panics
/// When the text holds characters that are not visible ASCII.
pub fn set_user_agent(value: &'static str) {
    let _ = VALUE.set(HeaderValue::from_static(value));
}

/// The original's builder of a client connection, with the User-Agent.
#[allow(missing_debug_implementations, reason = "the original has none")]
pub struct ClientBuilder<'a>(original::ClientBuilder<'a>);

impl ClientBuilder<'_> {
    /// A builder with the original's defaults and the User-Agent, if one is set.
    #[must_use]
    pub fn new() -> Self {
        let builder = original::ClientBuilder::new();
        let Some(value) = VALUE.get() else {
            return Self(builder);
        };
        // It fails only for headers that the handshake itself needs.
        Self(builder.add_header(USER_AGENT, value.clone()).unwrap_or_default())
    }
}

impl Default for ClientBuilder<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> ClientBuilder<'a> {
    /// Sets the address, `ws://` or `wss://`.
    ///
    /// # Errors
    /// When it is not a URI.
    pub fn uri(self, uri: &str) -> Result<Self, InvalidUri> {
        self.0.uri(uri).map(Self)
    }

    /// Sets the TLS connector.
    #[must_use]
    pub fn connector(self, connector: &'a Connector) -> Self {
        Self(self.0.connector(connector))
    }

    /// Sets the limits of the connection.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self(self.0.limits(limits))
    }

    /// Connects and shakes hands.
    ///
    /// # Errors
    /// When connecting fails, the other side refuses, or no address is set.
    pub async fn connect(&self) -> Result<(WebSocketStream<MaybeTlsStream<TcpStream>>, upgrade::Response), Error> {
        self.0.connect().await
    }
}
