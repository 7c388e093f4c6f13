//! One gateway connection, from open to close.
//!
//! twilight would reconnect by itself; here a connection that ended is dropped and the next one is made with the session
//! that we keep, so that pace, resume host and sequence number are ours to decide.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use arrakis_causes::causes;
use arrakis_runtime::{Fatal, fail_point};
use bytes::Bytes;
use futures_util::{Stream as _, StreamExt as _};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use twilight_gateway::error::{ReceiveMessageError, ReceiveMessageErrorType};
use twilight_gateway::{CloseFrame, ConfigBuilder, Message, Shard, ShardState};

use super::Holding;
use super::beat::Beat;
use super::close::{After, after};
use super::keeper::{Hold, Keeper};
use crate::clock::{now_ms, now_us};
use crate::frame::{Context, Frame, FrameError, Hello, Ready, label};
use crate::identify::IdentifyQueue;
use crate::session::Session;
use crate::status::State;

/// How long the first word of the gateway may take; a resume host has less, since there is another address to try.
const HELLO_WITHIN: Duration = Duration::from_secs(15);
const RESUME_HELLO_WITHIN: Duration = Duration::from_secs(5);
/// How long the gateway may be silent while it replays.
const REPLAY_WITHIN: Duration = Duration::from_secs(30);
/// How long a close frame of ours may take to be sent and answered.
const GOODBYE: Duration = Duration::from_secs(1);
/// How long the acknowledgement of a heartbeat is waited for under backpressure.
const ACK: Duration = Duration::from_secs(5);
/// How often the state is told to the keeper.
const SAVE_EVERY: Duration = Duration::from_millis(500);
/// Bytes of frames held under backpressure before the gateway is left until there is room.
const HELD_BYTES: usize = 4 << 20;
/// How much longer than two heartbeats of the broker's a connection is kept while another consumer seems to hold the shard. It
/// may be our own former connection, which the broker takes for alive until two heartbeats are missing.
const GIVE_UP_AFTER: Duration = Duration::from_secs(5);
/// How often the same frame is asked for again before it is given up.
const UNREADABLE_TRIES: u32 = 2;

/// How a connection ended.
pub(super) enum Ended {
    Stopped,
    TakenOver,
    Fatal(Fatal),
    Lost(Why),
}

/// Why a connection was lost.
#[derive(Debug)]
pub(super) struct Why {
    /// For the metric.
    pub(super) cause: &'static str,
    /// For people.
    pub(super) detail: String,
    /// The session cannot be resumed, for this reason.
    pub(super) session_is_gone: Option<&'static str>,
    /// The host that sessions are resumed on does not answer.
    pub(super) resume_host_is_dead: bool,
    /// The gateway was reached and the session was not resumed, without a word that it is gone.
    pub(super) resume_failed: bool,
}

impl Why {
    fn new(cause: &'static str, detail: impl Into<String>) -> Self {
        Self {
            cause,
            detail: detail.into(),
            session_is_gone: None,
            resume_host_is_dead: false,
            resume_failed: false,
        }
    }
}

/// When a frame was received: for people and other machines, and for measuring.
#[derive(Clone, Copy)]
struct Receipt {
    us: u64,
    at: std::time::Instant,
}

impl Receipt {
    fn now() -> Self {
        Self {
            us: now_us(),
            at: std::time::Instant::now(),
        }
    }
}

struct HeldFrame {
    text: Bytes,
    receipt: Receipt,
}

/// An open connection.
pub(super) struct Connection<'a> {
    holding: &'a mut Holding,
    gateway: Shard<IdentifyQueue>,
    beat: Beat,
    held: VecDeque<HeldFrame>,
    held_bytes: usize,
    /// The connection is given up when nothing comes until then.
    deadline: Option<Instant>,
    on_resume_host: bool,
    said_hello: bool,
    /// A session is to be resumed, and RESUMED has not come yet.
    resuming: bool,
    /// When another process is taken to have the shard for good, although this connection stands.
    give_up: Option<Instant>,
    opened: Instant,
}

/// What the gateway said: a message, or that it is gone without one.
type Said = Option<Result<Message, ReceiveMessageError>>;

enum Next {
    Message(Said),
    Room,
    Beat,
    Lease,
    Save,
    Silent,
    Stop,
}

impl<'a> Connection<'a> {
    pub(super) fn open(holding: &'a mut Holding) -> Self {
        let mut config = ConfigBuilder::from(holding.shared.twilight.clone());
        let mut on_resume_host = false;
        let mut address = holding.shared.gateway_url.as_str();
        if let Some(session) = &holding.session {
            config = config.session(twilight_gateway::Session::new(
                holding.tracker.last(),
                session.id.clone(),
            ));
            if let Some(url) = session.resume_url.as_deref().filter(|_| !holding.resume_host_is_dead) {
                config = config.resume_url(url.to_owned());
                on_resume_host = url != holding.shared.gateway_url;
                address = url;
            }
        }
        let how = if holding.session.is_some() {
            "resuming at"
        } else {
            "identifying at"
        };
        tracing::info!(
            shard = holding.status.id,
            address,
            seq = holding.tracker.last(),
            "{how}"
        );
        holding.status.set(State::Connecting(format!("{how} {address}")));
        let gateway = Shard::with_config(holding.shard_id(), config.build());
        let resuming = holding.session.is_some();
        let patience = if on_resume_host {
            RESUME_HELLO_WITHIN
        } else {
            HELLO_WITHIN
        };
        Self {
            holding,
            gateway,
            beat: Beat::new(),
            held: VecDeque::new(),
            held_bytes: 0,
            deadline: Some(Instant::now() + patience),
            on_resume_host,
            said_hello: false,
            resuming,
            give_up: None,
            opened: Instant::now(),
        }
    }

    /// Runs it to its end.
    pub(super) async fn run(mut self, keeper: &mut Keeper, stop: &CancellationToken) -> anyhow::Result<Ended> {
        let mut save = tokio::time::interval(SAVE_EVERY);
        save.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut stopped = std::pin::pin!(stop.cancelled());
        loop {
            if let Some(ended) = self.forward_held(keeper) {
                return Ok(ended);
            }
            let room = self.held.is_empty() && self.holding.sender.has_room();
            let deadline = self.deadline;
            let next = tokio::select! {
                biased;
                () = &mut stopped => Next::Stop,
                changed = keeper.hold.changed() => { changed?; Next::Lease }
                _ = save.tick() => Next::Save,
                said = next(&mut self.gateway, self.said_hello), if room => Next::Message(said),
                open = self.holding.sender.room(), if !room => {
                    anyhow::ensure!(open, "the pipeline to the broker has ended");
                    Next::Room
                }
                () = tokio::time::sleep_until(self.beat.due()), if !room => Next::Beat,
                () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() && room => Next::Silent,
            };
            let ended = match next {
                Next::Message(said) => self.received(said, keeper),
                Next::Beat => self.beat_the_heart(keeper).await,
                Next::Room => None,
                Next::Lease => self.lease(keeper)?,
                Next::Save => {
                    self.save(keeper);
                    self.expect_ready();
                    self.give_up
                        .is_some_and(|at| at <= Instant::now())
                        .then_some(Ended::TakenOver)
                }
                Next::Silent => Some(self.silent()),
                Next::Stop => Some(Ended::Stopped),
            };
            if let Some(mut ended) = ended {
                self.say_goodbye(&ended).await;
                if let Ended::Lost(why) = &mut ended {
                    why.resume_failed = self.resume_failed(why);
                }
                return Ok(ended);
            }
        }
    }

    /// Whether the connection's end counts as a failed RESUME. What ends it for our own reasons, or before the gateway's first
    /// word, says nothing about the session.
    fn resume_failed(&self, why: &Why) -> bool {
        let ours = matches!(why.cause, "backpressure" | "unreadable");
        self.resuming && self.said_hello && !ours && why.session_is_gone.is_none()
    }

    /// The lease changed hands, or we lost the broker. The connection is kept for a while: events wait in Discord's socket.
    fn lease(&mut self, keeper: &mut Keeper) -> Result<Option<Ended>, Fatal> {
        if !self.holding.follow_lease(keeper)? {
            return Ok(Some(Ended::TakenOver));
        }
        let others = matches!(*keeper.hold.borrow(), Hold::Waiting { others: true });
        let kept = self.holding.shared.link.heartbeat() * 2 + GIVE_UP_AFTER;
        self.give_up = others.then(|| self.give_up.unwrap_or_else(|| Instant::now() + kept));
        if others {
            // Unless the lock is still ours, nothing is published meanwhile, so the shard is not reported as active.
            let why = "another process seems to hold the shard".to_owned();
            self.holding.status.set(State::Connecting(why));
        } else if self.deadline.is_none() && self.said_hello && self.holding.session.is_some() {
            self.holding.status.set(State::Active);
        }
        Ok(None)
    }

    /// Sets the time by which READY must come. A new session may wait long for its turn, so the time counts from the identify.
    fn expect_ready(&mut self) {
        let identifying = self.said_hello && !self.resuming && self.holding.session.is_none();
        if identifying && self.deadline.is_none() {
            let sent = self.holding.shared.identify.granted(self.holding.status.id);
            let sent = sent.filter(|at| *at >= self.opened);
            self.deadline = sent.map(|at| at + self.holding.shared.limits.ready);
        }
    }

    fn save(&mut self, keeper: &Keeper) {
        let latency = self.gateway.latency().recent().first().copied();
        let held = self.held.len();
        self.holding.status.update(|numbers| {
            numbers.latency = latency;
            numbers.held = held;
        });
        self.holding.save(keeper);
    }

    /// Handles what the gateway said, when there is room for it.
    fn received(&mut self, said: Said, keeper: &Keeper) -> Option<Ended> {
        match said {
            Some(Ok(Message::Text(text))) => self.frame(&Bytes::from(text), Receipt::now(), keeper),
            Some(Ok(Message::Close(frame))) => Some(self.closed(frame.as_ref())),
            Some(Err(error)) => self.failed(&error),
            None => Some(self.lost("dropped", "the connection broke off")),
        }
    }

    fn frame(&mut self, text: &Bytes, receipt: Receipt, keeper: &Keeper) -> Option<Ended> {
        let frame = match Frame::read(text) {
            Ok(frame) => frame,
            Err(error) => return self.unreadable(&error),
        };
        match frame.op {
            0 => {
                self.deadline = self.deadline.map(|_| Instant::now() + REPLAY_WITHIN);
                match self.dispatch(text, &frame, receipt, keeper) {
                    Ok(()) => None,
                    Err(error) => self.unreadable(&error),
                }
            }
            7 => Some(self.lost("reconnect", "Discord asks to reconnect (op 7)")),
            9 => {
                let resumable = frame.payload::<bool>().unwrap_or(false);
                let mut why = Why::new(
                    "invalid_session",
                    format!("invalid session (op 9, resumable: {resumable})"),
                );
                why.session_is_gone = (!resumable).then_some("invalid_session");
                Some(Ended::Lost(why))
            }
            10 => {
                self.said_hello = true;
                if let Ok(hello) = frame.payload::<Hello>() {
                    self.beat.hello(hello.heartbeat_interval);
                }
                // A new session may have to wait long for its turn; a zombie is then noticed by its heartbeat.
                self.deadline = self
                    .resuming
                    .then(|| Instant::now() + self.holding.shared.limits.resume_answer);
                None
            }
            _ => None,
        }
    }

    fn dispatch(
        &mut self,
        text: &Bytes,
        frame: &Frame<'_>,
        receipt: Receipt,
        keeper: &Keeper,
    ) -> Result<(), FrameError> {
        let event = frame.t.as_deref().ok_or(FrameError::Missing("t"))?;
        let seq = frame.s.ok_or(FrameError::Missing("s"))?;
        match event {
            "READY" => return self.ready(frame, seq, keeper),
            "RESUMED" => {
                self.resumed(seq);
                return Ok(());
            }
            _ => {}
        }
        let holding = &mut *self.holding;
        if seq <= holding.tracker.last() {
            // Replays may repeat what is already on its way or confirmed.
            holding.shared.metrics.repeated();
            return Ok(());
        }
        if !holding.shared.events.allows(event) {
            holding.shared.metrics.skipped();
            holding.tracker.received(seq, None);
            return Ok(());
        }
        let Some(session) = &holding.session else {
            return Err(FrameError::Missing("session before it"));
        };
        let context = Context {
            shard: holding.status.id,
            shards: holding.shared.shards,
            session: &session.id,
            session_since_ms: session.since_ms,
            received_us: receipt.us,
            clock_offset_ms: holding.shared.clock.ms(),
        };
        let mut message = label(text, frame, context)?;
        message.received = Some(receipt.at);
        fail_point::hit_now("ingestor.received", &[event]);
        // There is room: it was asked for before this frame was read.
        let number = holding.sender.send(message).ok();
        holding.shared.metrics.forwarded(event);
        holding.tracker.received(seq, number);
        Ok(())
    }

    fn ready(&mut self, frame: &Frame<'_>, seq: u64, keeper: &Keeper) -> Result<(), FrameError> {
        let ready: Ready = frame.payload()?;
        let since_ms = now_ms() + self.holding.shared.clock.ms();
        let (session, left_out) = Session::begin(ready, since_ms)?;
        if let Some(why) = left_out {
            tracing::warn!(
                shard = self.holding.status.id,
                why,
                "the resume address is left out; the first one serves"
            );
        }
        tracing::info!(shard = self.holding.status.id, session = session.id, "session begun");
        let holding = &mut *self.holding;
        holding.session = Some(session);
        holding.resume_host_is_dead = false;
        holding.forget_resume_failures();
        holding.tracker.begin(seq);
        holding.status.update(|numbers| numbers.identified += 1);
        self.active();
        self.holding.save(keeper);
        Ok(())
    }

    fn resumed(&mut self, seq: u64) {
        tracing::info!(shard = self.holding.status.id, seq, "session resumed");
        self.holding.tracker.received(seq, None);
        self.holding.forget_resume_failures();
        self.holding.shared.metrics.resumed();
        self.holding.status.update(|numbers| numbers.resumed += 1);
        self.active();
    }

    fn active(&mut self) {
        self.deadline = None;
        self.resuming = false;
        self.holding.status.set(State::Active);
    }

    /// The broker takes nothing, and a heartbeat is due: reads the one frame that comes with it.
    async fn beat_the_heart(&mut self, keeper: &Keeper) -> Option<Ended> {
        let polled = tokio::select! {
            said = next(&mut self.gateway, self.said_hello) => Some(said),
            _ = self.holding.sender.room() => None,
            () = tokio::time::sleep(ACK) => None,
        };
        self.beat.polled(self.gateway.latency().sent());
        match polled? {
            Some(Ok(Message::Text(text))) => {
                let text = Bytes::from(text);
                // Only dispatches need room.
                if Frame::read(&text).is_ok_and(|frame| frame.op != 0) {
                    return self.frame(&text, Receipt::now(), keeper);
                }
                self.held_bytes += text.len();
                self.held.push_back(HeldFrame {
                    text,
                    receipt: Receipt::now(),
                });
                (self.held_bytes > HELD_BYTES).then(|| {
                    self.lost(
                        "backpressure",
                        "the broker takes nothing; the gateway waits until it does",
                    )
                })
            }
            other => self.received(other, keeper),
        }
    }

    /// Forwards held frames while there is room.
    fn forward_held(&mut self, keeper: &Keeper) -> Option<Ended> {
        while self.holding.sender.has_room() {
            let held = self.held.pop_front()?;
            self.held_bytes -= held.text.len();
            if let Some(ended) = self.frame(&held.text, held.receipt, keeper) {
                return Some(ended);
            }
        }
        None
    }

    fn lost(&self, cause: &'static str, detail: impl Into<String>) -> Ended {
        let mut why = Why::new(cause, detail);
        // A host that closes before its first word is as dead as one that does not answer.
        why.resume_host_is_dead = self.on_resume_host && !self.said_hello;
        Ended::Lost(why)
    }

    fn silent(&self) -> Ended {
        self.lost("silent", "the gateway says nothing")
    }

    fn closed(&self, frame: Option<&CloseFrame<'_>>) -> Ended {
        let code = frame.map(|frame| frame.code);
        let detail = match frame {
            Some(frame) => format!("close code {}: {}", frame.code, frame.reason),
            None => "closed without a code".to_owned(),
        };
        match after(code, self.holding.status.id, self.holding.shared.shards) {
            After::Stop(fatal) => Ended::Fatal(fatal),
            After::Resume => self.lost("closed", detail),
            After::NewSession => {
                let mut why = Why::new("closed", detail);
                why.session_is_gone = Some("close_code");
                Ended::Lost(why)
            }
        }
    }

    fn failed(&mut self, error: &ReceiveMessageError) -> Option<Ended> {
        // twilight's words for a frame that it cannot read hold the frame, and with it tokens of interactions.
        match error.kind() {
            ReceiveMessageErrorType::Deserializing { .. } => self.unreadable(&FrameError::Missing("op, t or s")),
            ReceiveMessageErrorType::Reconnect => {
                let mut why = Why::new("unreachable", causes(error));
                why.resume_host_is_dead = self.on_resume_host;
                Some(Ended::Lost(why))
            }
            _ => Some(self.lost("compression", "a frame could not be decompressed")),
        }
    }

    /// A frame that cannot be read is asked for again by resuming before it; one that stays so is given up and counted.
    fn unreadable(&mut self, error: &FrameError) -> Option<Ended> {
        let holding = &mut *self.holding;
        holding.shared.metrics.unreadable();
        let last = holding.tracker.last();
        let (seq, tries) = holding.unreadable;
        holding.unreadable = if seq == last { (seq, tries + 1) } else { (last, 1) };
        let tries = holding.unreadable.1;
        // Without a session nothing can follow: the pace of connecting and the identify budget bound the trying.
        if tries <= UNREADABLE_TRIES || holding.session.is_none() {
            tracing::error!(shard = holding.status.id, %error, after_seq = last, tries, "unreadable frame; asking for it again");
            return Some(self.lost("unreadable", error.to_string()));
        }
        tracing::error!(shard = holding.status.id, %error, after_seq = last, "unreadable frame given up");
        holding.shared.metrics.gap("unreadable_frame");
        holding.status.update(|numbers| numbers.gaps += 1);
        None
    }

    /// Leaves so that the session stays: never 1000 or 1001. What comes meanwhile is not read; it is replayed.
    async fn say_goodbye(&mut self, ended: &Ended) {
        let ours = match ended {
            Ended::Stopped | Ended::TakenOver => true,
            Ended::Lost(why) => !matches!(why.cause, "closed" | "dropped") && self.said_hello,
            Ended::Fatal(_) => false,
        };
        if !ours {
            return;
        }
        self.gateway.close(CloseFrame::RESUME);
        let closed = async {
            while let Some(Ok(message)) = self.gateway.next().await {
                // After its own close twilight would connect anew; a hello says that it has.
                let hello = matches!(&message, Message::Text(text) if Frame::read(text.as_bytes()).is_ok_and(|frame| frame.op == 10));
                if hello || message.is_close() {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(GOODBYE, closed).await;
    }
}

/// What the gateway says next. A connection that breaks off without a close frame is not told by twilight, which connects
/// anew inside the same poll: it is seen by the state.
async fn next(gateway: &mut Shard<IdentifyQueue>, was_connected: bool) -> Said {
    std::future::poll_fn(|context| {
        // twilight panics at some of what a gateway may say, a heartbeat interval of zero for one. That is the end of this
        // connection and not of the process.
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut *gateway).poll_next(context)));
        match polled {
            Ok(Poll::Pending) if was_connected && matches!(gateway.state(), ShardState::Disconnected { .. }) => {
                Poll::Ready(None)
            }
            Ok(polled) => polled,
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}
