//! The transport with a bot token: to Discord itself, or to an emulator of it.

use std::time::Duration;

use arrakis_discord_http::client::{client_builder, exchange};
use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, header};
use url::Url;

use super::{CONNECT_TIMEOUT, MAX_BODY, RESPONSE_TIMEOUT, Request, Response, SendError, Transport};

/// A bot token as the value of `Authorization`. `Debug` does not print it.
#[derive(Clone, Debug)]
pub struct Token(HeaderValue);

impl Token {
    /// Accepts the token as the developer portal shows it, with or without `Bot ` before it.
    ///
    /// # Errors
    /// [`HttpsError::Token`] for text that cannot be a token.
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

/// The client cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum HttpsError {
    /// The text is not a bot token.
    #[error(
        "the bot token is empty or holds spaces or control characters; copy it again from the developer portal, page \"Bot\""
    )]
    Token,
    /// TLS cannot be set up.
    #[error("the HTTPS client cannot be set up: {0}")]
    Client(#[from] reqwest::Error),
}

/// The transport to Discord by HTTPS, or to an emulator by HTTP, with keep-alive.
#[derive(Debug)]
pub struct Https {
    client: reqwest::Client,
    base: String,
    token: Token,
    response_timeout: Duration,
}

impl Https {
    /// Sends calls to `base`, as in `https://discord.com/api/v10`.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(base: &Url, token: Token) -> Result<Self, HttpsError> {
        Ok(Self::over(Self::client(base)?, base, token))
    }

    /// The same with a client that [`Https::client`] built: transports for many servers then share its connections.
    #[must_use]
    pub fn over(client: reqwest::Client, base: &Url, token: Token) -> Self {
        Self {
            client,
            base: base.as_str().trim_end_matches('/').to_owned(),
            token,
            response_timeout: RESPONSE_TIMEOUT,
        }
    }

    /// Builds a client for [`Https::over`].
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn client(base: &Url) -> Result<reqwest::Client, HttpsError> {
        Ok(client_builder(std::slice::from_ref(base), CONNECT_TIMEOUT).build()?)
    }

    /// Sets how long a call may take, instead of 60 s.
    #[must_use]
    pub const fn response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout;
        self
    }
}

#[async_trait]
impl Transport for Https {
    async fn send(&self, request: &Request) -> Result<Response, SendError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, self.token.0.clone());
        let request = request.build(&self.client, &self.base, headers)?;
        Ok(exchange(request, self.response_timeout, MAX_BODY).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_accepted_with_or_without_its_scheme_and_not_printed() {
        let token = Token::new(" Bot abc.def \n").unwrap();
        assert_eq!(token.0, "Bot abc.def");
        assert_eq!(format!("{token:?}"), "Token(Sensitive)");
        for wrong in ["", "Bot ", "a b", "ü"] {
            assert!(Token::new(wrong).is_err(), "{wrong}");
        }
    }
}
