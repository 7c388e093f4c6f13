//! Sends one attempt to Discord and says what came back, or what can have happened when nothing did.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrakis_causes::causes_below;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use reqwest::redirect::Policy;
use url::Url;

use crate::call::Call;
use crate::token::BotToken;

/// As Discord asks (<https://discord.com/developers/docs/reference#user-agent>).
const USER_AGENT: &str = concat!(
    "DiscordBot (",
    env!("CARGO_PKG_REPOSITORY"),
    ", ",
    env!("CARGO_PKG_VERSION"),
    ")"
);
/// Bound of a connection's beginning: beyond it nothing was sent.
const CONNECT: Duration = Duration::from_secs(3);
/// A connection idle for longer may be closed by the other side just as we write to it.
const IDLE: Duration = Duration::from_secs(30);
/// Largest answer: a thousand members are about a megabyte.
const LARGEST: usize = 64 << 20;

/// Headers of one connection ([RFC 9110, 7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1)), and those that were
/// Discord's words to us alone.
const KEPT: [HeaderName; 10] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::SET_COOKIE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::WWW_AUTHENTICATE,
];

/// What Discord answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers that callers may see.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

/// What became of an attempt.
#[derive(Debug, Clone)]
pub(crate) enum Sent {
    /// An answer came whole.
    Answered(Answer),
    /// Nothing left this machine.
    Not(String),
    /// Something left, and no whole answer came: it may have taken effect.
    Lost(String),
}

/// Discord's API.
#[derive(Debug)]
pub(crate) struct Upstream {
    client: reqwest::Client,
    base: String,
    token: Arc<BotToken>,
}

/// Discord's API cannot be called with these settings.
#[derive(Debug)]
pub(crate) struct NoClient(reqwest::Error);

impl fmt::Display for NoClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the HTTP client cannot be built: {}", self.0)
    }
}

impl std::error::Error for NoClient {}

impl Upstream {
    /// A client with connections of its own.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub(crate) fn new(base: &Url, token: Arc<BotToken>) -> Result<Self, NoClient> {
        let mut builder = reqwest::Client::builder();
        if is_loopback(base) {
            // A proxy that the environment names is for the world outside, not for an emulator on this machine.
            builder = builder.no_proxy();
        }
        let client = builder
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT)
            .pool_idle_timeout(IDLE)
            .redirect(Policy::none())
            .referer(false)
            // What may be repeated is decided in forward.rs and nowhere else.
            .retry(reqwest::retry::never())
            .build()
            .map_err(NoClient)?;
        Ok(Self {
            client,
            base: base.as_str().trim_end_matches('/').to_owned(),
            token,
        })
    }

    /// Sends the call once.
    pub(crate) async fn send(&self, call: &Call, patience: Duration) -> Sent {
        let url = format!("{}{}", self.base, call.path_and_query);
        let mut request = self
            .client
            .request(call.method.clone(), url)
            .headers(call.headers.clone());
        if call.route.lane.needs_token() {
            request = request.header(header::AUTHORIZATION, self.token.authorization());
        }
        if !call.body.is_empty() {
            request = request.body(call.body.clone());
        } else if call.method != http::Method::GET {
            // Discord wants to be told that there is no body.
            request = request.header(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        match tokio::time::timeout(patience, exchange(request)).await {
            Ok(sent) => sent,
            Err(_) => Sent::Lost(format!("no answer within {} ms", patience.as_millis())),
        }
    }
}

fn is_loopback(base: &Url) -> bool {
    match base.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

async fn exchange(request: reqwest::RequestBuilder) -> Sent {
    let mut response = match request.send().await {
        Ok(response) => response,
        Err(error) if error.is_connect() || error.is_builder() => return Sent::Not(words(&error)),
        Err(error) => return Sent::Lost(words(&error)),
    };
    let status = response.status();
    if status.is_informational() {
        // As the end of an exchange it is no answer; passed on, it would end the caller's connection.
        return Sent::Lost(format!("{status} came in place of an answer"));
    }
    let mut body = BytesMut::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= LARGEST => body.extend_from_slice(&chunk),
            Ok(Some(_)) => return Sent::Lost(format!("the answer is larger than {LARGEST} bytes")),
            Ok(None) => break,
            Err(error) => return Sent::Lost(format!("the answer ({status}) was cut off: {}", words(&error))),
        }
    }
    let headers = std::mem::take(response.headers_mut());
    let seen = |name: &HeaderName| !KEPT.contains(name) && !name.as_str().starts_with("x-arrakis-");
    Sent::Answered(Answer {
        status,
        headers: headers
            .iter()
            .filter(|(name, _)| seen(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        body: body.freeze(),
    })
}

/// An error with its causes, without the URL: it may hold an interaction's token.
fn words(error: &reqwest::Error) -> String {
    causes_below(error).unwrap_or_else(|| "the request failed".to_owned())
}
