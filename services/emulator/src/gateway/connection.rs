//! The reading half of a connection: payloads of the client, heartbeat timeouts, and commands of the control API.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream::SplitStream};
use tokio::{
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use super::{
    CloseCode,
    compression::Encoder,
    hub::ConnectionCommand,
    keeps_session,
    listener::{Query, Socket},
    payload::{self, ClientPayload, Refusal},
    requests,
    session::Session,
    writer::{Writer, WriterRequest},
};
use crate::{
    AppState,
    traffic::{GatewayFrame, Stats},
};

/// Payloads that a client may send within [`SENDS_WINDOW`].
const MAX_SENDS: usize = 120;
const SENDS_WINDOW: Duration = Duration::from_secs(60);
/// Time that a client has to disconnect after a close frame or op 7, in real time.
const DISCONNECT_WITHIN: Duration = Duration::from_secs(5);

/// A client's connection.
///
/// Heartbeats and the limit on sent payloads use real time, not the emulator's clock: the client's timers do too, and a moved
/// clock must not look like missing heartbeats.
pub(super) struct Connection {
    pub(super) app: AppState,
    pub(super) id: u64,
    /// The `v` of the URL, 6 to 10.
    pub(super) version: u8,
    pub(super) session: Option<Arc<Session>>,
    out: UnboundedSender<WriterRequest>,
    sends: VecDeque<Instant>,
    heartbeat_deadline: Instant,
    /// After op 7: time at which the connection is closed if the client is still connected.
    disconnect_deadline: Option<Instant>,
}

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
enum ConnectionEnd {
    /// The client's close frame, with its code.
    Client(Option<u16>),
    /// Our close frame.
    Ours(u16),
    /// Without a close frame.
    Dropped,
}

/// Serves one connection until it ends.
pub(super) async fn run(app: AppState, socket: Socket, query: Query, stop: CancellationToken) {
    let (sink, mut stream) = socket.split();
    let (orders_in, mut commands) = mpsc::unbounded_channel();
    let (out, requests) = mpsc::unbounded_channel();
    let id = app.hub.open(orders_in);
    let encoder = Encoder::for_query(query.compress.as_deref());
    let version = read_version(&query);
    let refusal = version
        .as_ref()
        .err()
        .cloned()
        .or_else(|| refuse_query(&query, encoder.is_some()));
    let writer = Writer {
        app: app.clone(),
        connection: id,
        socket: sink,
        encoder: encoder.unwrap_or(Encoder::Plain),
        requests,
        attached: None,
    };
    let writer = tokio::spawn(writer.run());
    let heartbeat_deadline = Instant::now() + longest_silence(&app);
    let mut connection = Connection {
        app,
        id,
        version: version.unwrap_or(*VERSIONS.end()),
        session: None,
        out,
        sends: VecDeque::new(),
        heartbeat_deadline,
        disconnect_deadline: None,
    };
    connection.record("open", None, None);
    let end = if let Some(refusal) = refusal {
        connection.close(&refusal)
    } else {
        let hello = payload::hello(connection.app.options.heartbeat_interval_ms);
        connection.send(WriterRequest::Payload(10, hello));
        tokio::select! {
            end = connection.serve(&mut stream, &mut commands, &writer) => end,
            () = stop.cancelled() => ConnectionEnd::Dropped,
        }
    };
    connection.finish(&end);
    if end != ConnectionEnd::Dropped {
        // Gives both sides time to send and answer the close frame.
        let goodbye = async { while let Some(Ok(_)) = stream.next().await {} };
        let _ = timeout(DISCONNECT_WITHIN, async {
            tokio::select! { () = goodbye => {}, () = stop.cancelled() => {} }
        })
        .await;
    }
    writer.abort();
}

/// Longest time between heartbeats: one and a half intervals.
fn longest_silence(app: &AppState) -> Duration {
    Duration::from_millis(app.options.heartbeat_interval_ms + app.options.heartbeat_interval_ms / 2)
}

/// The versions that Discord serves; the first is the default of a URL without `v`.
/// <https://discord.com/developers/docs/reference#api-versioning>
const VERSIONS: std::ops::RangeInclusive<u8> = 6..=10;

/// The version of the connection.
fn read_version(query: &Query) -> Result<u8, Refusal> {
    let Some(version) = query.version.as_deref() else {
        return Ok(*VERSIONS.start());
    };
    let known = version.parse().ok().filter(|version| VERSIONS.contains(version));
    known.ok_or_else(|| {
        let why = format!("v={version}; versions 6 to 10 are served, use v=10");
        Refusal::new(CloseCode::InvalidApiVersion, why)
    })
}

fn refuse_query(query: &Query, compression_known: bool) -> Option<Refusal> {
    if let Some(encoding) = query.encoding.as_deref().filter(|encoding| *encoding != "json") {
        let why = format!("encoding={encoding} is not supported by this emulator; use encoding=json");
        return Some(Refusal::new(CloseCode::DecodeError, why));
    }
    if !compression_known {
        let why = "compress is zlib-stream or zstd-stream, or absent";
        return Some(Refusal::new(CloseCode::DecodeError, why));
    }
    None
}

impl Connection {
    pub(super) fn send(&self, out: WriterRequest) {
        // The writer ends only with the socket; the next read fails.
        let _ = self.out.send(out);
    }

    /// Sends op 9. The connection has no session after it and stays open. `resumable` is `d` of op 9.
    pub(super) fn invalidate(&mut self, resumable: bool) {
        self.app.traffic.count(Stats::invalidated);
        self.send(WriterRequest::Detach);
        self.send(WriterRequest::Payload(9, payload::bare(9, &resumable.into())));
        if let Some(session) = self.session.take() {
            session.detach(self.id, self.app.clock.now_ms());
            self.app.hub.set_session(self.id, None);
            if !resumable {
                self.app.hub.remove_session(&session.id);
            }
        }
    }

    async fn serve(
        &mut self,
        stream: &mut SplitStream<Socket>,
        commands: &mut UnboundedReceiver<ConnectionCommand>,
        writer: &JoinHandle<()>,
    ) -> ConnectionEnd {
        loop {
            let far = self.heartbeat_deadline + Duration::from_secs(3_600);
            let end = tokio::select! {
                message = stream.next() => self.receive(message),
                Some(command) = commands.recv() => {
                    if command == ConnectionCommand::HalfOpen {
                        writer.abort();
                        return hang(commands).await;
                    }
                    self.carry_out(command)
                }
                () = sleep_until(self.heartbeat_deadline) => {
                    Some(self.close(&Refusal::new(CloseCode::SessionTimedOut, "no heartbeat was received in time")))
                }
                () = sleep_until(self.disconnect_deadline.unwrap_or(far)), if self.disconnect_deadline.is_some() => {
                    Some(self.close(&Refusal::new(CloseCode::UnknownError, "did not reconnect after op 7")))
                }
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    fn receive(
        &mut self,
        message: Option<Result<Message, tokio_tungstenite::tungstenite::Error>>,
    ) -> Option<ConnectionEnd> {
        let Some(Ok(message)) = message else {
            return Some(ConnectionEnd::Dropped);
        };
        match message {
            Message::Text(text) => self.handle(text.as_bytes()),
            Message::Binary(bytes) => self.handle(&bytes),
            Message::Close(frame) => Some(ConnectionEnd::Client(frame.map(|frame| u16::from(frame.code)))),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => None,
        }
    }

    fn handle(&mut self, bytes: &[u8]) -> Option<ConnectionEnd> {
        let now = Instant::now();
        while self
            .sends
            .front()
            .is_some_and(|sent| now.duration_since(*sent) >= SENDS_WINDOW)
        {
            self.sends.pop_front();
        }
        self.sends.push_back(now);
        if self.sends.len() > MAX_SENDS {
            return Some(self.close(&Refusal::new(CloseCode::RateLimited, "over 120 sends in 60 seconds")));
        }
        let handled = payload::read(bytes).and_then(|incoming| {
            self.record_incoming(&incoming, bytes);
            self.answer(incoming)
        });
        handled.err().map(|refusal| self.close(&refusal))
    }

    fn answer(&mut self, incoming: ClientPayload) -> Result<(), Refusal> {
        match incoming {
            ClientPayload::Heartbeat => self.heartbeat_received(),
            ClientPayload::Identify(identify) => self.identify(&identify)?,
            ClientPayload::Resume(resume) => self.resume(&resume)?,
            ClientPayload::Presence => self.identified().map(drop)?,
            ClientPayload::VoiceState(request) => requests::voice(&self.app, self.identified()?, &request),
            ClientPayload::RequestMembers(request) => requests::members(&self.app, self.identified()?, &request),
            ClientPayload::RequestSounds(request) => requests::sounds(&self.app, self.identified()?, &request),
            ClientPayload::RequestChannelInfo(request) => {
                requests::channel_info(&self.app, self.identified()?, &request);
            }
        }
        Ok(())
    }

    fn identified(&self) -> Result<&Session, Refusal> {
        let refusal = || Refusal::new(CloseCode::NotAuthenticated, "identify or resume first");
        self.session.as_deref().ok_or_else(refusal)
    }

    fn heartbeat_received(&mut self) {
        self.app.traffic.count(Stats::heartbeat_received);
        let shard = self.session.as_ref().map(|session| session.shard[0]);
        if !self.app.faults.swallows_heartbeat_ack(shard) {
            self.send(WriterRequest::Payload(11, payload::bare(11, &serde_json::Value::Null)));
        }
        self.heartbeat_deadline = Instant::now() + longest_silence(&self.app);
    }

    fn carry_out(&mut self, command: ConnectionCommand) -> Option<ConnectionEnd> {
        match command {
            ConnectionCommand::Drop | ConnectionCommand::HalfOpen => return Some(ConnectionEnd::Dropped),
            ConnectionCommand::Heartbeat => {
                self.send(WriterRequest::Payload(1, payload::bare(1, &serde_json::Value::Null)));
            }
            ConnectionCommand::Invalidate { resumable } => self.invalidate(resumable),
            ConnectionCommand::Send(text) => self.send(WriterRequest::Raw(text)),
            ConnectionCommand::Close(code) => {
                let known = CloseCode::ALL.into_iter().find(|known| known.number() == code);
                self.send(WriterRequest::Close(
                    code,
                    known.map_or("", CloseCode::reason).to_owned(),
                ));
                return Some(ConnectionEnd::Ours(code));
            }
            ConnectionCommand::Reconnect => {
                // No more events are sent on this connection: the session keeps them for RESUME.
                self.send(WriterRequest::Detach);
                self.send(WriterRequest::Payload(7, payload::bare(7, &serde_json::Value::Null)));
                self.disconnect_deadline = Some(Instant::now() + DISCONNECT_WITHIN);
            }
        }
        None
    }

    fn close(&self, refusal: &Refusal) -> ConnectionEnd {
        let mut reason = format!("{} {}", refusal.code.reason(), refusal.why);
        // A close frame holds 125 bytes, two of them the code.
        while reason.len() > 123 {
            reason.pop();
        }
        tracing::info!(
            code = refusal.code.number(),
            why = refusal.why,
            "closing a gateway connection"
        );
        self.send(WriterRequest::Close(refusal.code.number(), reason));
        ConnectionEnd::Ours(refusal.code.number())
    }

    fn finish(&mut self, end: &ConnectionEnd) {
        let code = match end {
            ConnectionEnd::Client(code) => {
                self.app.traffic.count(|stats| stats.closed(*code));
                let detail = code.map_or_else(|| "without a code".to_owned(), |code| format!("{code} by the client"));
                self.record("close", None, Some(detail));
                *code
            }
            ConnectionEnd::Ours(code) => Some(*code),
            ConnectionEnd::Dropped => {
                self.app.traffic.count(|stats| stats.closed(None));
                self.record("close", None, Some("dropped".to_owned()));
                None
            }
        };
        self.app.hub.closed(self.id);
        let Some(session) = self.session.take() else { return };
        if keeps_session(code) {
            session.detach(self.id, self.app.clock.now_ms());
        } else if session.held_by(self.id) {
            self.app.hub.remove_session(&session.id);
        }
    }

    fn record_incoming(&self, incoming: &ClientPayload, bytes: &[u8]) {
        let (op, secret) = match incoming {
            ClientPayload::Heartbeat => (1, false),
            ClientPayload::Identify(_) => (2, true),
            ClientPayload::Presence => (3, false),
            ClientPayload::VoiceState(_) => (4, false),
            ClientPayload::Resume(_) => (6, true),
            ClientPayload::RequestMembers(_) => (8, false),
            ClientPayload::RequestSounds(_) => (31, false),
            ClientPayload::RequestChannelInfo(_) => (43, false),
        };
        let detail = if secret {
            payload::redacted(bytes)
        } else {
            String::from_utf8_lossy(bytes).into_owned()
        };
        self.record("in", Some(op), Some(detail));
    }

    fn record(&self, direction: &'static str, op: Option<u8>, detail: Option<String>) {
        self.app.traffic.gateway(|| GatewayFrame {
            at_ms: self.app.clock.now_ms(),
            direction,
            session: self.session.as_ref().map(|session| Arc::clone(&session.id)),
            shard: self.session.as_ref().map(|session| session.shard),
            op,
            detail,
            ..GatewayFrame::default()
        });
    }
}

/// Half-open: nothing is read or written until the control API ends the connection.
async fn hang(commands: &mut UnboundedReceiver<ConnectionCommand>) -> ConnectionEnd {
    while let Some(command) = commands.recv().await {
        if command == ConnectionCommand::Drop {
            break;
        }
    }
    ConnectionEnd::Dropped
}
