//! tokio-websockets with a User-Agent in the handshake and bounds on what is received.
//!
//! Discord asks every client to send one (<https://discord.com/developers/docs/reference#user-agent>), and twilight-gateway has
//! no setting for the headers of its handshake. It also reads messages of any size and decompresses them whole. The root
//! `Cargo.toml` therefore puts this crate in place of tokio-websockets: it re-exports the original, adds one header to what
//! [`ClientBuilder`] sends, and ends a connection at a message that is, or would become, larger than 32 MiB. It owns nothing
//! else. When twilight-gateway can be given headers and limits, it goes.

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

use inflation::{Inflation, MOST_BYTES};

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
pub struct ClientBuilder<'a> {
    original: original::ClientBuilder<'a>,
    uri: String,
}

impl ClientBuilder<'_> {
    /// A builder with the original's defaults and the User-Agent, if one is set.
    #[must_use]
    pub fn new() -> Self {
        let builder = original::ClientBuilder::new();
        let original = match VALUE.get() {
            // It fails only for headers that the handshake itself needs.
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
    /// Sets the address, `ws://` or `wss://`. What its query asks for as compression is what is bounded.
    ///
    /// # Errors
    /// When it is not a URI.
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

    /// Sets the limits of the connection. The one on a message's size is ours.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self {
            original: self.original.limits(limits.max_payload_len(Some(MOST_BYTES))),
            ..self
        }
    }

    /// Connects and shakes hands.
    ///
    /// # Errors
    /// When connecting fails, the other side refuses, or no address is set.
    pub async fn connect(&self) -> Result<(WebSocketStream<MaybeTlsStream<TcpStream>>, upgrade::Response), Error> {
        let (original, response) = self.original.connect().await?;
        let stream = WebSocketStream {
            original,
            inflation: Inflation::of(&self.uri),
        };
        Ok((stream, response))
    }
}

/// The original's stream of messages, without those that are too large.
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
                most_bytes = MOST_BYTES,
                "a message from the gateway is too large once it is decompressed: the connection ends"
            );
            return Poll::Ready(Some(Err(Error::PayloadTooLong {
                len,
                max_len: MOST_BYTES,
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
