//! How soon to connect again. The first time at once, since a resume replays what is missed; then ever later, or a gateway
//! that accepts and closes would be met in a hot loop.

use std::time::Duration;

use arrakis_broker::Backoff;

/// A connection that lasted this long was a good one.
const GOOD: Duration = Duration::from_secs(60);
/// Connections that may end early before waiting begins: op 7 and a lost host may well come one after the other.
const FREE: u32 = 2;

#[derive(Debug)]
pub(super) struct Pace {
    ended_early: u32,
    backoff: Backoff,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            ended_early: 0,
            backoff: Backoff::new(Duration::from_millis(500), Duration::from_secs(30)),
        }
    }
}

impl Pace {
    /// The wait before the next connection, when the last one lasted this long.
    pub(super) fn after(&mut self, lasted: Duration) -> Duration {
        if lasted >= GOOD {
            *self = Self::default();
        }
        self.ended_early += 1;
        if self.ended_early <= FREE {
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
    fn the_first_are_free_and_then_it_slows_down() {
        let mut pace = Pace::default();
        let waits: Vec<_> = (0..12).map(|_| pace.after(Duration::from_secs(1))).collect();
        assert_eq!(waits[..2], [Duration::ZERO; 2]);
        assert!(waits[2] >= Duration::from_millis(250));
        assert!(waits[11] >= Duration::from_secs(15) && waits[11] <= Duration::from_secs(30));
        assert_eq!(pace.after(GOOD), Duration::ZERO);
    }
}
