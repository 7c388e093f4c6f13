//! The state of a shard that is stored in the broker, and the tracking of confirmed sequence numbers.

use std::collections::VecDeque;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::discord::gateway_url;
use crate::frame::{FrameError, Ready};
use crate::resume::ResumeFailures;

/// Version of the stored value.
const VERSION: u16 = 1;
/// Longest session id in bytes. Discord's have 32; the headers of a message must fit one AMQP frame.
const MAX_ID_BYTES: usize = 256;

/// A gateway session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    /// Session id.
    pub(crate) id: String,
    /// URL at which to resume it, if READY had a valid one.
    pub(crate) resume_url: Option<String>,
    /// When it began: milliseconds since 1970 on Discord's clock.
    pub(crate) since_ms: i64,
}

fn is_id(text: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&text.len())
}

impl Session {
    /// The session of READY. The second value is why its resume URL is invalid, if it is.
    ///
    /// # Errors
    /// When the session id is empty or too long for a header of each event.
    pub(crate) fn begin(ready: Ready, since_ms: i64) -> Result<(Self, Option<String>), FrameError> {
        if !is_id(&ready.session_id) {
            return Err(FrameError::Missing("session id of 1 to 256 bytes"));
        }
        let checked = match &ready.resume_gateway_url {
            Some(Value::String(url)) => gateway_url(url),
            Some(_) => Err("READY has a resume_gateway_url that is not a string".to_owned()),
            None => Err("READY has no resume_gateway_url".to_owned()),
        };
        let (resume_url, why) = match checked {
            Ok(url) => (Some(url), None),
            Err(why) => (None, Some(why)),
        };
        let id = ready.session_id;
        Ok((
            Self {
                id,
                resume_url,
                since_ms,
            },
            why,
        ))
    }
}

/// The value in the queue `arrakis.ingestor.shard.{n}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredState {
    v: u16,
    /// Id of the process that wrote it.
    pub(crate) holder: String,
    /// Total number of shards when it was written. A session is valid for one number only.
    pub(crate) shards: u32,
    /// The session to resume, if there is one.
    pub(crate) session: Option<Session>,
    /// Highest sequence number such that it and all lower ones are confirmed.
    pub(crate) seq: u64,
    /// Failed attempts to resume the session. Older builds did not store them.
    #[serde(default)]
    pub(crate) resume_failures: ResumeFailures,
}

impl StoredState {
    pub(crate) fn new(holder: &str, shards: u32, session: Option<Session>, seq: u64) -> Self {
        Self {
            v: VERSION,
            holder: holder.to_owned(),
            shards,
            session,
            seq,
            resume_failures: ResumeFailures::default(),
        }
    }

    /// Sets the failed attempts to resume the session.
    pub(crate) fn with_failures(mut self, failures: ResumeFailures) -> Self {
        self.resume_failures = failures;
        self
    }

    pub(crate) fn encode(&self) -> Bytes {
        // Strings and numbers always serialise.
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// Decodes a stored value. An invalid value is logged and causes a new session.
    pub(crate) fn decode(value: &[u8]) -> Option<Self> {
        match serde_json::from_slice::<Self>(value) {
            Ok(mut state) if state.v == VERSION => {
                let is_seq = state.seq <= MAX_SEQ;
                state.session = state.session.filter(|session| is_seq && is_id(&session.id));
                if let Some(session) = &mut state.session {
                    session.resume_url = session.resume_url.take().and_then(|url| gateway_url(&url).ok());
                }
                Some(state)
            }
            Ok(state) => {
                tracing::error!(
                    version = state.v,
                    "the stored session has an unknown version; beginning a new one"
                );
                None
            }
            Err(error) => {
                tracing::error!(%error, "the stored session cannot be decoded; beginning a new one");
                None
            }
        }
    }
}

/// Highest sequence number that is accepted: the largest integer that every JSON reader represents exactly. A session with a million
/// events in a second reaches it after 285 years.
const MAX_SEQ: u64 = (1 << 53) - 1;

/// A sequence number compared with the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SequenceStep {
    /// The next number.
    Next,
    /// A higher number; this many numbers before it are missing.
    Jump(u64),
    /// The same number.
    Same,
    /// A lower number.
    Back,
    /// Higher than [`MAX_SEQ`].
    OutOfRange,
}

/// Tracks which sequence numbers are received and confirmed.
#[derive(Debug, Default)]
pub(crate) struct SequenceTracker {
    received: u64,
    /// Pipeline number and sequence number of unconfirmed dispatches, in order.
    unconfirmed: VecDeque<(u64, u64)>,
}

impl SequenceTracker {
    /// Starts at this sequence number, of a new or a stored session.
    pub(crate) fn begin(&mut self, seq: u64) {
        self.received = seq;
        self.unconfirmed.clear();
    }

    /// Records a received dispatch. `number` is its number in the pipeline, if it was forwarded.
    pub(crate) fn received(&mut self, seq: u64, number: Option<u64>) {
        self.received = self.received.max(seq);
        if let Some(number) = number {
            self.unconfirmed.push_back((number, seq));
        }
    }

    /// Compares a sequence number with the last one.
    pub(crate) fn step(&self, seq: u64) -> SequenceStep {
        match seq.checked_sub(self.received) {
            Some(1) if seq <= MAX_SEQ => SequenceStep::Next,
            _ if seq > MAX_SEQ => SequenceStep::OutOfRange,
            Some(0) => SequenceStep::Same,
            Some(more) => SequenceStep::Jump(more - 1),
            None => SequenceStep::Back,
        }
    }

    /// The highest sequence number received.
    pub(crate) fn last(&self) -> u64 {
        self.received
    }

    /// The highest sequence number such that it and all lower ones are confirmed or not forwarded. `number` is the last message that
    /// the pipeline has confirmed with all before it.
    pub(crate) fn confirmed(&mut self, number: u64) -> u64 {
        while self.unconfirmed.front().is_some_and(|(sent, _)| *sent <= number) {
            self.unconfirmed.pop_front();
        }
        self.unconfirmed.front().map_or(self.received, |(_, seq)| seq - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        Session {
            id: "abc".to_owned(),
            resume_url: Some("wss://resume.discord.gg".to_owned()),
            since_ms: 5,
        }
    }

    #[test]
    fn stored_state_round_trips() {
        let mut failures = ResumeFailures::default();
        failures.record(5, 17);
        let saved = StoredState::new("me", 4, Some(session()), 17).with_failures(failures);
        assert_eq!(StoredState::decode(&saved.encode()), Some(saved));
    }

    #[test]
    fn stored_state_without_resume_failures_is_decoded() {
        let kept = br#"{"v":1,"holder":"me","shards":1,"session":null,"seq":3}"#;
        assert_eq!(StoredState::decode(kept), Some(StoredState::new("me", 1, None, 3)));
    }

    #[test]
    fn malformed_resume_url_is_ignored_and_invalid_value_is_refused() {
        let wrong = Session {
            resume_url: Some("resume me".to_owned()),
            ..session()
        };
        let saved = StoredState::decode(&StoredState::new("me", 1, Some(wrong), 1).encode()).unwrap();
        assert_eq!(saved.session.unwrap().resume_url, None);
        assert_eq!(StoredState::decode(b"{"), None);
        let newer = String::from_utf8(StoredState::new("me", 1, None, 0).encode().to_vec())
            .unwrap()
            .replace("\"v\":1", "\"v\":2");
        assert_eq!(StoredState::decode(newer.as_bytes()), None);
    }

    #[test]
    fn sequence_numbers_are_compared_with_the_last() {
        let mut tracker = SequenceTracker::default();
        tracker.begin(50);
        for (seq, step) in [
            (51, SequenceStep::Next),
            (52, SequenceStep::Jump(1)),
            (MAX_SEQ, SequenceStep::Jump(MAX_SEQ - 51)),
            (50, SequenceStep::Same),
            (49, SequenceStep::Back),
            (0, SequenceStep::Back),
            (MAX_SEQ + 1, SequenceStep::OutOfRange),
            (u64::MAX, SequenceStep::OutOfRange),
        ] {
            assert_eq!(tracker.step(seq), step, "{seq}");
        }
    }

    #[test]
    fn stored_sequence_number_out_of_range_drops_the_session() {
        let saved = StoredState::new("me", 1, Some(session()), u64::MAX);
        assert_eq!(StoredState::decode(&saved.encode()).unwrap().session, None);
    }

    #[test]
    fn confirmed_number_is_the_last_before_the_first_unconfirmed_one() {
        let mut tracker = SequenceTracker::default();
        tracker.begin(1);
        assert_eq!(tracker.confirmed(0), 1);
        tracker.received(2, Some(1));
        tracker.received(3, None);
        tracker.received(4, Some(2));
        tracker.received(5, None);
        assert_eq!((tracker.last(), tracker.confirmed(0)), (5, 1));
        assert_eq!(tracker.confirmed(1), 3);
        assert_eq!(tracker.confirmed(2), 5);
        tracker.received(6, Some(3));
        tracker.begin(1);
        assert_eq!((tracker.last(), tracker.confirmed(2)), (1, 1));
    }
}
