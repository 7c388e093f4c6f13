//! A fake Discord whose responses the test chooses, for responses that the emulator does not give.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use futures_util::{SinkExt as _, StreamExt as _};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// `GET /gateway/bot` alone.
pub(crate) struct Rest {
    base: String,
    asked: Arc<Mutex<Vec<Instant>>>,
}

impl Rest {
    /// Answers the nth request (from 0) with these bytes.
    pub(crate) async fn start(answer: impl Fn(usize) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/api/v10", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(socket.read_u8().await.unwrap_or_default());
                }
                let number = {
                    let mut log = log.lock();
                    log.push(Instant::now());
                    log.len() - 1
                };
                let _ = socket.write_all(&answer(number)).await;
            }
        });
        Self { base, asked }
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// When each request came.
    pub(crate) fn asked(&self) -> Vec<Instant> {
        self.asked.lock().clone()
    }
}

/// A complete HTTP response.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}").into_bytes()
}

/// The response of a Discord with a reachable gateway.
pub(crate) fn gateway_bot(url: &str, shards: u64) -> Vec<u8> {
    let limit = json!({ "total": 1_000, "remaining": 1_000, "reset_after": 1_000, "max_concurrency": 16 });
    let body = json!({ "url": url, "shards": shards, "session_start_limit": limit });
    answer("200 OK", "content-type: application/json\r\n", &body.to_string())
}

/// A gateway that runs a script on each connection.
pub(crate) struct Gateway {
    url: String,
    ops: Arc<Mutex<Vec<Value>>>,
}

impl Gateway {
    /// Runs the script for each connection once it is open and its first frame, IDENTIFY or RESUME, was received. The numbers
    /// are those of the connection, from 0. A script that returns closes the connection.
    pub(crate) async fn start<S>(script: S) -> Self
    where
        S: Fn(usize, Conversation) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    {
        Self::start_with(json!(60_000), script).await
    }

    /// With this heartbeat interval, whatever it is.
    pub(crate) async fn start_with<S>(interval: Value, script: S) -> Self
    where
        S: Fn(usize, Conversation) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let ops = Arc::new(Mutex::new(Vec::new()));
        let (log, script, mut number) = (ops.clone(), Arc::new(script), 0);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (log, script, interval) = (log.clone(), script.clone(), interval.clone());
                tokio::spawn(async move {
                    let Ok(socket) = tokio_tungstenite::accept_async(socket).await else {
                        return;
                    };
                    let mut conversation = Conversation {
                        socket,
                        first: Value::Null,
                    };
                    conversation
                        .send(&json!({ "op": 10, "d": { "heartbeat_interval": interval } }).to_string())
                        .await;
                    let Some(first) = conversation.first().await else {
                        return;
                    };
                    log.lock().push(first.clone());
                    conversation.first = first;
                    script(number, conversation).await;
                });
                number += 1;
            }
        });
        Self { url, ops }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// How often a session was begun (op 2) or resumed (op 6).
    pub(crate) fn count(&self, op: u64) -> usize {
        self.ops.lock().iter().filter(|frame| frame["op"] == op).count()
    }
}

/// A connection of the gateway.
pub(crate) struct Conversation {
    socket: WebSocketStream<TcpStream>,
    /// IDENTIFY or RESUME.
    first: Value,
}

impl Conversation {
    /// Whether the client resumes, and after which sequence number.
    pub(crate) fn resumes_after(&self) -> Option<u64> {
        (self.first["op"] == 6).then(|| self.first["d"]["seq"].as_u64().unwrap())
    }

    pub(crate) async fn send(&mut self, text: &str) {
        let _ = self.socket.send(Message::text(text)).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: Vec<u8>) {
        let _ = self.socket.send(Message::binary(bytes)).await;
    }

    pub(crate) async fn ready(&mut self, seq: u64) {
        let d = json!({ "session_id": "s", "resume_gateway_url": "" });
        self.dispatch("READY", seq, &d).await;
    }

    pub(crate) async fn resumed(&mut self, seq: u64) {
        self.dispatch("RESUMED", seq, &json!({})).await;
    }

    pub(crate) async fn joins(&mut self, seqs: impl IntoIterator<Item = u64>) {
        for seq in seqs {
            self.dispatch("GUILD_MEMBER_ADD", seq, &json!({ "guild_id": "7" }))
                .await;
        }
    }

    pub(crate) async fn dispatch(&mut self, event: &str, seq: u64, d: &Value) {
        self.send(&format!("{{\"op\":0,\"t\":\"{event}\",\"s\":{seq},\"d\":{d}}}"))
            .await;
    }

    async fn first(&mut self) -> Option<Value> {
        loop {
            let Message::Text(text) = self.socket.next().await?.ok()? else {
                continue;
            };
            let frame: Value = serde_json::from_str(&text).unwrap();
            if matches!(frame["op"].as_u64(), Some(2 | 6)) {
                return Some(frame);
            }
        }
    }

    /// Acknowledges heartbeats until the client closes.
    pub(crate) async fn stay(&mut self) {
        while let Some(Ok(message)) = self.socket.next().await {
            if message.is_text() {
                self.send("{\"op\":11,\"d\":null}").await;
            }
        }
    }
}
