//! The offset of Discord's clock from the system clock, by the `Date` header of Discord's REST responses.
//!
//! Within the measured bounds, the value nearest to zero is used: a system clock that may be right is not corrected.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arrakis_discord_http::DiscordClock;

/// An offset that is logged when it is exceeded.
const NOTABLE_MS: i64 = 500;

/// Discord's clock minus the system clock. Shared by all shards.
#[derive(Debug, Default)]
pub(crate) struct ClockOffset {
    clock: DiscordClock,
    ms: AtomicI64,
}

impl ClockOffset {
    /// Milliseconds to add to the system clock to get Discord's time.
    pub(crate) fn ms(&self) -> i64 {
        self.ms.load(Ordering::Relaxed)
    }

    /// Records the `Date` of a response; `sent` and `received` are the times of the request and of the response.
    pub(crate) fn observe(&self, date: &str, sent: Instant, received: Instant) {
        // The correction is logged below, by what it changes here.
        let _ = self.clock.observe(date, sent, received);
        let Some(offset) = self.clock.offset() else {
            tracing::debug!(date, "the Date header cannot be read");
            return;
        };
        let ms = offset.nearest_to_zero_ms();
        let before = self.ms.swap(ms, Ordering::Relaxed);
        if (ms - before).abs() >= NOTABLE_MS {
            tracing::warn!(
                offset_ms = ms,
                "the system clock differs from Discord's; check the time service of this machine"
            );
        }
    }
}

/// The system clock, in microseconds since 1970.
pub(crate) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The system clock, in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    (now_us() / 1_000).cast_signed()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn right_system_clock_is_not_corrected_and_a_malformed_date_is_ignored() {
        let clock = ClockOffset::default();
        let now = Instant::now();
        clock.observe("yesterday", now, now);
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_millis(40));
        clock.observe(&date, now, now + Duration::from_millis(80));
        assert_eq!(clock.ms(), 0);
    }

    #[test]
    fn wrong_system_clock_is_corrected_to_the_second() {
        for ahead in [10_u64, 3_600] {
            let clock = ClockOffset::default();
            let now = Instant::now();
            let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(ahead));
            clock.observe(&date, now, now);
            let wanted = i64::try_from(ahead * 1_000).unwrap();
            assert!((wanted - 1_010..=wanted).contains(&clock.ms()), "{} ms", clock.ms());
        }
    }
}
