//! An emulator for each test, and a minimal gateway client.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests fail by panicking"
)]
#![allow(clippy::needless_pass_by_value, reason = "json! makes values")]

use std::time::Duration;

use discord_emulator::{Emulator, Options};
use flate2::{Decompress, FlushDecompress};
use futures_util::{SinkExt as _, StreamExt as _};
use http::Method;
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};
use zstd::stream::raw::{Decoder, InBuffer, Operation as _, OutBuffer};

/// Longest wait for an expected event. Long, since it passes only when the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// Intents: servers, members, messages.
pub(crate) const INTENTS: u64 = 1 | 1 << 1 | 1 << 9;

/// An emulator with a client for its control API.
pub(crate) struct Emu {
    pub(crate) emulator: Emulator,
    http: reqwest::Client,
}

impl Emu {
    /// Starts one with many identify buckets, so that tests need not wait five seconds.
    pub(crate) async fn start() -> Self {
        Self::with(Options {
            max_concurrency: 64,
            ..Options::default()
        })
        .await
    }

    pub(crate) async fn with(options: Options) -> Self {
        Self {
            emulator: Emulator::start(options).await.unwrap(),
            http: reqwest::Client::new(),
        }
    }

    /// Starts one with the lively servers.
    pub(crate) async fn lively() -> Self {
        let emu = Self::start().await;
        emu.post("seed", json!({"kind": "lively"})).await;
        emu
    }

    pub(crate) fn token(&self) -> String {
        self.emulator.token()
    }

    pub(crate) async fn try_control(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let url = format!("{}/control/{path}", self.emulator.addresses().control);
        let mut request = self.http.request(method, url);
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// A call of the control API that must succeed.
    pub(crate) async fn control(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.try_control(method, path, body).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.control(Method::GET, path, None).await
    }

    /// Reads a path of the page.
    pub(crate) async fn page(&self, path: &str) -> Value {
        let url = format!("{}/page/{path}", self.emulator.addresses().control);
        let text = self.http.get(url).send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        self.control(Method::POST, path, Some(body)).await
    }

    /// A call that must be refused. Returns status and error, and checks that the response states what to do.
    pub(crate) async fn refused(&self, path: &str, body: Value) -> (u16, String) {
        let (status, answer) = self.try_control(Method::POST, path, Some(body)).await;
        assert!((400..500).contains(&status), "{path}: {status} {answer}");
        assert!(
            answer["what_to_do"].as_str().is_some_and(|text| !text.is_empty()),
            "{answer}"
        );
        (status, answer["error"].as_str().unwrap().to_owned())
    }

    /// A call of REST with the bot's token.
    pub(crate) async fn rest(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let url = format!("{}{path}", self.emulator.addresses().rest);
        let mut request = self
            .http
            .request(method, url)
            .header("authorization", format!("Bot {}", self.token()));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    /// A client on the gateway's address, past HELLO.
    pub(crate) async fn connect(&self) -> Client {
        Client::open(&format!("{}/?v=10&encoding=json", self.emulator.addresses().gateway))
            .await
            .past_hello()
            .await
    }

    /// A client on the resume host, past HELLO.
    pub(crate) async fn connect_to_resume(&self) -> Client {
        Client::open(&format!("{}/?v=10&encoding=json", self.emulator.addresses().resume))
            .await
            .past_hello()
            .await
    }

    /// A client with a session; the servers have been announced.
    pub(crate) async fn identified(&self, intents: u64) -> (Client, Value) {
        let mut client = self.connect().await;
        client.send(self.identify(intents, json!([0, 1]))).await;
        let ready = client.event("READY").await;
        if intents & 1 != 0 {
            for _ in 0..ready["guilds"].as_array().unwrap().len() {
                client.event("GUILD_CREATE").await;
            }
        }
        (client, ready)
    }

    pub(crate) fn identify(&self, intents: u64, shard: Value) -> Value {
        json!({"op": 2, "d": {
            "token": self.token(), "intents": intents, "shard": shard,
            "properties": {"os": "linux", "browser": "test", "device": "test"},
        }})
    }

    pub(crate) fn resume(&self, session: &Value, seq: u64) -> Value {
        json!({"op": 6, "d": {"token": self.token(), "session_id": session, "seq": seq}})
    }

    /// A user joins Sietch Tabr, which is dispatched to every session with the members intent.
    pub(crate) async fn join(&self, name: &str) -> Value {
        self.post("guilds/Sietch%20Tabr/members", json!({"name": name})).await
    }

    pub(crate) async fn fault(&self, body: Value) -> Value {
        self.post("faults", body).await
    }
}

enum Decoding {
    Plain,
    Zlib(Box<Decompress>),
    Zstd(Decoder<'static>),
}

/// A gateway connection.
pub(crate) struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    decoding: Decoding,
    /// Number of the newest dispatch.
    pub(crate) seq: u64,
}

impl Client {
    pub(crate) async fn open(url: &str) -> Self {
        let (socket, _) = timeout(PATIENCE, connect_async(url)).await.unwrap().unwrap();
        let decoding = match url {
            _ if url.contains("compress=zlib-stream") => Decoding::Zlib(Box::new(Decompress::new(true))),
            _ if url.contains("compress=zstd-stream") => Decoding::Zstd(Decoder::new().unwrap()),
            _ => Decoding::Plain,
        };
        Self {
            socket,
            decoding,
            seq: 0,
        }
    }

    pub(crate) async fn past_hello(mut self) -> Self {
        let hello = self.payload().await;
        assert_eq!(hello["op"], 10, "{hello}");
        self
    }

    pub(crate) async fn send(&mut self, payload: Value) {
        self.send_text(&payload.to_string()).await;
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.send_message(Message::text(text)).await;
    }

    pub(crate) async fn send_message(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    pub(crate) async fn close(mut self, code: u16) {
        use tokio_tungstenite::tungstenite::protocol::CloseFrame;
        self.socket
            .close(Some(CloseFrame {
                code: code.into(),
                reason: "".into(),
            }))
            .await
            .unwrap();
        while let Some(Ok(_)) = self.socket.next().await {}
    }

    /// The next payload; a close frame fails the test.
    #[track_caller]
    pub(crate) fn payload(&mut self) -> impl Future<Output = Value> {
        let caller = std::panic::Location::caller();
        async move {
            match timeout(PATIENCE, self.socket.next()).await {
                Ok(Some(Ok(message))) => self.decode(message, caller),
                other => panic!("no payload at {caller}: {other:?}"),
            }
        }
    }

    fn decode(&mut self, message: Message, caller: &std::panic::Location<'_>) -> Value {
        let text = match (message, &mut self.decoding) {
            (Message::Text(text), _) => text.to_string(),
            (Message::Binary(bytes), Decoding::Zlib(stream)) => {
                let mut out = Vec::with_capacity(4 * 1_024 * 1_024);
                stream.decompress_vec(&bytes, &mut out, FlushDecompress::Sync).unwrap();
                String::from_utf8(out).unwrap()
            }
            (Message::Binary(bytes), Decoding::Zstd(stream)) => {
                let mut out = vec![0; 4 * 1_024 * 1_024];
                let mut input = InBuffer::around(&bytes[..]);
                let mut output = OutBuffer::around(out.as_mut_slice());
                while input.pos() < bytes.len() {
                    stream.run(&mut input, &mut output).unwrap();
                }
                String::from_utf8(output.as_slice().to_vec()).unwrap()
            }
            (other, _) => panic!("unexpected at {caller}: {other:?}"),
        };
        let payload: Value = serde_json::from_str(&text).unwrap();
        if let Some(seq) = payload["s"].as_u64() {
            self.seq = seq;
        }
        payload
    }

    /// `d` of the next dispatch with this name; others before it are skipped.
    #[track_caller]
    pub(crate) fn event(&mut self, name: &'static str) -> impl Future<Output = Value> {
        let caller = std::panic::Location::caller();
        async move {
            loop {
                let message = match timeout(PATIENCE, self.socket.next()).await {
                    Ok(Some(Ok(message))) => message,
                    other => panic!("no {name} at {caller}: {other:?}"),
                };
                let mut payload = self.decode(message, caller);
                if payload["t"] == name {
                    return payload["d"].take();
                }
            }
        }
    }

    /// The next payload with this opcode; others before it are skipped.
    pub(crate) async fn op(&mut self, op: u64) -> Value {
        loop {
            let payload = self.payload().await;
            if payload["op"] == op {
                return payload;
            }
        }
    }

    /// Names of the dispatches that arrive before the response to a heartbeat that is sent now.
    pub(crate) async fn events_until_now(&mut self) -> Vec<String> {
        // The acknowledgement may overtake queued dispatches, so a requested dispatch marks the end.
        self.send(json!({"op": 31, "d": {"guild_ids": ["1200000000000000000"]}}))
            .await;
        let mut names = Vec::new();
        loop {
            let payload = self.payload().await;
            match payload["t"].as_str() {
                Some("SOUNDBOARD_SOUNDS") => return names,
                Some(name) => names.push(name.to_owned()),
                None => {}
            }
        }
    }

    /// The code of the expected close frame; payloads before it are skipped.
    #[track_caller]
    pub(crate) fn closed(mut self) -> impl Future<Output = u16> {
        let caller = std::panic::Location::caller();
        async move {
            loop {
                match timeout(PATIENCE, self.socket.next()).await {
                    Ok(Some(Ok(Message::Close(Some(frame))))) => return frame.code.into(),
                    Ok(Some(Ok(_))) => {}
                    other => panic!("no close frame at {caller}: {other:?}"),
                }
            }
        }
    }

    pub(crate) async fn next_message(&mut self) -> Option<Result<Message, tokio_tungstenite::tungstenite::Error>> {
        timeout(PATIENCE, self.socket.next()).await.unwrap()
    }

    /// Waits until the connection ends without a close frame.
    pub(crate) async fn dropped(mut self) {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.unwrap() {
                None | Some(Err(_)) => return,
                Some(Ok(Message::Close(frame))) => panic!("a close frame came: {frame:?}"),
                Some(Ok(_)) => {}
            }
        }
    }
}

/// Waits until the condition holds.
pub(crate) async fn eventually<F: AsyncFnMut() -> bool>(what: &str, mut holds: F) {
    let holding = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(PATIENCE, holding).await.is_ok(), "never: {what}");
}
