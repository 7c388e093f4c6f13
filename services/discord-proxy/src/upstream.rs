//! Sends one attempt to Discord.

use std::sync::Arc;
use std::time::Duration;

use arrakis_discord_http::Response;
use arrakis_discord_http::client::{SendError, client_builder, exchange};
use http::{HeaderName, HeaderValue, header};
use url::Url;

use crate::call::Call;
use crate::token::BotToken;

/// Bound of opening a connection: beyond it no byte of the request was sent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Largest response in bytes: a thousand members are about a megabyte.
const MAX_BODY: usize = 64 << 20;

/// Headers of a response that callers do not receive: those of one connection
/// ([RFC 9110, 7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1)), and those that concern only the proxy.
const WITHHELD: [HeaderName; 10] = [
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

/// The result of an attempt: a complete response, or why none was received.
pub(crate) type AttemptResult = Result<Response, SendError>;

/// Discord's API.
#[derive(Debug)]
pub(crate) struct Upstream {
    client: reqwest::Client,
    base: String,
    token: Arc<BotToken>,
}

impl Upstream {
    /// A client with its own connections.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub(crate) fn new(base: &Url, token: Arc<BotToken>) -> Result<Self, reqwest::Error> {
        Ok(Self {
            client: client_builder(std::slice::from_ref(base), CONNECT_TIMEOUT).build()?,
            base: base.as_str().trim_end_matches('/').to_owned(),
            token,
        })
    }

    /// Sends the call once.
    pub(crate) async fn send(&self, call: &Call, timeout: Duration) -> AttemptResult {
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
            // Discord requires it.
            request = request.header(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let mut response = exchange(request, timeout, MAX_BODY).await?;
        let passed = |name: &HeaderName| !WITHHELD.contains(name) && !name.as_str().starts_with("x-arrakis-");
        response.headers = response
            .headers
            .iter()
            .filter(|(name, _)| passed(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Ok(response)
    }
}
