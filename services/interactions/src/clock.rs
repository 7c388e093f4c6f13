//! The offset of Discord's clock from the system clock, by the interactions themselves. This service sends no request to Discord, so there is
//! no `Date` header to measure.
//!
//! An interaction's id has the time of its creation on Discord's clock, and it arrives later than that. So the offset is at least creation
//! minus receipt, and the largest such value of the last minutes, from the interaction that arrived fastest, is the closest one.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::time::Instant;

/// Milliseconds between 1970 and the epoch of Discord's snowflakes.
const DISCORD_EPOCH_MS: i64 = 1_420_070_400_000;
/// Half of the time for which a value counts.
const PERIOD: Duration = Duration::from_secs(300);
/// Longest transit of an interaction that is in time for its first response, after which a system clock that may be right is not
/// corrected.
const MAX_TRANSIT_MS: i64 = 1_000;

/// The largest values of this period and of the one before it.
#[derive(Debug)]
struct Periods {
    since: Instant,
    present: Option<i64>,
    earlier: Option<i64>,
}

/// The estimate of the offset. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct ClockEstimate(Arc<Mutex<Periods>>);

impl ClockEstimate {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Periods {
            since: Instant::now(),
            present: None,
            earlier: None,
        })))
    }

    /// Records an interaction that was received at this time, in microseconds since 1970. Returns the offset in milliseconds, Discord's
    /// clock minus the system clock.
    pub(crate) fn observe(&self, interaction: u64, received_us: u64) -> i64 {
        let created_ms = (interaction >> 22).cast_signed() + DISCORD_EPOCH_MS;
        let least = created_ms.saturating_sub((received_us / 1_000).cast_signed());
        let mut periods = self.0.lock();
        let elapsed = periods.since.elapsed();
        if elapsed >= PERIOD {
            periods.earlier = periods.present.take().filter(|_| elapsed < 2 * PERIOD);
            periods.since = Instant::now();
        }
        periods.present = periods.present.max(Some(least));
        offset(periods.present.max(periods.earlier).unwrap_or(least))
    }

    /// The offset in milliseconds; zero before the first interaction.
    pub(crate) fn offset_ms(&self) -> i64 {
        let periods = self.0.lock();
        periods.present.max(periods.earlier).map_or(0, offset)
    }
}

/// Zero when the system clock may be right: the interactions arrived within their usual transit.
fn offset(least_ms: i64) -> i64 {
    if (-MAX_TRANSIT_MS..=0).contains(&least_ms) {
        0
    } else {
        least_ms
    }
}

/// The system clock, in microseconds since 1970.
pub(crate) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_795_219_200_000;

    fn id(at_ms: i64) -> u64 {
        ((at_ms - DISCORD_EPOCH_MS).cast_unsigned() << 22) + 5
    }

    fn us(at_ms: i64) -> u64 {
        at_ms.cast_unsigned() * 1_000
    }

    #[test]
    fn right_system_clock_is_not_corrected() {
        let clock = ClockEstimate::new();
        assert_eq!(clock.offset_ms(), 0);
        assert_eq!(clock.observe(id(NOW_MS), us(NOW_MS + 80)), 0);
        assert_eq!(clock.observe(id(NOW_MS), us(NOW_MS + 900)), 0);
    }

    #[test]
    fn wrong_system_clock_is_corrected_by_the_fastest_interaction() {
        let clock = ClockEstimate::new();
        let hour = 3_600_000;
        assert_eq!(clock.observe(id(NOW_MS), us(NOW_MS + hour + 400)), -hour - 400);
        assert_eq!(clock.observe(id(NOW_MS), us(NOW_MS + hour + 30)), -hour - 30);
        assert_eq!(clock.observe(id(NOW_MS), us(NOW_MS + hour + 700)), -hour - 30);
        assert_eq!(clock.offset_ms(), -hour - 30);
        let behind = ClockEstimate::new();
        assert_eq!(behind.observe(id(NOW_MS), us(NOW_MS - 5_000)), 5_000);
    }

    #[tokio::test(start_paused = true)]
    async fn value_counts_for_two_periods_at_most() {
        let clock = ClockEstimate::new();
        assert_eq!(clock.observe(id(NOW_MS), us(NOW_MS - 5_000)), 5_000);
        tokio::time::advance(PERIOD).await;
        assert_eq!(clock.observe(id(NOW_MS), us(NOW_MS - 2_000)), 5_000);
        tokio::time::advance(PERIOD).await;
        assert_eq!(clock.observe(id(NOW_MS), us(NOW_MS - 1_000)), 2_000);
        tokio::time::advance(3 * PERIOD).await;
        assert_eq!(clock.observe(id(NOW_MS), us(NOW_MS)), 0);
    }

    #[test]
    fn any_id_is_accepted() {
        let clock = ClockEstimate::new();
        for id in [0, u64::MAX] {
            clock.observe(id, 0);
            clock.observe(id, u64::MAX);
        }
    }
}
