//! The transport through the discord-proxy, which holds the token and the rate limits that all of its callers share.
//!
//! The proxy itself retries what may be retried; a response that the proxy made instead of Discord has a header
//! (`arrakis_contracts::proxy`). A replica that cannot be reached, or is shutting down, has not sent the call: the next replica is
//! tried.

use std::fmt;
use std::time::Duration;

use arrakis_contracts::proxy::{DEADLINE_MS, PROXY_ERROR, ProxyError, TENANT, URGENCY, Urgency};
use arrakis_discord_http::ErrorBody;
use arrakis_discord_http::client::{client_builder, exchange};
use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, header};
use url::Url;

use super::{CONNECT_TIMEOUT, MAX_BODY, RESPONSE_TIMEOUT, Request, Response, SendError, Transport};

/// How long a call may wait in the proxy. Afterwards the proxy returns 429, which is handled like Discord's.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// Who sends calls through the proxy, as its `PROXY_CREDENTIALS` and allow-lists name it. Decides the advice of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyCaller {
    /// gaib, which can do without the proxy.
    Gaib,
    /// A worker, which has no token of its own.
    Worker,
}

impl ProxyCaller {
    /// What to do when the proxy has no such credential.
    const fn correct_the_credential(self) -> &'static str {
        match self {
            Self::Gaib => "set it to gaib's entry in the proxy's PROXY_CREDENTIALS",
            Self::Worker => {
                "set it, in the environment of the worker, to the worker's entry in the proxy's PROXY_CREDENTIALS, and restart the worker"
            }
        }
    }

    /// What to do when the caller may not send a call.
    const fn get_the_right(self) -> &'static str {
        match self {
            Self::Gaib => "use the credential of the caller gaib, or unset DISCORD_PROXY_URL to use DISCORD_TOKEN",
            Self::Worker => {
                "set DISCORD_PROXY_CREDENTIAL of the worker to the worker's entry in the proxy's PROXY_CREDENTIALS; if it is, deploy the \
                 discord-proxy of the worker's version, whose allow-list has the call"
            }
        }
    }
}

/// The transport through a proxy cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum ProxySetupError {
    /// The credential cannot be sent in a header.
    #[error("the credential for the discord-proxy is empty or holds spaces or control characters")]
    Credential,
    /// The client cannot be set up.
    #[error("the HTTP client for the discord-proxy cannot be set up: {0}")]
    Client(#[from] reqwest::Error),
}

/// Replicas of the discord-proxy.
pub struct Proxy {
    client: reqwest::Client,
    /// `http://host:port/api/v10`.
    replicas: Vec<String>,
    headers: HeaderMap,
    caller: ProxyCaller,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("replicas", &self.replicas)
            .finish_non_exhaustive()
    }
}

impl Proxy {
    /// Sends calls of `caller` to `replicas`, as in `http://127.0.0.1:8090`, for the server `guild`, which is the tenant by which the proxy
    /// shares its limits.
    ///
    /// # Errors
    /// The credential cannot be sent, or TLS cannot be set up.
    pub fn new(replicas: &[Url], caller: ProxyCaller, credential: &str, guild: u64) -> Result<Self, ProxySetupError> {
        if credential.is_empty() || !credential.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ProxySetupError::Credential);
        }
        let bearer = HeaderValue::from_str(&format!("Bearer {credential}"));
        let mut bearer = bearer.map_err(|_| ProxySetupError::Credential)?;
        bearer.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, bearer);
        headers.insert(TENANT, HeaderValue::from(guild));
        headers.insert(URGENCY, HeaderValue::from_static(Urgency::Bulk.name()));
        headers.insert(
            DEADLINE_MS,
            HeaderValue::from(u64::try_from(MAX_WAIT.as_millis()).unwrap_or(30_000)),
        );
        let client = client_builder(replicas, CONNECT_TIMEOUT).build()?;
        let base = |url: &Url| {
            let url = url.as_str().trim_end_matches('/');
            format!("{}/api/v10", url.strip_suffix("/api/v10").unwrap_or(url))
        };
        Ok(Self {
            client,
            replicas: replicas.iter().map(base).collect(),
            headers,
            caller,
        })
    }

    /// Sets the urgency of all calls, instead of [`Urgency::Bulk`].
    #[must_use]
    pub fn with_urgency(mut self, urgency: Urgency) -> Self {
        self.headers.insert(URGENCY, HeaderValue::from_static(urgency.name()));
        self
    }

    async fn try_replica(&self, replica: &str, request: &Request) -> Result<Response, SendError> {
        let built = request.build(&self.client, replica, self.headers.clone())?;
        // The proxy bounds the wait and the response of Discord itself.
        let response = exchange(built, MAX_WAIT + RESPONSE_TIMEOUT, MAX_BODY).await;
        let response = response.map_err(|error| match error.into() {
            SendError::NotSent(reason) => SendError::NotSent(format!("the discord-proxy at {replica}: {reason}")),
            SendError::Lost(reason) => SendError::Lost(format!("the discord-proxy at {replica}: {reason}")),
            refused @ (SendError::Denied(_) | SendError::Stopped(_)) => refused,
        })?;
        let name = response.headers.get(PROXY_ERROR).and_then(|name| name.to_str().ok());
        match name.map(str::to_owned) {
            None => Ok(response),
            Some(name) => proxy_error(self.caller, response, &name, request),
        }
    }
}

/// The meaning of a response that the proxy made itself, with the error `name`.
fn proxy_error(caller: ProxyCaller, response: Response, name: &str, request: &Request) -> Result<Response, SendError> {
    let message = ErrorBody::read(&response.body).message;
    let message = message.unwrap_or_else(|| name.to_owned());
    match ProxyError::from_name(name) {
        // Handled like a rate limit of Discord's; the response states how long to wait.
        Some(ProxyError::WaitedTooLong) => Ok(response),
        Some(ProxyError::ShuttingDown | ProxyError::Unreachable | ProxyError::InvalidRequestBudget) => Err(
            SendError::NotSent(format!("the discord-proxy reports {name}: {message}")),
        ),
        Some(ProxyError::UnknownCaller) => Err(SendError::Denied(format!(
            "the proxy refuses DISCORD_PROXY_CREDENTIAL; {}",
            caller.correct_the_credential()
        ))),
        Some(ProxyError::NotAllowed) => Err(SendError::Denied(format!(
            "this caller may not use {} {}: {message}; {}",
            request.method,
            request.path,
            caller.get_the_right()
        ))),
        Some(ProxyError::TokenDead) => Err(SendError::Denied(format!(
            "Discord refuses the proxy's bot token: {message}"
        ))),
        Some(ProxyError::BadRequest | ProxyError::BodyTooLarge) => Err(SendError::Denied(message)),
        Some(ProxyError::KillSwitch | ProxyError::Frozen) => Err(SendError::Stopped(message)),
        // An error that this version does not have: the call may have been sent.
        Some(ProxyError::OutcomeUnknown) | None => {
            Err(SendError::Lost(format!("the discord-proxy reports {name}: {message}")))
        }
    }
}

#[async_trait]
impl Transport for Proxy {
    async fn send(&self, request: &Request) -> Result<Response, SendError> {
        let mut last = SendError::NotSent("no discord-proxy is configured".to_owned());
        for replica in &self.replicas {
            match self.try_replica(replica, request).await {
                Err(error @ SendError::NotSent(_)) => last = error,
                other => return other,
            }
        }
        Err(last)
    }

    fn has_shared_limits(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{Method, StatusCode};

    use super::*;

    /// The reason of a call that the proxy has refused with this error.
    fn reason(caller: ProxyCaller, error: ProxyError) -> String {
        let response = Response {
            status: StatusCode::FORBIDDEN,
            headers: HeaderMap::new(),
            body: Bytes::from_static(b"{\"message\": \"no entry\"}"),
        };
        let request = Request {
            method: Method::POST,
            path: "/guilds/1/roles".to_owned(),
            body: None,
            reason: None,
        };
        match proxy_error(caller, response, error.name(), &request) {
            Err(SendError::Denied(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn operator_is_told_about_the_credential_of_the_caller() {
        let gaib = reason(ProxyCaller::Gaib, ProxyError::UnknownCaller);
        assert!(gaib.contains("gaib's entry"), "{gaib}");
        for error in [ProxyError::UnknownCaller, ProxyError::NotAllowed] {
            let worker = reason(ProxyCaller::Worker, error);
            assert!(
                worker.contains("the worker's entry in the proxy's PROXY_CREDENTIALS"),
                "{worker}"
            );
            assert!(
                !worker.contains("gaib") && !worker.contains("DISCORD_TOKEN"),
                "{worker}"
            );
        }
        let allowed = reason(ProxyCaller::Gaib, ProxyError::NotAllowed);
        assert!(allowed.contains("POST /guilds/1/roles: no entry"), "{allowed}");
    }
}
