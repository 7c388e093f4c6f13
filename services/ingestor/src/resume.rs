//! When a session that cannot be resumed is given up.
//!
//! A RESUME can fail without Discord saying that the session is gone: the connection is reset or closed with a resumable
//! code, op 9 says `true` each time, or nothing follows the HELLO. Resuming is free and identifying is not, so it is tried
//! again, but not without end: no event arrives meanwhile. Only attempts that the gateway answered with a HELLO count, so an
//! outage of the network costs no session. The count is kept with the session, so that a restart continues it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Limits on attempts to connect a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// Failed RESUMEs in a row without a replayed event after which the session is given up, once `give_up_after` has also
    /// passed.
    pub failures: u32,
    /// Shortest time from the first of these failures to the last.
    pub give_up_after: Duration,
    /// How long the gateway may take to send the first frame after a RESUME.
    pub resume_answer: Duration,
    /// How long READY may take after an IDENTIFY.
    pub ready: Duration,
}

impl Default for SessionLimits {
    /// A restart of the gateway takes seconds, and it answers a RESUME within one.
    fn default() -> Self {
        Self {
            failures: 5,
            give_up_after: Duration::from_secs(20),
            resume_answer: Duration::from_secs(10),
            ready: Duration::from_secs(30),
        }
    }
}

/// Failures without a completed RESUME after which a session is given up although each attempt replayed some events.
const MOST_PARTIAL_REPLAYS: u32 = 50;
/// Failures after which the resume address is not used any more: the first address serves the session too.
const MOST_AT_RESUME_ADDRESS: u32 = 2;

/// Failed attempts to resume the present session since it was last connected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ResumeFailures {
    /// All of them.
    total: u32,
    /// Those since an event was last replayed.
    without_progress: u32,
    /// When the first of `without_progress` was, in milliseconds since 1970.
    since_ms: i64,
    /// Highest sequence number received by then.
    seq: u64,
}

impl ResumeFailures {
    /// Counts one failure, at this time and with this highest sequence number received.
    pub(crate) fn record(&mut self, now_ms: i64, seq: u64) {
        self.total = self.total.saturating_add(1);
        if self.without_progress == 0 || seq > self.seq || now_ms < self.since_ms {
            // The clock may have been set back.
            self.since_ms = now_ms;
        }
        self.without_progress = if seq > self.seq {
            1
        } else {
            self.without_progress.saturating_add(1)
        };
        self.seq = self.seq.max(seq);
    }

    /// Failures so far.
    pub(crate) fn total(&self) -> u32 {
        self.total
    }

    /// Whether the session is to be given up.
    pub(crate) fn are_too_many(&self, now_ms: i64, limits: SessionLimits) -> bool {
        let elapsed = Duration::from_millis(u64::try_from(now_ms - self.since_ms).unwrap_or(0));
        let no_progress = self.without_progress >= limits.failures && elapsed >= limits.give_up_after;
        no_progress || self.total >= MOST_PARTIAL_REPLAYS
    }

    /// Whether the next attempt goes to the first address instead of the resume address.
    pub(crate) fn avoid_resume_address(&self) -> bool {
        self.without_progress >= MOST_AT_RESUME_ADDRESS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SessionLimits = SessionLimits {
        failures: 5,
        give_up_after: Duration::from_secs(20),
        resume_answer: Duration::from_secs(10),
        ready: Duration::from_secs(30),
    };
    const LONG_MS: i64 = 20_000;

    #[test]
    fn session_is_given_up_after_enough_failures_and_enough_time() {
        let mut failures = ResumeFailures::default();
        for attempt in 0..5 {
            assert!(!failures.are_too_many(attempt, LIMITS));
            failures.record(attempt, 7);
        }
        assert!(!failures.are_too_many(LONG_MS - 1, LIMITS), "too early");
        assert!(failures.are_too_many(LONG_MS, LIMITS));
    }

    #[test]
    fn few_failures_over_a_long_time_do_not_end_a_session() {
        let mut failures = ResumeFailures::default();
        for attempt in 1..5 {
            failures.record(attempt * LONG_MS, 7);
        }
        assert!(!failures.are_too_many(i64::MAX / 2, LIMITS));
        assert!(failures.avoid_resume_address());
    }

    #[test]
    fn replayed_events_postpone_the_end_but_not_for_ever() {
        let mut failures = ResumeFailures::default();
        for attempt in 1..MOST_PARTIAL_REPLAYS {
            failures.record(i64::from(attempt) * LONG_MS, u64::from(attempt));
            assert!(
                !failures.are_too_many(i64::from(attempt) * LONG_MS, LIMITS),
                "{attempt}"
            );
        }
        failures.record(0, 1_000);
        assert!(failures.are_too_many(0, LIMITS));
    }

    #[test]
    fn clock_that_is_set_back_starts_the_time_again() {
        let mut failures = ResumeFailures::default();
        for attempt in 0..5 {
            failures.record(1_000_000 - attempt, 7);
        }
        assert!(!failures.are_too_many(1_000_000, LIMITS));
        assert!(failures.are_too_many(1_000_000 + LONG_MS, LIMITS));
    }
}
