//! Calls to Discord as a worker makes them, straight to a chosen proxy, and what the emulator saw of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, ensure};
use arrakis_emulator_client::RestCall;
use reqwest::Method;
use serde_json::Value;
use tokio::task::{JoinHandle, JoinSet};

use crate::chaos::Stage;

/// A caller with the worker's credential.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    proxies: Vec<String>,
    credential: &'static str,
    deadline_ms: u64,
    http: reqwest::Client,
}

/// What a proxy answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: u16,
    /// What the proxy says of an answer of its own.
    pub proxy_error: Option<String>,
    pub body: Value,
}

impl Answer {
    /// Itself, when it has this status.
    pub(super) fn must_be(self, status: u16) -> anyhow::Result<Self> {
        ensure!(
            self.status == status,
            "a call was to be answered {status} and was {self:?}"
        );
        Ok(self)
    }
}

impl Caller {
    /// A caller of the stage's proxies.
    pub(super) fn of(stage: &mut Stage) -> Self {
        let platform = stage.platform();
        Self {
            proxies: platform.proxy_urls(),
            credential: platform.credential(),
            deadline_ms: 12_000,
            http: reqwest::Client::new(),
        }
    }

    /// The same with another patience.
    pub(super) fn within(&self, deadline_ms: u64) -> Self {
        Self {
            deadline_ms,
            ..self.clone()
        }
    }

    /// A GET.
    pub(super) async fn get(&self, proxy: usize, path: &str) -> anyhow::Result<Answer> {
        self.call(proxy, Method::GET, path, Value::Null).await
    }

    /// A call, answered.
    pub(super) async fn call(&self, proxy: usize, method: Method, path: &str, body: Value) -> anyhow::Result<Answer> {
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
        Ok(Answer {
            status,
            proxy_error,
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        })
    }

    /// A call that is waited for later.
    pub(super) fn begin(
        &self,
        proxy: usize,
        method: Method,
        path: &str,
        body: Value,
    ) -> JoinHandle<anyhow::Result<Answer>> {
        let (caller, path) = (self.clone(), path.to_owned());
        tokio::spawn(async move { caller.call(proxy, method, &path, body).await })
    }

    /// One caller for each path asks again and again, by turns at every proxy.
    pub(super) fn keep_asking(&self, paths: Vec<String>) -> Asking {
        let stop = Arc::new(AtomicBool::new(false));
        let mut callers = JoinSet::new();
        for (number, path) in paths.into_iter().enumerate() {
            let (caller, stop) = (self.clone(), Arc::clone(&stop));
            callers.spawn(async move {
                let mut proxy = number;
                while !stop.load(Ordering::Relaxed) {
                    // Whatever is answered: the emulator judges.
                    let answer = caller.get(proxy, &path).await;
                    if !answer.is_ok_and(|answer| answer.proxy_error.is_none()) {
                        // A caller that is told to wait, or that finds nobody, does a little.
                        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    }
                    proxy += 1;
                }
            });
        }
        Asking { stop, callers }
    }
}

/// Callers at work.
#[derive(Debug)]
pub(super) struct Asking {
    stop: Arc<AtomicBool>,
    callers: JoinSet<()>,
}

impl Asking {
    /// They stop.
    pub(super) fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.callers.abort_all();
    }
}

/// The first REST call that `fits`, once the emulator has recorded it.
pub(super) async fn wait_for_call(stage: &mut Stage, fits: impl Fn(&RestCall) -> bool) -> anyhow::Result<RestCall> {
    let mut found = None;
    stage
        .until("a call at Discord", async |stage| {
            found = stage.discord().rest_calls().await?.into_iter().find(|call| fits(call));
            Ok(found.is_some())
        })
        .await?;
    found.context("no call fits")
}

/// A text channel of a server.
pub(super) async fn text_channel(stage: &mut Stage, guild: u64) -> anyhow::Result<u64> {
    let view = stage.discord().guild(guild).await?;
    let mut channels = view["channels"].as_array().into_iter().flatten();
    let id = channels
        .find(|channel| channel["type"] == 0)
        .and_then(|channel| channel["id"].as_str());
    Ok(id.with_context(|| format!("{guild} has no text channel"))?.parse()?)
}
