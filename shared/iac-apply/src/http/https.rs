//! The transport with a token of its own: straight to Discord, or to an emulator of it.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use reqwest::redirect::Policy;
use url::Url;

use super::exchange::exchange;
use super::{Answer, Request, SendError, Transport};

/// As Discord asks (<https://discord.com/developers/docs/reference#user-agent>).
pub(super) const USER_AGENT: &str = concat!(
    "DiscordBot (",
    env!("CARGO_PKG_REPOSITORY"),
    ", ",
    env!("CARGO_PKG_VERSION"),
    ")"
);
/// Bound of a connection's beginning: beyond it nothing was sent.
pub(super) const CONNECT: Duration = Duration::from_secs(10);
/// Bound of a call; Discord gives up on its own side long before.
pub(super) const ANSWER: Duration = Duration::from_secs(60);
/// A connection idle for longer may be closed by the other side just as we write to it.
pub(super) const IDLE: Duration = Duration::from_secs(30);

/// A bot token. Never shown.
#[derive(Clone)]
pub struct Token(HeaderValue);

impl Token {
    /// Takes the token as the developer portal shows it; a `Bot ` before it is accepted.
    ///
    /// # Errors
    /// [`HttpsError::Token`] for text that cannot be one.
    pub fn new(token: &str) -> Result<Self, HttpsError> {
        let token = token.trim();
        let token = token.strip_prefix("Bot ").unwrap_or(token);
        if token.is_empty() || token == "Bot" || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(HttpsError::Token);
        }
        let mut value = HeaderValue::from_str(&format!("Bot {token}")).map_err(|_| HttpsError::Token)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// No client can be made.
#[derive(Debug, thiserror::Error)]
pub enum HttpsError {
    /// The token holds what no token holds.
    #[error(
        "the bot token is empty or holds spaces or control characters; copy it again from the developer portal, page \"Bot\""
    )]
    Token,
    /// TLS cannot be set up.
    #[error("the HTTPS client cannot be set up: {0}")]
    Client(#[from] reqwest::Error),
}

/// HTTPS, or HTTP for an emulator, with keep-alive.
#[derive(Debug)]
pub struct Https {
    client: reqwest::Client,
    base: String,
    token: Token,
    answer_within: Duration,
}

impl Https {
    /// Calls go to `base`, as in `https://discord.com/api/v10`.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(base: &Url, token: Token) -> Result<Self, HttpsError> {
        Ok(Self::over(Self::client(base)?, base, token))
    }

    /// The same over a client that [`Https::client`] made: for many servers, whose calls then share what is costly to set
    /// up.
    #[must_use]
    pub fn over(client: reqwest::Client, base: &Url, token: Token) -> Self {
        Self {
            client,
            base: base.as_str().trim_end_matches('/').to_owned(),
            token,
            answer_within: ANSWER,
        }
    }

    /// A client as Discord wants it.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn client(base: &Url) -> Result<reqwest::Client, HttpsError> {
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
            // What may be repeated is decided in client.rs and nowhere else.
            .retry(reqwest::retry::never())
            .build()?;
        Ok(client)
    }

    /// Gives an answer less time than the usual minute.
    #[must_use]
    pub const fn answer_within(mut self, bound: Duration) -> Self {
        self.answer_within = bound;
        self
    }
}

#[async_trait]
impl Transport for Https {
    async fn send(&self, request: &Request) -> Result<Answer, SendError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, self.token.0.clone());
        if let Some(reason) = &request.reason
            && let Ok(value) = HeaderValue::from_str(reason.as_str())
        {
            headers.insert("x-audit-log-reason", value);
        }
        let url = format!("{}{}", self.base, request.path);
        let built = self.client.request(request.method.clone(), url).headers(headers);
        let built = match &request.body {
            Some(body) => body.attach(built)?,
            None if request.method == http::Method::GET => built,
            // Discord wants to be told that there is no body.
            None => built.body(Bytes::new()),
        };
        exchange(built, self.answer_within).await
    }
}

pub(super) fn is_loopback(base: &Url) -> bool {
    match base.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_taken_with_or_without_its_scheme_and_never_shown() {
        let token = Token::new(" Bot abc.def \n").unwrap();
        assert_eq!(token.0, "Bot abc.def");
        assert_eq!(format!("{token:?}"), "[redacted]");
        for wrong in ["", "Bot ", "a b", "ü"] {
            assert!(Token::new(wrong).is_err(), "{wrong}");
        }
    }
}
