//! Limits on attempts to resume a session.
//!
//! RESUME can fail although Discord does not report the session as invalid: the connection is reset or closed with a resumable
//! code, op 9 is `true` each time, or nothing follows HELLO. RESUME is unlimited and IDENTIFY is not, so RESUME is repeated, but with
//! a limit, because no event arrives meanwhile. Only attempts to which the gateway responds with HELLO count, so a network outage
//! costs no session. The count is stored with the session, so that a restart continues it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Limits on attempts to resume or begin a gateway session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// Number of consecutive failed RESUMEs without a replayed event after which the session is given up, if `give_up_after` has
    /// passed, too.
    pub failures: u32,
    /// Shortest time from the first to the last of these failures.
    pub give_up_after: Duration,
    /// Time limit for the first frame after RESUME.
    pub resume_answer: Duration,
    /// Time limit for READY after IDENTIFY.
    pub ready: Duration,
}

impl Default for SessionLimits {
    /// A restart of the gateway takes seconds, and the gateway responds to RESUME within one.
    fn default() -> Self {
        Self {
            failures: 5,
            give_up_after: Duration::from_secs(20),
            resume_answer: Duration::from_secs(10),
            ready: Duration::from_secs(30),
        }
    }
}

/// Number of failures after which a session is given up although each attempt replayed some events.
const MAX_PARTIAL_REPLAYS: u32 = 50;
/// Number of failures after which the gateway's own URL is used instead of the resume URL. It can resume the session, too.
const MAX_AT_RESUME_URL: u32 = 2;

/// Failed attempts to resume the present session since it was last active.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ResumeFailures {
    /// All failures.
    total: u32,
    /// Failures since an event was last replayed.
    without_progress: u32,
    /// Time of the first failure of `without_progress`, in milliseconds since 1970.
    since_ms: i64,
    /// Highest sequence number received at the last failure.
    seq: u64,
}

impl ResumeFailures {
    /// Counts a failure at this time, with this highest sequence number received.
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

    /// Number of failures.
    pub(crate) fn total(&self) -> u32 {
        self.total
    }

    /// Whether to give the session up.
    pub(crate) fn are_too_many(&self, now_ms: i64, limits: SessionLimits) -> bool {
        let elapsed = Duration::from_millis(u64::try_from(now_ms - self.since_ms).unwrap_or(0));
        let no_progress = self.without_progress >= limits.failures && elapsed >= limits.give_up_after;
        no_progress || self.total >= MAX_PARTIAL_REPLAYS
    }

    /// Whether the next attempt uses the gateway's own URL instead of the resume URL.
    pub(crate) fn avoid_resume_url(&self) -> bool {
        self.without_progress >= MAX_AT_RESUME_URL
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
        assert!(failures.avoid_resume_url());
    }

    #[test]
    fn replayed_events_postpone_the_end_up_to_a_limit() {
        let mut failures = ResumeFailures::default();
        for attempt in 1..MAX_PARTIAL_REPLAYS {
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
