//! The offset of our clock from Discord's, learned from `Date` headers.
//!
//! A `Date` header tells whole seconds, so one answer narrows the offset to little more than a second; several narrow it
//! further. Within what they allow, the value nearest to zero is taken: a clock that is right stays right.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// Discord's clock minus ours. Shared by all shards.
#[derive(Debug, Default)]
pub(crate) struct ClockOffset {
    ms: AtomicI64,
    known: Mutex<Option<(i64, i64)>>,
}

impl ClockOffset {
    /// Milliseconds to add to our clock to have Discord's.
    pub(crate) fn ms(&self) -> i64 {
        self.ms.load(Ordering::Relaxed)
    }

    /// Learns from an answer with this `Date`, asked and received at these milliseconds of our clock.
    pub(crate) fn learn(&self, date: &str, asked_ms: i64, received_ms: i64) {
        let Some(second) = http_date(date) else {
            tracing::debug!(date, "the Date header cannot be read");
            return;
        };
        // The answer was made between asking and receiving, in the second that the header names.
        let new = (second - received_ms, second + 999 - asked_ms);
        let mut known = self.known.lock();
        let narrowed = known
            .map(|old| (old.0.max(new.0), old.1.min(new.1)))
            .filter(|both| both.0 <= both.1);
        // Nothing in common: a clock was set meanwhile, and the newest answer is right.
        let (least, most) = narrowed.unwrap_or(new);
        *known = Some((least, most));
        let ms = 0.clamp(least, most);
        let before = self.ms.swap(ms, Ordering::Relaxed);
        if (ms - before).abs() >= 500 {
            tracing::warn!(
                offset_ms = ms,
                "this machine's clock differs from Discord's; check its time service"
            );
        }
    }
}

/// `Sat, 21 Nov 2026 10:38:24 GMT` in milliseconds since 1970.
fn http_date(text: &str) -> Option<i64> {
    let zoned = text.strip_suffix("GMT").map(|start| format!("{start}+0000"))?;
    Some(OffsetDateTime::parse(&zoned, &Rfc2822).ok()?.unix_timestamp() * 1_000)
}

/// Our clock now, in microseconds since 1970.
pub(crate) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Our clock now, in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    (now_us() / 1_000).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_795_257_504_000;
    const DATE: &str = "Sat, 21 Nov 2026 10:38:24 GMT";

    #[test]
    fn a_right_clock_stays_right() {
        let clock = ClockOffset::default();
        clock.learn(DATE, SECOND + 100, SECOND + 180);
        assert_eq!(clock.ms(), 0);
    }

    #[test]
    fn a_wrong_clock_is_set_right_to_the_second_and_then_better() {
        let clock = ClockOffset::default();
        // Ours is 10 s behind, and the header was made at 24.900.
        clock.learn(DATE, SECOND - 10_000 + 880, SECOND - 10_000 + 900);
        assert_eq!(clock.ms(), 9_100);
        // At 25.010 the next second has just begun: between them only little is left.
        clock.learn("Sat, 21 Nov 2026 10:38:25 GMT", SECOND - 9_000 + 5, SECOND - 9_000 + 10);
        assert_eq!(clock.ms(), 9_990);
    }

    #[test]
    fn a_clock_that_was_set_is_learned_anew_and_nonsense_is_ignored() {
        let clock = ClockOffset::default();
        clock.learn(DATE, SECOND - 10_000, SECOND - 10_000);
        clock.learn(DATE, SECOND + 500, SECOND + 500);
        assert_eq!(clock.ms(), 0);
        clock.learn("yesterday", 0, 0);
        assert_eq!(clock.ms(), 0);
    }
}
