//! One gateway connection, from open to close.
//!
//! twilight can reconnect by itself. Here a connection that ended is dropped and the next one is opened with the stored session, so
//! that this crate decides on the wait, the URL and the sequence number. `receive` processes the frames.

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

use super::LeasePeriod;
use super::heartbeat::HeartbeatSchedule;
use super::lease::{LeaseState, ShardLease};
use crate::clock::now_us;
use crate::frame::Frame;
use crate::identify::IdentifyQueue;
use crate::status::ShardPhase;

/// Time limit for HELLO.
const HELLO_TIMEOUT: Duration = Duration::from_secs(15);
/// Time limit for HELLO at the resume URL. It is shorter, since the gateway's own URL can be used instead.
const RESUME_HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// Time limit for sending a close frame and receiving the response.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Time limit for the acknowledgement of a heartbeat under backpressure.
const HEARTBEAT_ACK_TIMEOUT: Duration = Duration::from_secs(5);
/// Interval at which the state is sent to the lease's task.
const SAVE_INTERVAL: Duration = Duration::from_millis(500);
/// Largest sum of frames buffered under backpressure, in bytes. Beyond it the gateway connection is closed until there is room.
const MAX_BUFFERED_BYTES: usize = 4 << 20;
/// Time beyond two broker heartbeats for which a gateway connection is kept while another connection seems to hold the lease. That may
/// be this process's former broker connection, which the broker closes when two heartbeats are missing.
const TAKEOVER_MARGIN: Duration = Duration::from_secs(5);

/// Why a gateway connection ended.
pub(super) enum ConnectionEnd {
    /// The process stops.
    Stopped,
    /// Another process holds the lease on the shard.
    TakenOver,
    /// An operator must correct something.
    Fatal(Fatal),
    /// The shard must reconnect.
    Lost(ConnectionLoss),
}

/// Why a gateway connection was lost, and what that means for the session.
#[derive(Debug)]
pub(super) struct ConnectionLoss {
    /// Value of the metrics label `cause`.
    pub(super) cause: &'static str,
    /// Text for operators.
    pub(super) detail: String,
    /// Reason why the session cannot be resumed (a value of the metrics label `reason`), if it cannot.
    pub(super) session_lost: Option<&'static str>,
    /// The host of the resume URL is unreachable.
    pub(super) resume_host_failed: bool,
    /// The host of the gateway's URL is unreachable.
    pub(super) gateway_failed: bool,
    /// The gateway responded, and RESUME failed although Discord did not report the session as invalid.
    pub(super) resume_failed: bool,
}

impl ConnectionLoss {
    fn new(cause: &'static str, detail: impl Into<String>) -> Self {
        Self {
            cause,
            detail: detail.into(),
            session_lost: None,
            resume_host_failed: false,
            gateway_failed: false,
            resume_failed: false,
        }
    }
}

/// When a frame was received.
#[derive(Clone, Copy)]
struct ReceivedAt {
    /// Microseconds since 1970, for the labels.
    us: u64,
    /// For measuring.
    instant: std::time::Instant,
}

impl ReceivedAt {
    fn now() -> Self {
        Self {
            us: now_us(),
            instant: std::time::Instant::now(),
        }
    }
}

/// A frame that was received while the pipeline had no room.
struct BufferedFrame {
    text: Bytes,
    received_at: ReceivedAt,
}

/// An open gateway connection.
pub(super) struct Connection<'a> {
    period: &'a mut LeasePeriod,
    gateway: Shard<IdentifyQueue>,
    heartbeat: HeartbeatSchedule,
    buffered: VecDeque<BufferedFrame>,
    buffered_bytes: usize,
    /// When to close the connection unless the expected frame is received.
    deadline: Option<Instant>,
    on_resume_host: bool,
    hello_received: bool,
    /// A session is being resumed, and RESUMED is not received yet.
    resuming: bool,
    /// When to close this connection because another process holds the lease.
    takeover_at: Option<Instant>,
    opened: Instant,
}

/// A message polled from twilight; `None` when the connection broke without one.
type PolledMessage = Option<Result<Message, ReceiveMessageError>>;

/// Input from the gateway.
enum GatewayInput {
    /// A frame.
    Frame(Bytes),
    /// A frame that twilight cannot parse, and therefore has not processed.
    UnparsedFrame(Bytes),
    /// A close frame.
    Closed(Option<CloseFrame<'static>>),
    /// An error of twilight.
    Failed(ReceiveMessageError),
    /// The connection broke without a close frame.
    Broken,
}

fn gateway_input(polled: PolledMessage) -> GatewayInput {
    match polled {
        Some(Ok(Message::Text(text))) => GatewayInput::Frame(text.into()),
        Some(Ok(Message::Close(frame))) => GatewayInput::Closed(frame),
        // The error's text has the frame, with tokens of interactions.
        Some(Err(error)) if matches!(error.kind(), ReceiveMessageErrorType::Deserializing { .. }) => {
            match error.into_parts().0 {
                ReceiveMessageErrorType::Deserializing { event } => GatewayInput::UnparsedFrame(event.into()),
                _ => GatewayInput::Broken,
            }
        }
        Some(Err(error)) => GatewayInput::Failed(error),
        None => GatewayInput::Broken,
    }
}

/// What wakes the loop of a connection.
enum LoopEvent {
    Message(PolledMessage),
    Room,
    HeartbeatDue,
    LeaseChanged,
    Save,
    DeadlinePassed,
    Stop,
}

impl<'a> Connection<'a> {
    pub(super) fn open(period: &'a mut LeasePeriod) -> Self {
        let gateway_url = period.shared.identify.gateway_url();
        // Without `proxy_url` twilight would use Discord's default URL instead of the one from `GET /gateway/bot`.
        let config = ConfigBuilder::from(period.shared.twilight.clone());
        let mut config = config.proxy_url(gateway_url.to_string());
        let mut on_resume_host = false;
        let mut address = &*gateway_url;
        if let Some(session) = &period.session {
            config = config.session(twilight_gateway::Session::new(
                period.tracker.last(),
                session.id.clone(),
            ));
            if let Some(url) = session.resume_url.as_deref().filter(|_| !period.resume_host_failed) {
                config = config.resume_url(url.to_owned());
                on_resume_host = *url != *gateway_url;
                address = url;
            }
        }
        let action = if period.session.is_some() {
            "resuming at"
        } else {
            "identifying at"
        };
        tracing::info!(
            shard = period.status.id,
            address,
            seq = period.tracker.last(),
            "{action}"
        );
        period.status.set(ShardPhase::Connecting(format!("{action} {address}")));
        let gateway = Shard::with_config(period.shard_id(), config.build());
        let resuming = period.session.is_some();
        let hello_timeout = if on_resume_host {
            RESUME_HELLO_TIMEOUT
        } else {
            HELLO_TIMEOUT
        };
        Self {
            period,
            gateway,
            heartbeat: HeartbeatSchedule::new(),
            buffered: VecDeque::new(),
            buffered_bytes: 0,
            deadline: Some(Instant::now() + hello_timeout),
            on_resume_host,
            hello_received: false,
            resuming,
            takeover_at: None,
            opened: Instant::now(),
        }
    }

    /// Runs the connection to its end.
    pub(super) async fn run(
        mut self,
        lease: &mut ShardLease,
        stop: &CancellationToken,
    ) -> anyhow::Result<ConnectionEnd> {
        let mut save = tokio::time::interval(SAVE_INTERVAL);
        save.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut stopped = std::pin::pin!(stop.cancelled());
        loop {
            if let Some(ended) = self.forward_buffered(lease) {
                return Ok(ended);
            }
            let room = self.buffered.is_empty() && self.period.sender.has_room();
            let deadline = self.deadline;
            let next = tokio::select! {
                biased;
                () = &mut stopped => LoopEvent::Stop,
                changed = lease.state.changed() => { changed?; LoopEvent::LeaseChanged }
                _ = save.tick() => LoopEvent::Save,
                polled = next(&mut self.gateway, self.hello_received), if room => LoopEvent::Message(polled),
                open = self.period.sender.room(), if !room => {
                    anyhow::ensure!(open, "the pipeline to the broker has ended");
                    LoopEvent::Room
                }
                () = tokio::time::sleep_until(self.heartbeat.due()), if !room => LoopEvent::HeartbeatDue,
                () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() && room => LoopEvent::DeadlinePassed,
            };
            let ended = match next {
                LoopEvent::Message(polled) => self.received(gateway_input(polled), lease),
                LoopEvent::HeartbeatDue => self.send_heartbeat(lease).await,
                LoopEvent::Room => None,
                LoopEvent::LeaseChanged => self.lease_changed(lease)?,
                LoopEvent::Save => {
                    self.save(lease);
                    self.expect_ready();
                    self.takeover_at
                        .is_some_and(|at| at <= Instant::now())
                        .then_some(ConnectionEnd::TakenOver)
                }
                LoopEvent::DeadlinePassed => Some(self.deadline_passed()),
                LoopEvent::Stop => Some(ConnectionEnd::Stopped),
            };
            if let Some(mut ended) = ended {
                self.close(&ended).await;
                if let ConnectionEnd::Lost(loss) = &mut ended {
                    loss.resume_failed = self.resume_failed(loss);
                }
                return Ok(ended);
            }
        }
    }

    /// Whether the end of the connection counts as a failed RESUME. A close by this side, and an end before HELLO, do not.
    fn resume_failed(&self, loss: &ConnectionLoss) -> bool {
        let by_us = matches!(loss.cause, "backpressure" | "unreadable" | "sequence");
        self.resuming && self.hello_received && !by_us && loss.session_lost.is_none()
    }

    /// Handles a change of the lease. While it is not held the gateway connection is kept for some time, and events wait in its socket.
    fn lease_changed(&mut self, lease: &mut ShardLease) -> Result<Option<ConnectionEnd>, Fatal> {
        if !self.period.follow_lease(lease)? {
            return Ok(Some(ConnectionEnd::TakenOver));
        }
        let held_elsewhere = matches!(*lease.state.borrow(), LeaseState::Waiting { held_elsewhere: true });
        let keep_for = self.period.shared.connection.heartbeat() * 2 + TAKEOVER_MARGIN;
        self.takeover_at = held_elsewhere.then(|| self.takeover_at.unwrap_or_else(|| Instant::now() + keep_for));
        if held_elsewhere {
            // Nothing is published unless this process still holds the lock, so the shard is not reported as active.
            let reason = "another process seems to hold the lease".to_owned();
            self.period.status.set(ShardPhase::Connecting(reason));
        } else if self.deadline.is_none() && self.hello_received && self.period.session.is_some() {
            self.period.status.set(ShardPhase::Active);
        }
        Ok(None)
    }

    /// Sets the deadline for READY. It counts from IDENTIFY, since a new session may wait long for an identify slot.
    fn expect_ready(&mut self) {
        let identifying = self.hello_received && !self.resuming && self.period.session.is_none();
        if identifying && self.deadline.is_none() {
            let granted = self.period.shared.identify.granted(self.period.status.id);
            let granted = granted.filter(|at| *at >= self.opened);
            self.deadline = granted.map(|at| at + self.period.shared.limits.ready);
        }
    }

    fn save(&mut self, lease: &ShardLease) {
        let latency = self.gateway.latency().recent().first().copied();
        let buffered = self.buffered.len();
        self.period.status.update(|counters| {
            counters.latency = latency;
            counters.buffered = buffered;
        });
        self.period.save(lease);
    }

    /// Polls the gateway although the pipeline has no room, so that twilight sends a due heartbeat. The frame that this reads is buffered.
    async fn send_heartbeat(&mut self, lease: &ShardLease) -> Option<ConnectionEnd> {
        let polled = tokio::select! {
            polled = next(&mut self.gateway, self.hello_received) => Some(polled),
            _ = self.period.sender.room() => None,
            () = tokio::time::sleep(HEARTBEAT_ACK_TIMEOUT) => None,
        };
        self.heartbeat.polled(self.gateway.latency().sent());
        match gateway_input(polled?) {
            // Only dispatches need room in the pipeline.
            GatewayInput::Frame(text) | GatewayInput::UnparsedFrame(text)
                if !Frame::read(&text).is_ok_and(|frame| frame.op != 0) =>
            {
                self.buffered_bytes += text.len();
                self.buffered.push_back(BufferedFrame {
                    text,
                    received_at: ReceivedAt::now(),
                });
                (self.buffered_bytes > MAX_BUFFERED_BYTES).then(|| {
                    self.lost(
                        "backpressure",
                        "the broker accepts no messages and the buffer of frames is full",
                    )
                })
            }
            other => self.received(other, lease),
        }
    }

    /// Processes buffered frames while the pipeline has room.
    fn forward_buffered(&mut self, lease: &ShardLease) -> Option<ConnectionEnd> {
        while self.period.sender.has_room() {
            let frame = self.buffered.pop_front()?;
            self.buffered_bytes -= frame.text.len();
            if let Some(ended) = self.frame(&frame.text, frame.received_at, lease) {
                return Some(ended);
            }
        }
        None
    }

    fn lost(&self, cause: &'static str, detail: impl Into<String>) -> ConnectionEnd {
        let mut loss = ConnectionLoss::new(cause, detail);
        // A host that closes before HELLO counts as unreachable.
        loss.resume_host_failed = self.on_resume_host && !self.hello_received;
        loss.gateway_failed = !self.on_resume_host && !self.hello_received;
        ConnectionEnd::Lost(loss)
    }

    fn deadline_passed(&self) -> ConnectionEnd {
        self.lost("silent", "the gateway did not send the expected frame in time")
    }

    /// Closes the connection with a code that keeps the session resumable (not 1000 or 1001). Frames received meanwhile are discarded;
    /// RESUME replays them.
    async fn close(&mut self, ended: &ConnectionEnd) {
        let close_is_needed = match ended {
            ConnectionEnd::Stopped | ConnectionEnd::TakenOver => true,
            ConnectionEnd::Lost(loss) => !matches!(loss.cause, "closed" | "dropped") && self.hello_received,
            ConnectionEnd::Fatal(_) => false,
        };
        if !close_is_needed {
            return;
        }
        self.gateway.close(CloseFrame::RESUME);
        let closed = async {
            while let Some(Ok(message)) = next(&mut self.gateway, false).await {
                // After its close twilight reconnects; HELLO is the first frame of the new connection.
                let hello = matches!(&message, Message::Text(text) if Frame::read(text.as_bytes()).is_ok_and(|frame| frame.op == 10));
                if hello || message.is_close() {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, closed).await;
    }
}

/// The next message of the gateway. twilight does not report a connection that broke without a close frame: it reconnects in the same
/// poll. The state of twilight shows that.
async fn next(gateway: &mut Shard<IdentifyQueue>, was_connected: bool) -> PolledMessage {
    std::future::poll_fn(|context| {
        // twilight panics at some input, for instance a heartbeat interval of zero. That must end the connection, not the process.
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
