//! [`Endpoint`]: one RPC endpoint with its health. Sends JSON-RPC requests within limits on time, size and number.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use alloy::primitives::U64;
use arrakis_config::is_loopback;
use bytes::BytesMut;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::failure::{Failure, Secrets};
use super::health::{EndpointState, Health, Permission};
use super::wire::{RpcRequest, RpcResponse};
use crate::config::ChainSettings;
use crate::error::{EndpointFailure, FailureKind};
use crate::logs::AdaptiveRange;
use crate::types::ChainId;

/// Health of one endpoint, for health pages and metrics.
#[derive(Debug, Clone, Serialize)]
pub struct EndpointHealth {
    /// Host, with a number where several endpoints share it.
    pub endpoint: String,
    /// Whether the endpoint is used.
    pub state: EndpointState,
    /// Failures since the last success that count towards a pause.
    pub consecutive_failures: u32,
    /// Kind of the last failure; kept after later successes, `None` before the first failure.
    pub last_failure: Option<FailureKind>,
    /// Description of the last failure, without secrets of the URL.
    pub last_error: Option<String>,
    /// Latest block that the endpoint reported.
    pub head: Option<u64>,
    /// Duration of the last successful request.
    pub latency: Option<Duration>,
    /// Blocks of the next request for logs.
    pub log_range: u64,
}

/// One RPC endpoint of a chain.
pub(crate) struct Endpoint {
    /// Position in the order of preference.
    pub(crate) index: usize,
    label: String,
    chain: ChainId,
    url: Url,
    secrets: Secrets,
    http: reqwest::Client,
    permits: Semaphore,
    settings: ChainSettings,
    health: Mutex<Health>,
    /// Blocks of a request for logs that this endpoint accepts.
    pub(crate) range: Mutex<AdaptiveRange>,
    next_id: AtomicU64,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    /// An endpoint that was not used so far. Sends nothing: its chain id is verified by the first request.
    pub(crate) fn new(index: usize, label: String, chain: ChainId, url: Url, settings: ChainSettings) -> Self {
        Self {
            index,
            label,
            chain,
            secrets: Secrets::of(&url),
            http: http_client(&url, &settings),
            url,
            permits: Semaphore::new(settings.max_requests.max(1)),
            settings,
            health: Mutex::new(Health::new()),
            range: Mutex::new(AdaptiveRange::new(settings.first_log_range, settings.max_log_range)),
            next_id: AtomicU64::new(1),
        }
    }

    /// Host, with a number where several endpoints share it.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// The present health, for health pages and metrics.
    pub(crate) fn health(&self) -> EndpointHealth {
        let health = self.health.lock();
        let last = health.last_failure.clone();
        EndpointHealth {
            endpoint: self.label.clone(),
            state: health.state(),
            consecutive_failures: health.consecutive_failures,
            last_failure: last.as_ref().map(|(kind, _)| *kind),
            last_error: last.map(|(_, detail)| detail),
            head: health.head.map(|(number, _)| number),
            latency: health.latency,
            log_range: self.range.lock().blocks(),
        }
    }

    /// `None` when a request may be sent now, otherwise the moment from which one may be sent. After a pause, the caller that gets
    /// `None` probes the endpoint.
    pub(super) fn paused_until(&self) -> Option<Instant> {
        let probe_time = self.settings.connect_timeout + self.settings.call_timeout;
        match self.health.lock().permission(Instant::now(), probe_time) {
            Permission::Send => None,
            Permission::NotBefore(moment) => Some(moment),
        }
    }

    /// End of the present pause, without probing.
    pub(crate) fn pause_end(&self) -> Option<Instant> {
        self.health.lock().pause_end()
    }

    /// The failure of an endpoint that is paused.
    pub(crate) fn paused(&self) -> EndpointFailure {
        let health = self.health.lock();
        let detail = health.last_failure.as_ref().map_or("", |(_, detail)| detail.as_str());
        self.failure(&Failure::new(FailureKind::Paused, format!("paused after: {detail}")))
    }

    /// This failure with the endpoint's label, as errors list it.
    pub(crate) fn failure(&self, failure: &Failure) -> EndpointFailure {
        EndpointFailure {
            endpoint: self.label.clone(),
            kind: failure.kind,
            detail: failure.detail.clone(),
        }
    }

    /// Sends a request after the chain id is verified. `T` may be an `Option`, for results that can be `null`.
    ///
    /// The failure is not recorded: the caller passes it to [`Endpoint::record`], because it may be a result for the caller.
    pub(crate) async fn request<T, P>(&self, method: &str, params: &P, timeout: Duration) -> Result<T, Failure>
    where
        T: DeserializeOwned,
        P: Serialize + Sync,
    {
        if !self.health.lock().verified {
            self.verify_chain().await?;
        }
        let begun = Instant::now();
        let result = self.exchange(method, params, timeout).await?;
        self.health.lock().succeeded(begun.elapsed());
        Ok(result)
    }

    /// Records a failure in the health, and logs the pause that it causes.
    pub(crate) fn record(&self, failure: &Failure) {
        let pause = self.health.lock().failed(failure, &self.settings, Instant::now());
        let (chain, endpoint, detail) = (self.chain.0, &self.label, &failure.detail);
        match pause {
            Some(pause) => tracing::warn!(
                chain,
                endpoint,
                pause_ms = pause.as_millis() as u64,
                failure = detail,
                "RPC endpoint paused"
            ),
            None => tracing::debug!(chain, endpoint, failure = detail, "request to RPC endpoint failed"),
        }
    }

    /// A head that is known to be at least this high, if it was read within `age`.
    pub(crate) fn recent_head(&self, age: Duration) -> Option<u64> {
        self.health
            .lock()
            .head
            .filter(|(_, read)| read.elapsed() <= age)
            .map(|(number, _)| number)
    }

    /// The latest block that the endpoint reported.
    pub(crate) fn last_head(&self) -> Option<u64> {
        self.health.lock().head.map(|(number, _)| number)
    }

    /// Records that the endpoint has reported this head now.
    pub(crate) fn saw_head(&self, number: u64) {
        self.health.lock().head = Some((number, Instant::now()));
    }

    async fn verify_chain(&self) -> Result<(), Failure> {
        let reported: U64 = self
            .exchange("eth_chainId", &[(); 0], self.settings.call_timeout)
            .await?;
        let reported = reported.to::<u64>();
        if reported != self.chain.0 {
            let detail = format!("the endpoint serves chain {reported} instead of chain {}", self.chain);
            return Err(Failure::new(FailureKind::WrongChain, detail));
        }
        self.health.lock().verified = true;
        Ok(())
    }

    async fn exchange<T, P>(&self, method: &str, params: &P, timeout: Duration) -> Result<T, Failure>
    where
        T: DeserializeOwned,
        P: Serialize + Sync,
    {
        let deadline = Instant::now() + timeout;
        let late = || {
            Failure::new(
                FailureKind::TimedOut,
                format!("no response to {method} within {timeout:?}"),
            )
        };
        let permit = timeout_at(deadline, self.permits.acquire()).await;
        let _permit = permit
            .map_err(|_| late())?
            .map_err(|_| Failure::transport("the client is closed"))?;
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let request = RpcRequest::new(id, method, params);
        let body = serde_json::to_vec(&request).map_err(|why| Failure::transport(format!("parameters: {why}")))?;
        let request = self
            .http
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        let sent = timeout_at(deadline, request.send()).await.map_err(|_| late())?;
        let mut response = sent.map_err(|error| Failure::transport(self.causes(&error)))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = match timeout_at(deadline, self.body(&mut response)).await {
            // The status alone decides what these mean.
            _ if decides_alone(status) => BytesMut::new(),
            Ok(body) => body?,
            Err(_) => return Err(late()),
        };
        let head = ResponseHead {
            method,
            id,
            status,
            headers: &headers,
        };
        read_result(&head, &body, &self.secrets)
    }

    async fn body(&self, response: &mut reqwest::Response) -> Result<BytesMut, Failure> {
        let max = self.settings.max_response;
        let too_large = || {
            Failure::new(
                FailureKind::TooLarge,
                format!("the response is larger than {max} bytes"),
            )
        };
        if response.content_length().is_some_and(|length| length > max as u64) {
            return Err(too_large());
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| Failure::transport(format!("the response was cut off: {}", self.causes(&error))))?
        {
            if body.len() + chunk.len() > max {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// The causes of an error without reqwest's own text, which contains the URL.
    fn causes(&self, error: &reqwest::Error) -> String {
        let causes = arrakis_causes::causes_below(error);
        self.secrets
            .redact(&causes.unwrap_or_else(|| "the request failed".to_owned()))
    }
}

/// A response without its body, with the request that it belongs to.
pub(crate) struct ResponseHead<'a> {
    /// JSON-RPC method of the request.
    pub(crate) method: &'a str,
    /// JSON-RPC id of the request, which the response must repeat.
    pub(crate) id: u64,
    /// HTTP status.
    pub(crate) status: StatusCode,
    /// HTTP headers.
    pub(crate) headers: &'a HeaderMap,
}

/// Decodes the result in the body of a response.
///
/// # Errors
/// The failure that the HTTP status or the JSON-RPC error stands for; [`FailureKind::Transport`] for a body that is not JSON-RPC;
/// [`FailureKind::Inconsistent`] for another id or a result of another type.
pub(crate) fn read_result<T: DeserializeOwned>(
    head: &ResponseHead<'_>,
    body: &[u8],
    secrets: &Secrets,
) -> Result<T, Failure> {
    let method = head.method;
    let Ok(mut rpc) = serde_json::from_slice::<RpcResponse<'_>>(body) else {
        return Err(if head.status.is_success() {
            Failure::transport(format!("the response to {method} is not JSON-RPC"))
        } else {
            Failure::of_status(head.status, head.headers)
        });
    };
    if let Some(error) = rpc.take_error() {
        return Err(Failure::of_rpc(error, secrets).with_retry_after(head.headers));
    }
    if !head.status.is_success() {
        return Err(Failure::of_status(head.status, head.headers));
    }
    if !rpc.has_id(head.id) {
        return Err(Failure::inconsistent(format!(
            "the response to {method} has another id than the request"
        )));
    }
    let result = rpc.result.map_or("null", serde_json::value::RawValue::get);
    serde_json::from_str(result)
        .map_err(|why| Failure::inconsistent(secrets.redact(&format!("malformed result of {method}: {why}"))))
}

fn decides_alone(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS
    )
}

/// Without redirects, which would send an API key to another host, and without reqwest's retries. Proxies that the environment names
/// are not used for an address of this machine.
fn http_client(url: &Url, settings: &ChainSettings) -> reqwest::Client {
    let builder = reqwest::Client::builder();
    let builder = if is_loopback(url) { builder.no_proxy() } else { builder };
    let client = builder
        .user_agent(concat!("arrakis/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(settings.connect_timeout)
        .pool_idle_timeout(Duration::from_secs(30))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .build();
    client.unwrap_or_default()
}
