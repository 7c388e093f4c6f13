//! A double of Slack: a server that answers calls of the Web API by their bytes, and a client that signs requests as Slack does.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrakis_test_support::eventually;
use aws_lc_rs::hmac;
use parking_lot::Mutex;
use reqwest::Method;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{Answer, TestApi};

pub(crate) const SIGNING_SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
pub(crate) const BOT_TOKEN: &str = "xoxb-test";
pub(crate) const CHANNEL: &str = "C1";

/// A call of the Web API.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) body: Value,
}

/// The double. Dropping it stops it.
pub(crate) struct SlackDouble {
    pub(crate) address: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
    errors: Arc<Mutex<VecDeque<&'static str>>>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for SlackDouble {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl SlackDouble {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let calls = Arc::<Mutex<Vec<Call>>>::default();
        let errors = Arc::<Mutex<VecDeque<&'static str>>>::default();
        let (kept, refused) = (Arc::clone(&calls), Arc::clone(&errors));
        let number = Arc::new(AtomicU64::new(1));
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (kept, refused, number) = (Arc::clone(&kept), Arc::clone(&refused), Arc::clone(&number));
                tokio::spawn(answer(stream, kept, refused, number));
            }
        });
        Self {
            address,
            calls,
            errors,
            server,
        }
    }

    /// The next call is answered with this error.
    pub(crate) fn refuse_next(&self, error: &'static str) {
        self.errors.lock().push_back(error);
    }

    /// The calls of this method so far.
    pub(crate) fn calls(&self, method: &str) -> Vec<Call> {
        let calls = self.calls.lock();
        calls.iter().filter(|call| call.method == method).cloned().collect()
    }

    /// Waits for the nth call of this method, from 0; returns its body.
    pub(crate) async fn call(&self, method: &str, number: usize) -> Value {
        let found = || async { self.calls(method).get(number).map(|call| call.body.clone()) };
        eventually(found, format!("call {number} of {method}")).await
    }
}

/// Reads one request by its bytes, and answers it. Asserts what Slack requires of every call.
async fn answer(
    mut stream: TcpStream,
    calls: Arc<Mutex<Vec<Call>>>,
    errors: Arc<Mutex<VecDeque<&'static str>>>,
    number: Arc<AtomicU64>,
) {
    let mut received = Vec::new();
    let (head, body) = loop {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await.unwrap();
        if read == 0 {
            return;
        }
        received.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&received).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length: ")?
                .parse::<usize>()
                .ok()
        });
        if length.is_some_and(|length| body.len() >= length) {
            break (head.to_owned(), body.to_owned());
        }
    };
    let path = head.lines().next().unwrap_or_default().to_owned();
    let path = path.strip_prefix("POST /api/").and_then(|rest| rest.split_once(' '));
    let method = path.map(|(method, _)| method.to_owned()).unwrap_or_default();
    let head = head.to_ascii_lowercase();
    let is_authorized = head.contains(&format!("authorization: bearer {BOT_TOKEN}"));
    let is_json = head.contains("content-type: application/json");
    let body: Value = serde_json::from_str(&body).unwrap_or_default();
    let refused = match (is_authorized, is_json, method.as_str(), errors.lock().pop_front()) {
        (false, ..) => Some("not_authed"),
        (_, false, ..) => Some("invalid_post_type"),
        (.., error @ Some(_)) => error,
        (.., "chat.postMessage" | "chat.update" | "chat.postEphemeral" | "views.open", None) => None,
        _ => Some("unknown_method"),
    };
    let response = match refused {
        Some(error) => json!({"ok": false, "error": error}),
        None => {
            calls.lock().push(Call { method, body });
            let ts = format!("1764583000.{:06}", number.fetch_add(1, Ordering::SeqCst));
            json!({"ok": true, "channel": CHANNEL, "ts": ts})
        }
    };
    let response = response.to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        response.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(response.as_bytes()).await.unwrap();
}

/// A form with this payload, percent-encoded as Slack does.
pub(crate) fn form(payload: &Value) -> String {
    let encoded: String = payload
        .to_string()
        .bytes()
        .map(|byte| match byte {
            b' ' => "+".to_owned(),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect();
    format!("payload={encoded}")
}

/// The signature of a request.
pub(crate) fn signature(timestamp: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SIGNING_SECRET.as_bytes());
    let tag = hmac::sign(&key, format!("v0:{timestamp}:{body}").as_bytes());
    format!("v0={}", hex::encode(tag.as_ref()))
}

/// The payload of a click on a button of a message.
pub(crate) fn click(user: &str, action: &str, approval: &str, ts: &str) -> Value {
    json!({
        "type": "block_actions", "user": {"id": user, "username": "x", "team_id": "T1"}, "api_app_id": "A1", "token": "x",
        "container": {"type": "message", "message_ts": ts, "channel_id": CHANNEL, "is_ephemeral": false},
        "trigger_id": "13345224609.738474920", "channel": {"id": CHANNEL, "name": "approvals"},
        "actions": [{"action_id": action, "block_id": "b", "value": approval, "type": "button", "action_ts": "1"}],
        "response_url": "https://hooks.slack.com/actions/T1/1/x",
    })
}

/// The payload of the modal with a code.
pub(crate) fn submission(user: &str, approval: &str, code: &str) -> Value {
    json!({
        "type": "view_submission", "user": {"id": user}, "trigger_id": "1.2", "response_urls": [],
        "view": {
            "id": "V1", "type": "modal", "callback_id": "approval_code", "private_metadata": approval,
            "state": {"values": {"approval_code": {"approval_code": {"type": "plain_text_input", "value": code}}}},
        },
    })
}

impl TestApi {
    /// Sends a request of Slack with these headers.
    pub(crate) async fn slack_raw(&self, timestamp: &str, signature: &str, body: String) -> Answer {
        let request = self
            .request(Method::POST, "/webhooks/slack")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("x-slack-request-timestamp", timestamp)
            .header("x-slack-signature", signature)
            .body(body);
        self.send(request).await
    }

    /// Sends a payload as Slack does.
    pub(crate) async fn slack(&self, payload: &Value) -> Answer {
        let timestamp = OffsetDateTime::now_utc().unix_timestamp().to_string();
        let body = form(payload);
        let signature = signature(&timestamp, &body);
        self.slack_raw(&timestamp, &signature, body).await
    }
}
