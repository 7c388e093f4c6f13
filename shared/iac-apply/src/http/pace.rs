//! The rate of all requests of one client: at most so many in any window of 1.1 s.
//!
//! Discord allows a bot 50 requests a second over all routes and all processes that use its token, and no header states how many
//! are left. The window is 1.1 s instead of 1 s, since clocks and network can move requests closer together.
//! <https://discord.com/developers/docs/topics/rate-limits#global-rate-limit>

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Requests in any 1.1 s: half of Discord's global limit, so that the platform with the same token has the other half.
pub const PACE: usize = 25;
/// Length of the window.
const WINDOW: Duration = Duration::from_millis(1_100);

/// Limits the rate of requests; holds the times of the last ones.
#[derive(Debug)]
pub struct Pace {
    most: usize,
    sent: Mutex<VecDeque<Instant>>,
}

impl Pace {
    /// At most `most` requests in any window; at least one.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            most: most.max(1),
            sent: Mutex::default(),
        }
    }

    /// A pace without a limit, for a transport that itself keeps the limits of all users of the token
    /// ([`super::Transport::has_shared_limits`]).
    #[must_use]
    pub fn unlimited() -> Self {
        Self::new(usize::MAX)
    }

    /// How long to wait before the next request; `None` means that it may be sent now, and counts it in the window.
    pub(super) fn take(&self, now: Instant) -> Option<Duration> {
        if self.most == usize::MAX {
            return None;
        }
        let mut sent = self.sent.lock();
        while sent.front().is_some_and(|first| now.duration_since(*first) >= WINDOW) {
            sent.pop_front();
        }
        match sent.front() {
            Some(first) if sent.len() >= self.most => Some(WINDOW - now.duration_since(*first)),
            _ => {
                sent.push_back(now);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_window_has_more_requests_than_the_pace() {
        let (pace, start) = (Pace::new(25), Instant::now());
        let mut now = start;
        let mut taken = Vec::new();
        for step in 0..1_000_u64 {
            // An uneven rhythm: bursts, and pauses of several lengths.
            now += Duration::from_millis(step % 7 * (step % 3));
            while let Some(wait) = pace.take(now) {
                assert!(wait > Duration::ZERO && wait <= WINDOW);
                now += wait;
            }
            taken.push(now);
        }
        for (index, first) in taken.iter().enumerate() {
            let within = taken[index..]
                .iter()
                .take_while(|at| at.duration_since(*first) < WINDOW);
            assert!(within.count() <= 25);
        }
        let seconds = now.duration_since(start).as_secs_f64();
        assert!(seconds < 1_000.0 / 25.0 * 1.1 + 1.1, "the pace is used: {seconds} s");
    }
}
