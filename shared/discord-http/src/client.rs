//! One request sent by reqwest, and its complete response.

use std::time::Duration;

use bytes::BytesMut;
use http::StatusCode;
use reqwest::redirect::Policy;
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::response::{Response, USER_AGENT};

/// A connection that is idle for longer may be closed by the peer while a request is written to it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Why no complete response was received.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// No byte of the request was sent, so the call cannot have taken effect.
    #[error("{0}")]
    NotSent(String),
    /// The request, or a part of it, was sent: the call may have taken effect.
    #[error("{0}")]
    ResponseLost(String),
}

/// Whether the address is on this machine.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// A client for addresses of Discord's API or of a discord-proxy: with the User-Agent, without redirects and without retries.
/// Proxies named by the environment are not used when all addresses are on this machine (an emulator).
pub fn client_builder(addresses: &[Url], connect_timeout: Duration) -> reqwest::ClientBuilder {
    let builder = if addresses.iter().all(is_loopback) {
        reqwest::Client::builder().no_proxy()
    } else {
        reqwest::Client::builder()
    };
    builder
        .user_agent(USER_AGENT)
        .connect_timeout(connect_timeout)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .redirect(Policy::none())
        .referer(false)
        // Retries are decided by `Attempts` alone.
        .retry(reqwest::retry::never())
}

/// Sends a request once, and receives the response within `timeout` and up to `max_body` bytes.
///
/// # Errors
/// No complete response was received; of a 401 or 429 the headers suffice. A 1xx as the final status counts as none: passed on, it would end the caller's connection.
pub async fn exchange(
    request: reqwest::RequestBuilder,
    timeout: Duration,
    max_body: usize,
) -> Result<Response, SendError> {
    let deadline = Instant::now() + timeout;
    let late = || SendError::ResponseLost(format!("no response within {timeout:?}"));
    let sent = timeout_at(deadline, request.send()).await.map_err(|_| late())?;
    let mut response = sent.map_err(|error| {
        if error.is_connect() || error.is_builder() {
            SendError::NotSent(causes(&error))
        } else {
            SendError::ResponseLost(causes(&error))
        }
    })?;
    let status = response.status();
    if status.is_informational() {
        return Err(SendError::ResponseLost(format!(
            "status {status} was received instead of a final response"
        )));
    }
    let mut body = BytesMut::new();
    let lost = loop {
        match timeout_at(deadline, response.chunk()).await {
            Ok(Ok(Some(chunk))) if body.len() + chunk.len() <= max_body => body.extend_from_slice(&chunk),
            Ok(Ok(None)) => break None,
            Ok(Ok(Some(_))) => break Some(format!("the response is larger than {max_body} bytes")),
            Ok(Err(error)) => break Some(format!("the response ({status}) was cut off: {}", causes(&error))),
            Err(_) => break Some(late().to_string()),
        }
    };
    // The status and the headers alone decide what these two mean: the call was not carried out, and how long to wait.
    let needs_body = !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS);
    if let Some(reason) = lost.filter(|_| needs_body) {
        return Err(SendError::ResponseLost(reason));
    }
    Ok(Response {
        status,
        headers: std::mem::take(response.headers_mut()),
        body: body.freeze(),
    })
}

/// The causes of an error, without reqwest's own "error sending request" and without the URL, which may contain a token.
fn causes(error: &reqwest::Error) -> String {
    arrakis_causes::causes_below(error).unwrap_or_else(|| "the request failed".to_owned())
}
