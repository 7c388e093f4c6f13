//! One gateway connection, from open to close.
//!
//! twilight would reconnect by itself; here a connection that ended is dropped and the next one is made with the session
//! that we keep, so that pace, resume host and sequence number are ours to decide. `receive` works in what the gateway says.

mod receive;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use arrakis_runtime::Fatal;
use bytes::Bytes;
use futures_util::Stream as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use twilight_gateway::error::{ReceiveMessageError, ReceiveMessageErrorType};
use twilight_gateway::{CloseFrame, ConfigBuilder, Message, Shard, ShardState};

use super::Holding;
use super::beat::Beat;
use super::keeper::{Hold, Keeper};
use crate::clock::now_us;
use crate::frame::Frame;
use crate::identify::IdentifyQueue;
use crate::status::State;

/// How long the first word of the gateway may take; a resume host has less, since there is another address to try.
const HELLO_WITHIN: Duration = Duration::from_secs(15);
const RESUME_HELLO_WITHIN: Duration = Duration::from_secs(5);
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
    /// The gateway does not answer at the address that Discord named.
    pub(super) gateway_is_dead: bool,
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
            gateway_is_dead: false,
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

/// What twilight gives: a message, or that the gateway is gone without one.
type Said = Option<Result<Message, ReceiveMessageError>>;

/// What the gateway said.
enum Heard {
    /// A frame.
    Text(Bytes),
    /// A frame that twilight cannot read, and so has not worked in.
    Misread(Bytes),
    Closed(Option<CloseFrame<'static>>),
    Failed(ReceiveMessageError),
    Gone,
}

fn heard(said: Said) -> Heard {
    match said {
        Some(Ok(Message::Text(text))) => Heard::Text(text.into()),
        Some(Ok(Message::Close(frame))) => Heard::Closed(frame),
        // Its own error text holds the frame, and with it tokens of interactions.
        Some(Err(error)) if matches!(error.kind(), ReceiveMessageErrorType::Deserializing { .. }) => {
            match error.into_parts().0 {
                ReceiveMessageErrorType::Deserializing { event } => Heard::Misread(event.into()),
                _ => Heard::Gone,
            }
        }
        Some(Err(error)) => Heard::Failed(error),
        None => Heard::Gone,
    }
}

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
        let gateway_url = holding.shared.identify.gateway_url();
        // Without `proxy_url` twilight would fall back to Discord's own address, whatever `GET /gateway/bot` said.
        let config = ConfigBuilder::from(holding.shared.twilight.clone());
        let mut config = config.proxy_url(gateway_url.to_string());
        let mut on_resume_host = false;
        let mut address = &*gateway_url;
        if let Some(session) = &holding.session {
            config = config.session(twilight_gateway::Session::new(
                holding.tracker.last(),
                session.id.clone(),
            ));
            if let Some(url) = session.resume_url.as_deref().filter(|_| !holding.resume_host_is_dead) {
                config = config.resume_url(url.to_owned());
                on_resume_host = *url != *gateway_url;
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
                Next::Message(said) => self.received(heard(said), keeper),
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
        let ours = matches!(why.cause, "backpressure" | "unreadable" | "sequence");
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

    /// The broker takes nothing, and a heartbeat is due: reads the one frame that comes with it.
    async fn beat_the_heart(&mut self, keeper: &Keeper) -> Option<Ended> {
        let polled = tokio::select! {
            said = next(&mut self.gateway, self.said_hello) => Some(said),
            _ = self.holding.sender.room() => None,
            () = tokio::time::sleep(ACK) => None,
        };
        self.beat.polled(self.gateway.latency().sent());
        match heard(polled?) {
            // Only dispatches need room.
            Heard::Text(text) | Heard::Misread(text) if !Frame::read(&text).is_ok_and(|frame| frame.op != 0) => {
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
        why.gateway_is_dead = !self.on_resume_host && !self.said_hello;
        Ended::Lost(why)
    }

    fn silent(&self) -> Ended {
        self.lost("silent", "the gateway says nothing")
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
            // twilight may panic here as anywhere else.
            while let Some(Ok(message)) = next(&mut self.gateway, false).await {
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
