//! Processing of the frames of a gateway connection.

use std::time::{Duration, SystemTime};

use arrakis_causes::causes;
use arrakis_runtime::fail_point;
use arrakis_telemetry::export::{self, RootSpan};
use arrakis_telemetry::trace::Traceparent;
use bytes::Bytes;
use tokio::time::Instant;
use twilight_gateway::CloseFrame;
use twilight_gateway::error::{ReceiveMessageError, ReceiveMessageErrorType};

use super::{Connection, ConnectionEnd, ConnectionLoss, GatewayInput, ReceivedAt};
use crate::clock::now_ms;
use crate::frame::{Frame, FrameError, Hello, LabelContext, Ready, label};
use crate::session::{SequenceStep, Session};
use crate::shard::close_code::{CloseAction, close_action};
use crate::shard::lease::ShardLease;
use crate::status::ShardPhase;

/// Longest time between two frames of a replay.
const REPLAY_TIMEOUT: Duration = Duration::from_secs(30);
/// Number of RESUMEs to receive an unreadable frame again before it is given up.
const MAX_UNREADABLE_RETRIES: u32 = 2;

impl Connection<'_> {
    /// Processes input from the gateway. The pipeline must have room.
    pub(super) fn received(&mut self, input: GatewayInput, lease: &ShardLease) -> Option<ConnectionEnd> {
        match input {
            GatewayInput::Frame(text) => self.frame(&text, ReceivedAt::now(), lease),
            GatewayInput::UnparsedFrame(text) => self.unparsed_frame(&text, lease),
            GatewayInput::Closed(frame) => Some(self.closed(frame.as_ref())),
            GatewayInput::Failed(error) => Some(self.failed(&error)),
            GatewayInput::Broken => Some(self.lost("dropped", "connection closed without a close frame")),
        }
    }

    /// Processes a frame that twilight cannot parse. For a dispatch, such as READY without a resume URL, that has no effect. Other frames
    /// end the connection: twilight then neither identifies nor sends heartbeats.
    fn unparsed_frame(&mut self, text: &Bytes, lease: &ShardLease) -> Option<ConnectionEnd> {
        let frame = match Frame::read(text) {
            Ok(frame) => frame,
            Err(error) => return self.unreadable(&error),
        };
        match frame.op {
            0 | 7 | 9 => self.frame(text, ReceivedAt::now(), lease),
            10 => {
                let error = frame.payload::<Hello>().err().unwrap_or(FrameError::Unparsed(10));
                self.unreadable(&error)
            }
            op => self.unreadable(&FrameError::Unparsed(op)),
        }
    }

    pub(super) fn frame(&mut self, text: &Bytes, received_at: ReceivedAt, lease: &ShardLease) -> Option<ConnectionEnd> {
        let frame = match Frame::read(text) {
            Ok(frame) => frame,
            Err(error) => return self.unreadable(&error),
        };
        match frame.op {
            0 => {
                self.deadline = self.deadline.map(|_| Instant::now() + REPLAY_TIMEOUT);
                match self.dispatch(text, &frame, received_at, lease) {
                    Ok(()) => None,
                    Err(error) => self.unreadable(&error),
                }
            }
            7 => Some(self.lost("reconnect", "Discord requested a reconnect (op 7)")),
            9 => {
                let resumable = frame.payload::<bool>();
                let detail = match &resumable {
                    Ok(resumable) => format!("invalid session (op 9, resumable: {resumable})"),
                    // RESUME costs nothing, and its failures are limited.
                    Err(error) => format!("invalid session (op 9), treated as resumable: {error}"),
                };
                let mut loss = ConnectionLoss::new("invalid_session", detail);
                loss.session_lost = matches!(resumable, Ok(false)).then_some("invalid_session");
                Some(ConnectionEnd::Lost(loss))
            }
            10 => {
                self.hello_received = true;
                if !self.on_resume_host {
                    self.period.shared.identify.gateway_is_reachable();
                }
                if let Ok(hello) = frame.payload::<Hello>() {
                    self.heartbeat.hello(hello.heartbeat_interval);
                }
                // A new session may wait long for an identify slot. Missing heartbeat acknowledgements end a dead connection meanwhile.
                self.deadline = self
                    .resuming
                    .then(|| Instant::now() + self.period.shared.limits.resume_answer);
                None
            }
            _ => None,
        }
    }

    fn dispatch(
        &mut self,
        text: &Bytes,
        frame: &Frame<'_>,
        received_at: ReceivedAt,
        lease: &ShardLease,
    ) -> Result<(), FrameError> {
        let event = frame.t.as_deref().ok_or(FrameError::Missing("t"))?;
        let seq = frame.s.ok_or(FrameError::Missing("s"))?;
        match event {
            "READY" => return self.ready(frame, seq, lease),
            "RESUMED" => {
                self.resumed(seq);
                return Ok(());
            }
            _ => {}
        }
        self.period.shared.metrics.received();
        if self.period.session.is_none() {
            return Err(FrameError::NoSession);
        }
        if !self.is_new(seq)? {
            self.period.shared.metrics.repeated();
            return Ok(());
        }
        let period = &mut *self.period;
        if !period.shared.events.allows(event) {
            period.shared.metrics.skipped();
            period.tracker.received(seq, None);
            return Ok(());
        }
        let Some(session) = &period.session else {
            return Err(FrameError::NoSession);
        };
        // The span ends when the message is in the pipeline.
        let span = export::root(
            "ingestor.event.publish",
            || SystemTime::UNIX_EPOCH + Duration::from_micros(received_at.us),
            || [("event", event.to_owned()), ("shard", period.status.id.to_string())],
        );
        let context = LabelContext {
            shard: period.status.id,
            shards: period.shared.shards,
            session: &session.id,
            session_since_ms: session.since_ms,
            received_us: received_at.us,
            clock_offset_ms: period.shared.clock.ms(),
            traceparent: span.as_ref().map_or_else(Traceparent::new_root, RootSpan::traceparent),
        };
        let mut message = label(text, frame, context)?;
        message.received = Some(received_at.instant);
        fail_point::hit_now("ingestor.received", &[event]);
        // The caller has checked that there is room.
        let number = period.sender.send(message).map_err(|_| FrameError::NoRoom)?;
        period.shared.metrics.forwarded(event);
        period.tracker.received(seq, Some(number));
        Ok(())
    }

    /// Whether a dispatch with this sequence number is new; `false` when it was received before. Discord counts by one: missing numbers
    /// count as a gap. An event's id is derived from its number, so a number that goes back or is out of range is an error.
    fn is_new(&mut self, seq: u64) -> Result<bool, FrameError> {
        let period = &mut *self.period;
        match period.tracker.step(seq) {
            SequenceStep::Next => Ok(true),
            SequenceStep::Jump(missing) => {
                period.sequence_numbers_missing(seq, missing);
                Ok(true)
            }
            SequenceStep::Same => Ok(false),
            // A replay may repeat dispatches that are published or confirmed.
            SequenceStep::Back if self.resuming => Ok(false),
            SequenceStep::Back | SequenceStep::OutOfRange => Err(FrameError::Sequence {
                last: period.tracker.last(),
                seq,
            }),
        }
    }

    fn ready(&mut self, frame: &Frame<'_>, seq: u64, lease: &ShardLease) -> Result<(), FrameError> {
        let ready: Ready = frame.payload()?;
        let since_ms = now_ms() + self.period.shared.clock.ms();
        let (session, invalid_url) = Session::begin(ready, since_ms)?;
        if let Some(reason) = invalid_url {
            tracing::warn!(
                shard = self.period.status.id,
                reason,
                "invalid resume URL; the gateway's own URL is used to resume"
            );
        }
        tracing::info!(shard = self.period.status.id, session = session.id, "session started");
        let period = &mut *self.period;
        period.session = Some(session);
        period.resume_host_failed = false;
        period.reset_resume_failures();
        period.tracker.begin(1);
        if period.tracker.step(seq) == SequenceStep::OutOfRange {
            period.sequence_gap(seq, "READY has a sequence number out of range; using 1");
        } else {
            period.tracker.begin(seq);
        }
        period.status.update(|counters| counters.identified += 1);
        self.set_active();
        self.period.save(lease);
        Ok(())
    }

    fn resumed(&mut self, seq: u64) {
        tracing::info!(shard = self.period.status.id, seq, "session resumed");
        match self.period.tracker.step(seq) {
            SequenceStep::Next | SequenceStep::Same | SequenceStep::Back => {}
            SequenceStep::Jump(missing) => self.period.sequence_numbers_missing(seq, missing),
            SequenceStep::OutOfRange => self
                .period
                .sequence_gap(seq, "RESUMED has a sequence number out of range; ignored"),
        }
        if self.period.tracker.step(seq) != SequenceStep::OutOfRange {
            self.period.tracker.received(seq, None);
        }
        self.period.reset_resume_failures();
        self.period.shared.metrics.resumed();
        self.period.status.update(|counters| counters.resumed += 1);
        self.set_active();
    }

    fn set_active(&mut self) {
        self.deadline = None;
        self.resuming = false;
        self.period.status.set(ShardPhase::Active);
    }

    fn closed(&self, frame: Option<&CloseFrame<'_>>) -> ConnectionEnd {
        let code = frame.map(|frame| frame.code);
        let detail = match frame {
            Some(frame) => format!("close code {}: {}", frame.code, frame.reason),
            None => "close frame without a code".to_owned(),
        };
        match close_action(code, self.period.status.id, self.period.shared.shards) {
            CloseAction::Stop(fatal) => ConnectionEnd::Fatal(fatal),
            CloseAction::Resume => self.lost("closed", detail),
            CloseAction::NewSession => {
                let mut loss = ConnectionLoss::new("closed", detail);
                loss.session_lost = Some("close_code");
                ConnectionEnd::Lost(loss)
            }
        }
    }

    fn failed(&self, error: &ReceiveMessageError) -> ConnectionEnd {
        match error.kind() {
            ReceiveMessageErrorType::Reconnect => {
                let mut loss = ConnectionLoss::new("unreachable", causes(error));
                loss.resume_host_failed = self.on_resume_host;
                loss.gateway_failed = !self.on_resume_host;
                ConnectionEnd::Lost(loss)
            }
            _ => self.lost("compression", "a frame could not be decompressed"),
        }
    }

    /// Handles an unreadable frame. RESUME from the sequence number before it makes the gateway send it again; a frame that stays
    /// unreadable is given up and counted as a gap. If its sequence number is invalid, the session is given up instead, because the
    /// numbers of later events would be unreliable.
    fn unreadable(&mut self, error: &FrameError) -> Option<ConnectionEnd> {
        let period = &mut *self.period;
        period.shared.metrics.unreadable();
        let cause = match error {
            FrameError::Sequence { .. } => "sequence",
            _ => "unreadable",
        };
        let last = period.tracker.last();
        let attempts = if period.unreadable_after == last {
            period.unreadable_attempts + 1
        } else {
            1
        };
        (period.unreadable_after, period.unreadable_attempts) = (last, attempts);
        // Without a session the frame cannot be skipped. The waits between connections and the session start limit bound the retries.
        if attempts <= MAX_UNREADABLE_RETRIES || period.session.is_none() {
            tracing::error!(shard = period.status.id, %error, after_seq = last, attempts, "unreadable frame; resuming to receive it again");
            return Some(self.lost(cause, error.to_string()));
        }
        if cause == "sequence" {
            tracing::error!(shard = period.status.id, %error, "invalid sequence numbers: beginning a new session");
            let mut loss = ConnectionLoss::new(cause, error.to_string());
            loss.session_lost = Some(cause);
            return Some(ConnectionEnd::Lost(loss));
        }
        tracing::error!(shard = period.status.id, %error, after_seq = last, "unreadable frame skipped");
        period.shared.metrics.gap("unreadable_frame");
        period.status.update(|counters| counters.gaps += 1);
        None
    }
}
