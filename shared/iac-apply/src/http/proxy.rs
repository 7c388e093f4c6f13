//! The transport through the discord-proxy, which holds the token and the rate limits that all of its callers share.
//!
//! The proxy repeats what is harmless by itself and reports by a header when it answers for Discord
//! (`arrakis_contracts::proxy`). A replica that cannot be reached, or is shutting down, has sent nothing: the next one is
//! tried.

use std::fmt;
use std::time::Duration;

use arrakis_contracts::proxy::{DEADLINE_MS, PROXY_ERROR, ProxyError, TENANT, URGENCY, Urgency};
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use reqwest::redirect::Policy;
use serde_json::Value;
use url::Url;

use super::exchange::exchange;
use super::https::{ANSWER, CONNECT, IDLE, USER_AGENT, is_loopback};
use super::{Answer, Request, SendError, Transport};

/// How long a call may wait in the proxy. It answers 429 then, which is waited for like any other.
const WAIT: Duration = Duration::from_secs(30);

/// No transport through a proxy can be made.
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
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("replicas", &self.replicas)
            .finish_non_exhaustive()
    }
}

impl Proxy {
    /// Calls go to `replicas`, as in `http://127.0.0.1:8090`, for the server `guild`: callers of the proxy take turns by server.
    ///
    /// # Errors
    /// The credential cannot be sent, or TLS cannot be set up.
    pub fn new(replicas: &[Url], credential: &str, guild: u64) -> Result<Self, ProxySetupError> {
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
            HeaderValue::from(u64::try_from(WAIT.as_millis()).unwrap_or(30_000)),
        );
        let mut builder = reqwest::Client::builder();
        if replicas.iter().all(is_loopback) {
            builder = builder.no_proxy();
        }
        let client = builder
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT)
            .pool_idle_timeout(IDLE)
            .redirect(Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .build()?;
        let base = |url: &Url| {
            let url = url.as_str().trim_end_matches('/');
            format!("{}/api/v10", url.strip_suffix("/api/v10").unwrap_or(url))
        };
        Ok(Self {
            client,
            replicas: replicas.iter().map(base).collect(),
            headers,
        })
    }

    async fn try_replica(&self, replica: &str, request: &Request) -> Result<Answer, SendError> {
        let mut headers = self.headers.clone();
        if let Some(reason) = &request.reason
            && let Ok(value) = HeaderValue::from_str(reason.as_str())
        {
            headers.insert("x-audit-log-reason", value);
        }
        if request.body.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let url = format!("{replica}{}", request.path);
        let built = self.client.request(request.method.clone(), url).headers(headers);
        let built = match &request.body {
            Some(body) => built.body(body.clone()),
            None if request.method == http::Method::GET => built,
            None => built.body(Bytes::new()),
        };
        // The proxy has its own bound for the wait and for the answer.
        let answer = exchange(built, WAIT + ANSWER).await.map_err(|error| match error {
            SendError::NotSent(why) => SendError::NotSent(format!("the discord-proxy at {replica}: {why}")),
            SendError::Lost(why) => SendError::Lost(format!("the discord-proxy at {replica}: {why}")),
            denied @ SendError::Denied(_) => denied,
        })?;
        let report = answer.headers.get(PROXY_ERROR).and_then(|name| name.to_str().ok());
        match report.map(str::to_owned) {
            None => Ok(answer),
            Some(report) => answered_by_proxy(answer, &report, request),
        }
    }
}

/// What an answer that the proxy made itself means for the call.
fn answered_by_proxy(answer: Answer, name: &str, request: &Request) -> Result<Answer, SendError> {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let message = body["message"].as_str().unwrap_or(name).to_owned();
    match ProxyError::from_name(name) {
        // A rate limit like any other; the answer says how long to wait.
        Some(ProxyError::WaitedTooLong) => Ok(answer),
        Some(ProxyError::ShuttingDown | ProxyError::Unreachable | ProxyError::InvalidRequestBudget) => Err(
            SendError::NotSent(format!("the discord-proxy reports {name}: {message}")),
        ),
        Some(ProxyError::UnknownCaller) => Err(SendError::Denied(
            "the proxy refuses DISCORD_PROXY_CREDENTIAL; set it to gaib's entry in the proxy's PROXY_CREDENTIALS"
                .to_owned(),
        )),
        Some(ProxyError::NotAllowed) => Err(SendError::Denied(format!(
            "this caller may not use {} {}: {message}; use the credential of the caller gaib, or unset DISCORD_PROXY_URL to \
             use DISCORD_TOKEN",
            request.method, request.path
        ))),
        Some(ProxyError::TokenDead) => Err(SendError::Denied(format!(
            "Discord refuses the proxy's bot token: {message}"
        ))),
        Some(ProxyError::BadRequest | ProxyError::BodyTooLarge) => Err(SendError::Denied(message)),
        // An unknown report may stand for anything.
        Some(ProxyError::OutcomeUnknown) | None => {
            Err(SendError::Lost(format!("the discord-proxy reports {name}: {message}")))
        }
    }
}

#[async_trait]
impl Transport for Proxy {
    async fn send(&self, request: &Request) -> Result<Answer, SendError> {
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
