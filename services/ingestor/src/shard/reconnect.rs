//! The wait before reconnecting to the gateway. The first reconnects are immediate, since RESUME replays missed events. Later ones
//! wait longer each time, so that a gateway that accepts and closes connections is not called in a tight loop.

use std::time::Duration;

use arrakis_broker::Backoff;

/// A connection that lasted this long resets the wait.
const STABLE: Duration = Duration::from_secs(60);
/// Number of early ends without a wait: op 7 and an unreachable host may follow each other.
const IMMEDIATE: u32 = 2;

/// The wait before the next gateway connection.
#[derive(Debug)]
pub(super) struct ReconnectDelay {
    ended_early: u32,
    backoff: Backoff,
}

impl Default for ReconnectDelay {
    fn default() -> Self {
        Self {
            ended_early: 0,
            backoff: Backoff::new(Duration::from_millis(500), Duration::from_secs(30)),
        }
    }
}

impl ReconnectDelay {
    /// The wait before the next connection, after one that lasted this long.
    pub(super) fn next_wait(&mut self, lasted: Duration) -> Duration {
        if lasted >= STABLE {
            *self = Self::default();
        }
        self.ended_early += 1;
        if self.ended_early <= IMMEDIATE {
            Duration::ZERO
        } else {
            self.backoff.next_wait()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_reconnects_are_immediate_and_later_ones_wait() {
        let mut delay = ReconnectDelay::default();
        let waits: Vec<_> = (0..12).map(|_| delay.next_wait(Duration::from_secs(1))).collect();
        assert_eq!(waits[..2], [Duration::ZERO; 2]);
        assert!(waits[2] >= Duration::from_millis(250));
        assert!(waits[11] >= Duration::from_secs(15) && waits[11] <= Duration::from_secs(30));
        assert_eq!(delay.next_wait(STABLE), Duration::ZERO);
    }
}
