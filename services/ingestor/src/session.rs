//! What a shard keeps in the broker, and the sequence number such that it and all before it are confirmed.

use std::collections::VecDeque;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::discord::gateway_url;
use crate::frame::{FrameError, Ready};
use crate::resume::ResumeFailures;

/// Version of the stored value.
const VERSION: u16 = 1;
/// Longest session id. Discord's have 32 bytes; all headers of a message must fit one frame of AMQP.
const LONGEST_ID: usize = 256;

/// A gateway session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    /// Id.
    pub(crate) id: String,
    /// Where it is resumed; checked.
    pub(crate) resume_url: Option<String>,
    /// When it began: milliseconds since 1970 on Discord's clock.
    pub(crate) since_ms: i64,
}

fn is_id(text: &str) -> bool {
    (1..=LONGEST_ID).contains(&text.len())
}

impl Session {
    /// The session that READY begins, and why its resume address is left out, if it is.
    ///
    /// # Errors
    /// When the id cannot be one: it travels with every event.
    pub(crate) fn begin(ready: Ready, since_ms: i64) -> Result<(Self, Option<String>), FrameError> {
        if !is_id(&ready.session_id) {
            return Err(FrameError::Missing("session id of 1 to 256 bytes"));
        }
        let checked = match &ready.resume_gateway_url {
            Some(Value::String(url)) => gateway_url(url),
            Some(_) => Err("READY has a resume_gateway_url that is no text".to_owned()),
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

/// The value in `arrakis.ingestor.shard.{n}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Saved {
    v: u16,
    /// Process that wrote it.
    pub(crate) holder: String,
    /// Shards in all when it was written: a session belongs to one division into shards.
    pub(crate) shards: u32,
    /// Session, if there is one to resume.
    pub(crate) session: Option<Session>,
    /// All up to here is confirmed.
    pub(crate) seq: u64,
    /// Failed attempts to resume the session; older builds did not keep them.
    #[serde(default)]
    pub(crate) resume_failures: ResumeFailures,
}

impl Saved {
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

    /// Adds the failed attempts to resume the session.
    pub(crate) fn with_failures(mut self, failures: ResumeFailures) -> Self {
        self.resume_failures = failures;
        self
    }

    pub(crate) fn encode(&self) -> Bytes {
        // Strings and numbers always serialise.
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// Reads a stored value. One that cannot be read costs a new session, so it is said and not fatal.
    pub(crate) fn decode(value: &[u8]) -> Option<Self> {
        match serde_json::from_slice::<Self>(value) {
            Ok(mut saved) if saved.v == VERSION => {
                let is_seq = saved.seq <= HIGHEST_SEQ;
                saved.session = saved.session.filter(|session| is_seq && is_id(&session.id));
                if let Some(session) = &mut saved.session {
                    session.resume_url = session.resume_url.take().and_then(|url| gateway_url(&url).ok());
                }
                Some(saved)
            }
            Ok(saved) => {
                tracing::error!(
                    version = saved.v,
                    "the stored session is of another version; starting a new one"
                );
                None
            }
            Err(error) => {
                tracing::error!(%error, "the stored session cannot be read; starting a new one");
                None
            }
        }
    }
}

/// Highest number that is taken for a sequence number: what every JSON reader holds without rounding. At a million events a
/// second a session reaches it after 285 years.
const HIGHEST_SEQ: u64 = (1 << 53) - 1;

/// What a dispatch's sequence number is to the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// One more.
    Next,
    /// So many numbers in between did not come.
    Jump(u64),
    /// The same.
    Same,
    /// Less.
    Back,
    /// No sequence number.
    Impossible,
}

/// Which sequence numbers are under way.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    received: u64,
    /// Number in the pipeline and sequence number, in order.
    outstanding: VecDeque<(u64, u64)>,
}

impl Tracker {
    /// Begins at this sequence number: a new session, or one taken over.
    pub(crate) fn begin(&mut self, seq: u64) {
        self.received = seq;
        self.outstanding.clear();
    }

    /// A dispatch was received; `number` is its place in the pipeline if it was forwarded.
    pub(crate) fn received(&mut self, seq: u64, number: Option<u64>) {
        self.received = self.received.max(seq);
        if let Some(number) = number {
            self.outstanding.push_back((number, seq));
        }
    }

    /// What this sequence number is to the last one.
    pub(crate) fn step(&self, seq: u64) -> Step {
        match seq.checked_sub(self.received) {
            Some(1) if seq <= HIGHEST_SEQ => Step::Next,
            _ if seq > HIGHEST_SEQ => Step::Impossible,
            Some(0) => Step::Same,
            Some(more) => Step::Jump(more - 1),
            None => Step::Back,
        }
    }

    /// The last sequence number received.
    pub(crate) fn last(&self) -> u64 {
        self.received
    }

    /// The highest sequence number such that it and all before it are confirmed or were not to be forwarded, once the
    /// pipeline has confirmed all up to `number`.
    pub(crate) fn confirmed(&mut self, number: u64) -> u64 {
        while self.outstanding.front().is_some_and(|(sent, _)| *sent <= number) {
            self.outstanding.pop_front();
        }
        self.outstanding.front().map_or(self.received, |(_, seq)| seq - 1)
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
    fn what_is_saved_is_read() {
        let mut failures = ResumeFailures::default();
        failures.record(5, 17);
        let saved = Saved::new("me", 4, Some(session()), 17).with_failures(failures);
        assert_eq!(Saved::decode(&saved.encode()), Some(saved));
    }

    #[test]
    fn a_value_of_a_build_that_counted_no_failures_is_read() {
        let kept = br#"{"v":1,"holder":"me","shards":1,"session":null,"seq":3}"#;
        assert_eq!(Saved::decode(kept), Some(Saved::new("me", 1, None, 3)));
    }

    #[test]
    fn a_malformed_resume_address_is_left_out_and_nonsense_costs_a_session() {
        let wrong = Session {
            resume_url: Some("resume me".to_owned()),
            ..session()
        };
        let saved = Saved::decode(&Saved::new("me", 1, Some(wrong), 1).encode()).unwrap();
        assert_eq!(saved.session.unwrap().resume_url, None);
        assert_eq!(Saved::decode(b"{"), None);
        let newer = String::from_utf8(Saved::new("me", 1, None, 0).encode().to_vec())
            .unwrap()
            .replace("\"v\":1", "\"v\":2");
        assert_eq!(Saved::decode(newer.as_bytes()), None);
    }

    #[test]
    fn sequence_numbers_are_compared_with_the_last() {
        let mut tracker = Tracker::default();
        tracker.begin(50);
        for (seq, step) in [
            (51, Step::Next),
            (52, Step::Jump(1)),
            (HIGHEST_SEQ, Step::Jump(HIGHEST_SEQ - 51)),
            (50, Step::Same),
            (49, Step::Back),
            (0, Step::Back),
            (HIGHEST_SEQ + 1, Step::Impossible),
            (u64::MAX, Step::Impossible),
        ] {
            assert_eq!(tracker.step(seq), step, "{seq}");
        }
    }

    #[test]
    fn stored_sequence_number_that_is_none_costs_a_session() {
        let saved = Saved::new("me", 1, Some(session()), u64::MAX);
        assert_eq!(Saved::decode(&saved.encode()).unwrap().session, None);
    }

    #[test]
    fn confirmed_is_the_last_before_the_first_that_is_not() {
        let mut tracker = Tracker::default();
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
