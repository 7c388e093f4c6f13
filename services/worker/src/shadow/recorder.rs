//! The end of a shadow worker's calls to Discord: a server of this process between the worker's client and the discord-proxies.
//!
//! GET is forwarded. Answers to interactions are kept and reported as successful. Any other call is refused as by a bot that lacks the permission,
//! and counted, since the answer that follows cannot be compared.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrakis_config::Secret;
use arrakis_contracts::proxy;
use arrakis_discord::DiscordConfig;
use arrakis_runtime::{HttpLimits, Runtime};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use url::Url;

/// Time limit of a forwarded call.
const FORWARD_LIMIT: Duration = Duration::from_secs(10);
/// Answers that nobody takes are dropped after this time.
const KEPT: Duration = Duration::from_secs(60);
/// Answers from which on old ones are looked for.
const MANY: usize = 1_000;
/// Files of an answer included.
const MAX_BODY: usize = 32 << 20;

/// What a shadow worker would have answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Answer {
    /// Type of the first response.
    pub(super) kind: Option<u64>,
    /// Flags of the first response.
    pub(super) flags: u64,
    /// The message: of the first response, changed by edits.
    pub(super) message: Value,
    /// Whether it has files, or was deleted: such an answer is not compared.
    pub(super) is_opaque: bool,
}

impl Answer {
    /// Whether Discord has a message to compare it with. A modal and suggestions are none.
    pub(super) fn is_comparable(&self) -> bool {
        !self.is_opaque && self.message.is_object() && matches!(self.kind, Some(4..=7))
    }
}

#[derive(Debug, Default)]
struct Recorded {
    /// By interaction token.
    answers: HashMap<String, (Instant, Answer)>,
    /// Number of calls that would have changed something, by trace id.
    effects: HashMap<String, (Instant, u32)>,
}

/// The server, and what it has recorded. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    recorded: Arc<Mutex<Recorded>>,
    http: reqwest::Client,
    proxies: Arc<[Url]>,
    credential: Secret,
    application: u64,
}

/// The trace id of a `traceparent`.
pub(super) fn trace(traceparent: &str) -> Option<&str> {
    traceparent.split('-').nth(1)
}

impl Recorder {
    /// Starts the server in front of the proxies of `config`, and sets its address in their place.
    ///
    /// # Errors
    /// If no port is free.
    pub(crate) async fn start(config: &mut DiscordConfig, runtime: &Runtime) -> anyhow::Result<Self> {
        let recorder = Self {
            recorded: Arc::default(),
            http: reqwest::Client::builder().timeout(FORWARD_LIMIT).build()?,
            proxies: config.proxies.clone().into(),
            credential: config.credential.clone(),
            application: config.application.get(),
        };
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        config.proxies = vec![Url::parse(&format!("http://{}", listener.local_addr()?))?];
        let router = Router::new()
            .fallback(respond)
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .with_state(recorder.clone());
        let server = runtime.http_server("shadow", HttpLimits::for_callers());
        tokio::spawn(server.serve(listener, router, runtime.shutdown.hard.clone()));
        Ok(recorder)
    }

    /// Removes and returns the answer to an interaction.
    pub(super) fn take(&self, token: &str) -> Option<Answer> {
        self.recorded.lock().answers.remove(token).map(|(_, answer)| answer)
    }

    /// Removes and returns the number of effects of a trace.
    pub(super) fn take_effects(&self, trace: &str) -> u32 {
        let removed = self.recorded.lock().effects.remove(trace);
        removed.map_or(0, |(_, effects)| effects)
    }

    /// Reads the answer that the workers that serve gave to an interaction; `None` if there is none, or it cannot be read at the moment.
    pub(super) async fn original(&self, token: &str) -> Option<Value> {
        let path = format!("/api/v10/webhooks/{}/{token}/messages/@original", self.application);
        let authorization = format!("Bearer {}", self.credential.expose());
        let authorization = HeaderValue::from_str(&authorization).ok()?;
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, authorization)]);
        let response = self.get(&path, &headers).await?;
        if response.status() != StatusCode::OK {
            return None;
        }
        response.json().await.ok()
    }

    /// Sends a GET to the first proxy that responds.
    async fn get(&self, path_and_query: &str, headers: &HeaderMap) -> Option<reqwest::Response> {
        for base in self.proxies.iter() {
            let url = format!("{}{path_and_query}", base.as_str().trim_end_matches('/'));
            match self.http.get(url).headers(headers.clone()).send().await {
                Ok(response) => return Some(response),
                // Without the URL: it may contain a token.
                Err(error) => tracing::warn!(error = %error.without_url(), "a discord-proxy does not respond"),
            }
        }
        None
    }

    fn change(&self, token: &str, change: impl FnOnce(&mut Answer)) {
        let mut recorded = self.recorded.lock();
        if recorded.answers.len() > MANY {
            recorded.answers.retain(|_, (at, _)| at.elapsed() < KEPT);
        }
        let entry = recorded.answers.entry(token.to_owned());
        change(&mut entry.or_insert_with(|| (Instant::now(), Answer::default())).1);
    }

    fn count_effect(&self, headers: &HeaderMap) {
        let traceparent = headers.get("traceparent").and_then(|value| value.to_str().ok());
        let Some(trace) = traceparent.and_then(trace) else {
            return;
        };
        let mut recorded = self.recorded.lock();
        if recorded.effects.len() > MANY {
            recorded.effects.retain(|_, (at, _)| at.elapsed() < KEPT);
        }
        let entry = recorded.effects.entry(trace.to_owned());
        entry.or_insert_with(|| (Instant::now(), 0)).1 += 1;
    }
}

async fn respond(
    State(recorder): State<Recorder>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if method == Method::GET {
        return forward(&recorder, &uri, headers).await;
    }
    let path = uri.path().trim_start_matches("/api/v10/").replace("%40", "@");
    let segments: Vec<&str> = path.split('/').collect();
    let read = serde_json::from_slice::<Value>(&body);
    match (method.as_str(), segments.as_slice()) {
        ("POST", ["interactions", _, token, "callback"]) => {
            recorder.change(token, |answer| first_response(answer, read.ok()));
            StatusCode::NO_CONTENT.into_response()
        }
        ("PATCH", ["webhooks", _, token, "messages", "@original"]) => {
            recorder.change(token, |answer| edit(answer, read.ok()));
            axum::Json(json!({})).into_response()
        }
        ("DELETE", ["webhooks", _, token, "messages", "@original"]) => {
            recorder.change(token, |answer| answer.is_opaque = true);
            StatusCode::NO_CONTENT.into_response()
        }
        // A follow-up is no part of the message that is compared.
        ("POST", ["webhooks", _, _]) => axum::Json(json!({})).into_response(),
        _ => {
            recorder.count_effect(&headers);
            let refused = json!({"message": "Missing Permissions", "code": 50_013});
            // As the proxy marks a response of Discord.
            (StatusCode::FORBIDDEN, [(proxy::ATTEMPTS, "1")], axum::Json(refused)).into_response()
        }
    }
}

fn first_response(answer: &mut Answer, body: Option<Value>) {
    let Some(mut body) = body else {
        answer.is_opaque = true;
        return;
    };
    answer.kind = body["type"].as_u64();
    let data = body["data"].take();
    answer.flags = data["flags"].as_u64().unwrap_or_default();
    if matches!(answer.kind, Some(4 | 7)) {
        answer.message = data;
    }
}

/// Changes the fields that the edit has, as Discord does. A body that is no JSON has files.
fn edit(answer: &mut Answer, body: Option<Value>) {
    let Some(Value::Object(fields)) = body else {
        answer.is_opaque = true;
        return;
    };
    if !answer.message.is_object() {
        answer.message = json!({});
    }
    for (key, value) in fields {
        answer.message[key] = value;
    }
}

async fn forward(recorder: &Recorder, uri: &Uri, mut headers: HeaderMap) -> Response {
    headers.remove(header::HOST);
    headers.remove(header::CONTENT_LENGTH);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let Some(response) = recorder.get(path, &headers).await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let status = response.status();
    let mut headers = response.headers().clone();
    for hop in [header::CONNECTION, header::TRANSFER_ENCODING, header::CONTENT_LENGTH] {
        headers.remove(hop);
    }
    match response.bytes().await {
        Ok(body) => (status, headers, body).into_response(),
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deferred_answer_is_its_edit() {
        let mut answer = Answer::default();
        first_response(&mut answer, Some(json!({"type": 5, "data": {"flags": 64}})));
        assert!(!answer.is_comparable(), "there is no message yet");
        edit(&mut answer, Some(json!({"content": "a", "embeds": []})));
        edit(&mut answer, Some(json!({"content": "b"})));
        assert!(answer.is_comparable());
        assert_eq!((answer.flags, &answer.message["content"]), (64, &json!("b")));
        edit(&mut answer, None);
        assert!(!answer.is_comparable(), "files are not compared");
    }

    #[test]
    fn modal_and_suggestions_are_not_compared() {
        for kind in [8, 9] {
            let mut answer = Answer::default();
            first_response(&mut answer, Some(json!({"type": kind, "data": {"title": "t"}})));
            assert!(!answer.is_comparable(), "{kind}");
        }
    }
}
