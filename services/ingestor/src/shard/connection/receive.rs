//! What the frames of a gateway connection mean.

use std::time::Duration;

use arrakis_causes::causes;
use arrakis_runtime::fail_point;
use bytes::Bytes;
use tokio::time::Instant;
use twilight_gateway::CloseFrame;
use twilight_gateway::error::{ReceiveMessageError, ReceiveMessageErrorType};

use super::{Connection, Ended, Heard, Receipt, Why};
use crate::clock::now_ms;
use crate::frame::{Context, Frame, FrameError, Hello, Ready, label};
use crate::session::{Session, Step};
use crate::shard::close::{After, after};
use crate::shard::keeper::Keeper;
use crate::status::State;

/// How long the gateway may be silent while it replays.
const REPLAY_WITHIN: Duration = Duration::from_secs(30);
/// How often the same frame is asked for again before it is given up.
const UNREADABLE_TRIES: u32 = 2;

impl Connection<'_> {
    /// Handles what the gateway said, when there is room for it.
    pub(super) fn received(&mut self, heard: Heard, keeper: &Keeper) -> Option<Ended> {
        match heard {
            Heard::Text(text) => self.frame(&text, Receipt::now(), keeper),
            Heard::Misread(text) => self.misread(&text, keeper),
            Heard::Closed(frame) => Some(self.closed(frame.as_ref())),
            Heard::Failed(error) => Some(self.failed(&error)),
            Heard::Gone => Some(self.lost("dropped", "the connection broke off")),
        }
    }

    /// A frame that twilight has not worked in. A dispatch does without: READY without a resume address is one. After others
    /// the connection is of no use, since twilight neither identifies nor beats the heart.
    fn misread(&mut self, text: &Bytes, keeper: &Keeper) -> Option<Ended> {
        let frame = match Frame::read(text) {
            Ok(frame) => frame,
            Err(error) => return self.unreadable(&error),
        };
        match frame.op {
            0 | 7 | 9 => self.frame(text, Receipt::now(), keeper),
            10 => {
                let error = frame.payload::<Hello>().err().unwrap_or(FrameError::Misread(10));
                self.unreadable(&error)
            }
            op => self.unreadable(&FrameError::Misread(op)),
        }
    }

    pub(super) fn frame(&mut self, text: &Bytes, receipt: Receipt, keeper: &Keeper) -> Option<Ended> {
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
                let resumable = frame.payload::<bool>();
                let detail = match &resumable {
                    Ok(resumable) => format!("invalid session (op 9, resumable: {resumable})"),
                    // Resuming is free, and ends by itself if it fails each time.
                    Err(error) => format!("invalid session (op 9); taken for resumable, since {error}"),
                };
                let mut why = Why::new("invalid_session", detail);
                why.session_is_gone = matches!(resumable, Ok(false)).then_some("invalid_session");
                Some(Ended::Lost(why))
            }
            10 => {
                self.said_hello = true;
                if !self.on_resume_host {
                    self.holding.shared.identify.address_works();
                }
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
        if self.holding.session.is_none() {
            return Err(FrameError::Missing("session before it"));
        }
        if !self.follows(seq)? {
            self.holding.shared.metrics.repeated();
            return Ok(());
        }
        let holding = &mut *self.holding;
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
        let number = holding.sender.send(message).map_err(|_| FrameError::NoRoom)?;
        holding.shared.metrics.forwarded(event);
        holding.tracker.received(seq, Some(number));
        Ok(())
    }

    /// Whether a dispatch with this sequence number is new; `false` when it is known already. Discord counts by one: numbers that
    /// are left out are counted as a gap. The number of one event is not another's, since the event's id is made from it, so one
    /// that goes back, or is none, is an error.
    fn follows(&mut self, seq: u64) -> Result<bool, FrameError> {
        let holding = &mut *self.holding;
        match holding.tracker.step(seq) {
            Step::Next => Ok(true),
            Step::Jump(missing) => {
                holding.jumped(seq, missing);
                Ok(true)
            }
            Step::Same => Ok(false),
            // A replay may repeat what is already on its way or confirmed.
            Step::Back if self.resuming => Ok(false),
            Step::Back | Step::Impossible => Err(FrameError::Sequence {
                last: holding.tracker.last(),
                seq,
            }),
        }
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
        holding.tracker.begin(1);
        if holding.tracker.step(seq) == Step::Impossible {
            holding.sequence_gap(seq, "READY has an impossible sequence number; taken for 1");
        } else {
            holding.tracker.begin(seq);
        }
        holding.status.update(|numbers| numbers.identified += 1);
        self.active();
        self.holding.save(keeper);
        Ok(())
    }

    fn resumed(&mut self, seq: u64) {
        tracing::info!(shard = self.holding.status.id, seq, "session resumed");
        match self.holding.tracker.step(seq) {
            Step::Next | Step::Same | Step::Back => {}
            Step::Jump(missing) => self.holding.jumped(seq, missing),
            Step::Impossible => self
                .holding
                .sequence_gap(seq, "RESUMED has an impossible sequence number; ignored"),
        }
        if self.holding.tracker.step(seq) != Step::Impossible {
            self.holding.tracker.received(seq, None);
        }
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

    fn failed(&self, error: &ReceiveMessageError) -> Ended {
        match error.kind() {
            ReceiveMessageErrorType::Reconnect => {
                let mut why = Why::new("unreachable", causes(error));
                why.resume_host_is_dead = self.on_resume_host;
                why.gateway_is_dead = !self.on_resume_host;
                Ended::Lost(why)
            }
            _ => self.lost("compression", "a frame could not be decompressed"),
        }
    }

    /// A frame that cannot be read is asked for again by resuming before it; one that stays so is given up and counted. If it is
    /// the sequence numbers that make no sense, the session is given up instead: no event after it could be placed.
    fn unreadable(&mut self, error: &FrameError) -> Option<Ended> {
        let holding = &mut *self.holding;
        holding.shared.metrics.unreadable();
        let cause = match error {
            FrameError::Sequence { .. } => "sequence",
            _ => "unreadable",
        };
        let last = holding.tracker.last();
        let (seq, tries) = holding.unreadable;
        holding.unreadable = if seq == last { (seq, tries + 1) } else { (last, 1) };
        let tries = holding.unreadable.1;
        // Without a session nothing can follow: the pace of connecting and the identify budget bound the trying.
        if tries <= UNREADABLE_TRIES || holding.session.is_none() {
            tracing::error!(shard = holding.status.id, %error, after_seq = last, tries, "unreadable frame; asking for it again");
            return Some(self.lost(cause, error.to_string()));
        }
        if cause == "sequence" {
            tracing::error!(shard = holding.status.id, %error, "the session's sequence numbers make no sense: identifying anew");
            let mut why = Why::new(cause, error.to_string());
            why.session_is_gone = Some(cause);
            return Some(Ended::Lost(why));
        }
        tracing::error!(shard = holding.status.id, %error, after_seq = last, "unreadable frame given up");
        holding.shared.metrics.gap("unreadable_frame");
        holding.status.update(|numbers| numbers.gaps += 1);
        None
    }
}
