//! Calls to Discord through a chosen proxy, with a worker's credential, and the emulator's records of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, ensure};
use arrakis_emulator_client::RestCall;
use reqwest::Method;
use serde_json::Value;
use tokio::task::{JoinHandle, JoinSet};

use crate::chaos::Testbed;

/// A client of the proxies with the worker's credential.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    proxies: Vec<String>,
    credential: &'static str,
    deadline_ms: u64,
    http: reqwest::Client,
}

/// Response of a proxy.
#[derive(Debug)]
pub(super) struct ProxyResponse {
    pub status: u16,
    /// The header `x-arrakis-proxy-error`.
    pub proxy_error: Option<String>,
    pub body: Value,
}

impl ProxyResponse {
    /// Checks the status and returns the response.
    pub(super) fn expect_status(self, status: u16) -> anyhow::Result<Self> {
        ensure!(self.status == status, "expected status {status}, found {self:?}");
        Ok(self)
    }
}

impl Caller {
    /// A client of the testbed's proxies.
    pub(super) fn of(testbed: &mut Testbed) -> Self {
        let platform = testbed.platform();
        Self {
            proxies: platform.proxy_urls(),
            credential: platform.credential(),
            deadline_ms: 12_000,
            http: reqwest::Client::new(),
        }
    }

    /// The same with another deadline.
    pub(super) fn with_deadline(&self, deadline_ms: u64) -> Self {
        Self {
            deadline_ms,
            ..self.clone()
        }
    }

    /// Sends a GET.
    pub(super) async fn get(&self, proxy: usize, path: &str) -> anyhow::Result<ProxyResponse> {
        self.call(proxy, Method::GET, path, Value::Null).await
    }

    /// Sends a call and waits for the response.
    pub(super) async fn call(
        &self,
        proxy: usize,
        method: Method,
        path: &str,
        body: Value,
    ) -> anyhow::Result<ProxyResponse> {
        let url = format!("{}/api/v10{path}", self.proxies[proxy % self.proxies.len()]);
        let mut request = self.http.request(method, &url).bearer_auth(self.credential);
        request = request.header("x-arrakis-deadline-ms", self.deadline_ms);
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.with_context(|| url.clone())?;
        let status = answer.status().as_u16();
        let header = answer.headers().get("x-arrakis-proxy-error");
        let proxy_error = header.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = answer.bytes().await?;
        Ok(ProxyResponse {
            status,
            proxy_error,
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        })
    }

    /// Sends a call in the background.
    pub(super) fn begin(
        &self,
        proxy: usize,
        method: Method,
        path: &str,
        body: Value,
    ) -> JoinHandle<anyhow::Result<ProxyResponse>> {
        let (caller, path) = (self.clone(), path.to_owned());
        tokio::spawn(async move { caller.call(proxy, method, &path, body).await })
    }

    /// Starts one task for each path that calls it repeatedly, alternating between the proxies.
    pub(super) fn keep_calling(&self, paths: Vec<String>) -> PollingCallers {
        let stop = Arc::new(AtomicBool::new(false));
        let mut callers = JoinSet::new();
        for (number, path) in paths.into_iter().enumerate() {
            let (caller, stop) = (self.clone(), Arc::clone(&stop));
            callers.spawn(async move {
                let mut proxy = number;
                while !stop.load(Ordering::Relaxed) {
                    // The response does not matter: the emulator's records are checked.
                    let answer = caller.get(proxy, &path).await;
                    if !answer.is_ok_and(|answer| answer.proxy_error.is_none()) {
                        // Pause after a refusal or a failed connection.
                        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    }
                    proxy += 1;
                }
            });
        }
        PollingCallers { stop, callers }
    }
}

/// Tasks that call repeatedly.
#[derive(Debug)]
pub(super) struct PollingCallers {
    stop: Arc<AtomicBool>,
    callers: JoinSet<()>,
}

impl PollingCallers {
    /// Stops the tasks.
    pub(super) fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.callers.abort_all();
    }
}

/// Waits for a REST call in the emulator's ledger that `matches` accepts and returns the first one.
pub(super) async fn wait_for_call(
    testbed: &mut Testbed,
    matches: impl Fn(&RestCall) -> bool,
) -> anyhow::Result<RestCall> {
    let mut found = None;
    testbed
        .wait_until("a call at Discord", async |testbed| {
            let calls = testbed.discord().rest_calls().await?;
            found = calls.into_iter().find(|call| matches(call));
            Ok(found.is_some())
        })
        .await?;
    found.context("the call disappeared from the ledger")
}

/// A text channel of a server.
pub(super) async fn text_channel(testbed: &mut Testbed, guild: u64) -> anyhow::Result<u64> {
    let view = testbed.discord().guild(guild).await?;
    let mut channels = view["channels"].as_array().into_iter().flatten();
    let id = channels
        .find(|channel| channel["type"] == 0)
        .and_then(|channel| channel["id"].as_str());
    Ok(id.with_context(|| format!("{guild} has no text channel"))?.parse()?)
}
