//! When the state of the kill switch at this replica was last confirmed, by Redis or by a worker.
//!
//! A replica that was paused, or whose network is cut, does not learn that the kill switch was turned on. So it sends writes only while the last
//! confirmation is younger than [`MAX_AGE`]. The age counts from the beginning of the read that confirms: a response that lay in a socket while
//! the process was paused confirms what was true before the pause.
//!
//! A worker confirms in two requests. It reads the state at the endpoint, and receives a token with the time of that read; it reads PostgreSQL
//! and Redis, writes what the replica lacks, and returns the token.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

/// The greatest age. An attempt in flight ends with the confirmation, so it is within the five seconds in which the kill switch takes effect.
pub(crate) const MAX_AGE: Duration = Duration::from_secs(4);
/// How far the clock may be set back. A change by more makes the age unknown.
const MAX_SET_BACK: Duration = Duration::from_secs(1);

/// A moment by two clocks: the monotonic one stops while the host sleeps, and the other one may be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Since the start of the process.
    running: Duration,
    /// Since 1970.
    clock: Duration,
}

impl Moment {
    /// Whether this moment is at most [`MAX_AGE`] ago by both clocks.
    fn is_recent(self, now: Self) -> bool {
        now.running.saturating_sub(self.running) <= MAX_AGE
            && now.clock <= self.clock + MAX_AGE
            && now.clock + MAX_SET_BACK >= self.clock
    }
}

/// The last confirmation.
#[derive(Debug)]
pub(crate) struct Confirmation {
    started: Instant,
    /// Keeps tokens of another process apart.
    process: u64,
    last: Mutex<Option<Moment>>,
}

impl Confirmation {
    /// Nothing is confirmed yet.
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            process: rand::random(),
            last: Mutex::default(),
        }
    }

    /// Now: the beginning of a read.
    pub(crate) fn now(&self) -> Moment {
        Moment {
            running: self.started.elapsed(),
            clock: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        }
    }

    /// Records that the state was the present one at this moment.
    pub(crate) fn confirm(&self, at: Moment) {
        let mut last = self.last.lock();
        if last.is_none_or(|last| last.running < at.running) {
            *last = Some(at);
        }
    }

    /// The token of a read at the endpoint that begins now.
    pub(crate) fn token(&self) -> String {
        let Moment { running, clock } = self.now();
        format!("{:016x}.{}.{}", self.process, running.as_millis(), clock.as_millis())
    }

    /// Records the confirmation by whoever has read the state and received this token. A token of another process has no effect.
    pub(crate) fn confirm_by(&self, token: &str) {
        if let Some(at) = self.moment_of(token).filter(|at| at.running <= self.now().running) {
            self.confirm(at);
        }
    }

    fn moment_of(&self, token: &str) -> Option<Moment> {
        let mut parts = token.split('.');
        let (process, running, clock) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || process != format!("{:016x}", self.process) {
            return None;
        }
        Some(Moment {
            running: Duration::from_millis(running.parse().ok()?),
            clock: Duration::from_millis(clock.parse().ok()?),
        })
    }

    /// Whether the last confirmation is recent.
    pub(crate) fn is_recent(&self) -> bool {
        let last = *self.last.lock();
        last.is_some_and(|last| last.is_recent(self.now()))
    }

    /// How long the last confirmation stays recent, by the monotonic clock.
    pub(crate) fn remaining(&self) -> Duration {
        let last = *self.last.lock();
        last.map_or(Duration::ZERO, |last| {
            (last.running + MAX_AGE).saturating_sub(self.started.elapsed())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(running: u64, clock: u64) -> Moment {
        Moment {
            running: Duration::from_millis(running),
            clock: Duration::from_millis(clock),
        }
    }

    #[test]
    fn age_is_of_both_clocks() {
        let last = moment(10_000, 1_000_000);
        for (running, clock, is_recent) in [
            (10_000, 1_000_000, true),
            (14_000, 1_004_000, true),
            (14_001, 1_004_000, false),
            // The host slept, or the clock was set forward.
            (10_100, 1_004_100, false),
            // The clock was set back: a little, as by NTP, and by more.
            (10_100, 999_100, true),
            (10_100, 998_000, false),
        ] {
            assert_eq!(last.is_recent(moment(running, clock)), is_recent, "{running} {clock}");
        }
    }

    #[test]
    fn token_confirms_the_moment_of_its_read_at_its_process() {
        let (confirmation, another) = (Confirmation::new(), Confirmation::new());
        assert!(!confirmation.is_recent() && confirmation.remaining().is_zero());
        let later = format!("{:016x}.3600000.0", confirmation.process);
        for token in [
            another.token(),
            later,
            "x".to_owned(),
            format!("{}.1", confirmation.token()),
        ] {
            confirmation.confirm_by(&token);
            assert!(!confirmation.is_recent(), "{token}");
        }
        let token = confirmation.token();
        confirmation.confirm_by(&token);
        assert!(confirmation.is_recent() && !confirmation.remaining().is_zero());
        let confirmed = *confirmation.last.lock();
        assert_eq!(confirmed, confirmation.moment_of(&token));
        // An older token changes nothing.
        let older = format!("{:016x}.0.0", confirmation.process);
        confirmation.confirm(confirmation.now());
        confirmation.confirm_by(&older);
        assert!(confirmation.is_recent());
    }
}
