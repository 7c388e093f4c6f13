//! When to poll the gateway although the pipeline has no room for its events.
//!
//! twilight sends heartbeats only while it is polled, and polling also reads frames. While the broker accepts no messages, the
//! gateway is therefore polled when a heartbeat is due, and once more for its acknowledgement. The few frames read are buffered.

use std::time::Duration;

use tokio::time::Instant;

/// Discord's usual interval, used until HELLO has set the interval.
const DEFAULT_INTERVAL: Duration = Duration::from_millis(41_250);
/// Wait before the next poll when no heartbeat was due.
const RETRY: Duration = Duration::from_millis(500);

/// The time of the next poll.
#[derive(Debug)]
pub(super) struct HeartbeatSchedule {
    interval: Duration,
    due: Instant,
}

impl HeartbeatSchedule {
    pub(super) fn new() -> Self {
        Self {
            interval: DEFAULT_INTERVAL,
            due: Instant::now() + DEFAULT_INTERVAL / 8,
        }
    }

    /// Sets the interval of HELLO (op 10). The first heartbeat is due at a random time that twilight does not expose, so the gateway is
    /// polled often.
    pub(super) fn hello(&mut self, interval_ms: u64) {
        self.interval = Duration::from_millis(interval_ms);
        self.due = Instant::now() + self.interval / 8;
    }

    /// When to poll next.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Records a poll. `sent` is when the last heartbeat was sent.
    pub(super) fn polled(&mut self, sent: Option<std::time::Instant>) {
        let now = Instant::now();
        let next = match sent {
            Some(sent) => Instant::from_std(sent) + self.interval,
            None => now + self.interval / 8,
        };
        self.due = next.max(now + RETRY.min(self.interval / 8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn next_poll_is_due_an_interval_after_the_last_heartbeat() {
        let mut schedule = HeartbeatSchedule::new();
        schedule.hello(40_000);
        assert!(schedule.due() <= Instant::now() + Duration::from_secs(5));
        let sent = std::time::Instant::now();
        schedule.polled(Some(sent));
        assert_eq!(schedule.due(), Instant::from_std(sent) + Duration::from_secs(40));
        // No heartbeat was sent by the poll: poll again soon, but not at once.
        let long_ago = sent.checked_sub(Duration::from_secs(90)).unwrap();
        schedule.polled(Some(long_ago));
        assert!(schedule.due() > Instant::now() && schedule.due() <= Instant::now() + RETRY);
    }
}
