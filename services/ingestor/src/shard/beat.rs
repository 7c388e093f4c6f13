//! When the gateway must be polled although there is no room for what it says.
//!
//! twilight beats the heart only while it is polled, and polling also reads. While the broker takes nothing the gateway is
//! therefore polled when a heartbeat is due, and once more for the acknowledgement; the few frames read are held.

use std::time::Duration;

use tokio::time::Instant;

/// Discord's interval until it says its own.
const USUAL: Duration = Duration::from_millis(41_250);
/// How soon to try again when no heartbeat was due after all.
const AGAIN: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Beat {
    interval: Duration,
    due: Instant,
}

impl Beat {
    pub(super) fn new() -> Self {
        Self {
            interval: USUAL,
            due: Instant::now() + USUAL / 8,
        }
    }

    /// Op 10. The first heartbeat is due at a random moment that twilight keeps to itself, so it is looked for often.
    pub(super) fn hello(&mut self, interval_ms: u64) {
        self.interval = Duration::from_millis(interval_ms);
        self.due = Instant::now() + self.interval / 8;
    }

    /// When to poll.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// It was polled, and the last heartbeat was sent then.
    pub(super) fn polled(&mut self, sent: Option<std::time::Instant>) {
        let now = Instant::now();
        let next = match sent {
            Some(sent) => Instant::from_std(sent) + self.interval,
            None => now + self.interval / 8,
        };
        self.due = next.max(now + AGAIN.min(self.interval / 8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_next_poll_is_due_an_interval_after_the_last_heartbeat() {
        let mut beat = Beat::new();
        beat.hello(40_000);
        assert!(beat.due() <= Instant::now() + Duration::from_secs(5));
        let sent = std::time::Instant::now();
        beat.polled(Some(sent));
        assert_eq!(beat.due(), Instant::from_std(sent) + Duration::from_secs(40));
        // Polled too early or in vain: soon again, but not at once.
        let long_ago = sent.checked_sub(Duration::from_secs(90)).unwrap();
        beat.polled(Some(long_ago));
        assert!(beat.due() > Instant::now() && beat.due() <= Instant::now() + AGAIN);
    }
}
