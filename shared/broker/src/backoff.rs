//! Exponential backoff with jitter, so that processes do not reconnect to a restarted broker all at once.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};

/// Exponential backoff with jitter: the delay doubles from a minimum to a maximum, and each wait is a random part of it between
/// half and all.
#[derive(Debug)]
pub struct Backoff {
    builder: ExponentialBuilder,
    waits: ExponentialBackoff,
}

impl Backoff {
    /// Backoff for reconnecting to the broker: 50 ms to 2 s.
    pub fn broker() -> Self {
        Self::new(Duration::from_millis(50), Duration::from_secs(2))
    }

    /// Delays from `min` to `max`.
    pub fn new(min: Duration, max: Duration) -> Self {
        // backon adds jitter of up to the whole delay.
        let builder = ExponentialBuilder::new()
            .with_min_delay(min / 2)
            .with_max_delay(max / 2)
            .without_max_times()
            .with_jitter();
        Self {
            builder,
            waits: builder.build(),
        }
    }

    /// The time to wait before the next attempt. Each call doubles the delay up to the maximum.
    pub fn next_wait(&mut self) -> Duration {
        // There is always a next wait, since the number of attempts is not limited.
        self.waits.next().unwrap_or_default()
    }

    /// Starts again from the minimum delay.
    pub fn reset(&mut self) {
        self.waits = self.builder.build();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_maximum() {
        let mut backoff = Backoff::broker();
        let waits: Vec<_> = (0..50).map(|_| backoff.next_wait()).collect();
        assert!(waits[0] <= Duration::from_millis(50));
        assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(2)));
        assert!(waits[49] >= Duration::from_secs(1));
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(50));
    }
}
