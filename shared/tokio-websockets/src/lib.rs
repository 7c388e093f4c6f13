//! tokio-websockets with a User-Agent in the handshake and bounds on received messages.
//!
//! Discord requires a User-Agent (<https://discord.com/developers/docs/reference#user-agent>), and twilight-gateway has no setting for
//! the headers of its handshake. It also reads messages of any size and decompresses them completely. The root `Cargo.toml` therefore
//! replaces tokio-websockets by this crate, which re-exports the original, adds one header to the handshake of [`ClientBuilder`], and
//! ends a connection at a message that is larger than 32 MiB, or would be after decompression. It is not needed any more when
//! twilight-gateway has settings for headers and limits.

mod inflation;

use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, ready};

use futures_util::{Sink, Stream};

use http::HeaderValue;
use http::header::USER_AGENT;
use http::uri::InvalidUri;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use inflation::{Inflation, MAX_BYTES};

pub use original::*;

static VALUE: OnceLock<HeaderValue> = OnceLock::new();

/// Sets the User-Agent of every handshake of this process. Later calls have no effect.
///
/// # Panics
/// When the text contains characters other than visible ASCII.
pub fn set_user_agent(value: &'static str) {
    let _ = VALUE.set(HeaderValue::from_static(value));
}

/// The original builder of a client connection, with the User-Agent.
#[allow(missing_debug_implementations, reason = "the original has no Debug")]
pub struct ClientBuilder<'a> {
    original: original::ClientBuilder<'a>,
    uri: String,
}

impl ClientBuilder<'_> {
    /// A builder with the original defaults, and the User-Agent if one is set.
    #[must_use]
    pub fn new() -> Self {
        let builder = original::ClientBuilder::new();
        let original = match VALUE.get() {
            // Only headers that the handshake itself uses are refused.
            Some(value) => builder.add_header(USER_AGENT, value.clone()).unwrap_or_default(),
            None => builder,
        };
        Self {
            original,
            uri: String::new(),
        }
    }
}

impl Default for ClientBuilder<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> ClientBuilder<'a> {
    /// Sets the address, `ws://` or `wss://`. Its query states the compression, whose output is bounded.
    ///
    /// # Errors
    /// The text is not a URI.
    pub fn uri(self, uri: &str) -> Result<Self, InvalidUri> {
        Ok(Self {
            original: self.original.uri(uri)?,
            uri: uri.to_owned(),
        })
    }

    /// Sets the TLS connector.
    #[must_use]
    pub fn connector(self, connector: &'a Connector) -> Self {
        Self {
            original: self.original.connector(connector),
            ..self
        }
    }

    /// Sets the limits of the connection, except the size of a message, which is 32 MiB.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self {
            original: self.original.limits(limits.max_payload_len(Some(MAX_BYTES))),
            ..self
        }
    }

    /// Connects and makes the handshake.
    ///
    /// # Errors
    /// The connection or the handshake fails, or no address is set.
    pub async fn connect(&self) -> Result<(WebSocketStream<MaybeTlsStream<TcpStream>>, upgrade::Response), Error> {
        let (original, response) = self.original.connect().await?;
        let stream = WebSocketStream {
            original,
            inflation: Inflation::of(&self.uri),
        };
        Ok((stream, response))
    }
}

/// The original stream of messages; it ends with an error at a message that is too large.
#[derive(Debug)]
pub struct WebSocketStream<T> {
    original: original::WebSocketStream<T>,
    inflation: Inflation,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream for WebSocketStream<T> {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(Pin::new(&mut self.original).poll_next(context));
        if let Some(Ok(message)) = &next
            && message.is_binary()
            && self.inflation.check(message.as_payload()).is_err()
        {
            let len = message.as_payload().len();
            tracing::error!(
                compressed_bytes = len,
                max_bytes = MAX_BYTES,
                "message from the gateway is too large after decompression: closing the connection"
            );
            return Poll::Ready(Some(Err(Error::PayloadTooLong {
                len,
                max_len: MAX_BYTES,
            })));
        }
        Poll::Ready(next)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Sink<Message> for WebSocketStream<T> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.original).poll_ready(context)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        Pin::new(&mut self.original).start_send(message)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.original).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.original).poll_close(context)
    }
}
