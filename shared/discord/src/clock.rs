//! Discord's clock as seen from here: the limits of an interaction are counted on it, and ours may be an hour off.
//!
//! Each answer that Discord made carries its time in whole seconds (`Date`). That bounds the offset from both sides: at the
//! moment of arrival Discord's time is not before the stamp, and at the moment of sending it was not a second past it. The
//! bounds of several answers together come closer than a second. When they contradict each other one of the clocks has
//! jumped, and the newest answer alone counts.

use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// Discord's clock minus ours, in milliseconds, as far as it is known.
#[derive(Debug, Default)]
pub(crate) struct DiscordClock(Mutex<Option<Bounds>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bounds {
    least_ms: i64,
    most_ms: i64,
}

impl DiscordClock {
    /// The middle between the bounds; `None` before the first answer.
    pub(crate) fn offset_ms(&self) -> Option<i64> {
        self.0
            .lock()
            .map(|bounds| i64::midpoint(bounds.least_ms, bounds.most_ms))
    }

    /// Takes in one answer: its `Date`, and when the call was sent and answered on our clock.
    pub(crate) fn observe(&self, date: &str, sent_ms: i64, answered_ms: i64) {
        // HTTP's date is RFC 2822's with GMT, which that format calls an obsolete zone and the parser accepts.
        let Ok(stamp) = OffsetDateTime::parse(date, &Rfc2822) else {
            return;
        };
        let stamp_ms = stamp.unix_timestamp() * 1000;
        let fresh = Bounds {
            least_ms: stamp_ms - answered_ms,
            most_ms: stamp_ms + 1000 - sent_ms,
        };
        // Our clock ran backwards while we waited: the answer says nothing.
        if fresh.least_ms > fresh.most_ms {
            return;
        }
        let mut known = self.0.lock();
        *known = Some(known.and_then(|old| old.and(fresh)).unwrap_or(fresh));
    }
}

impl Bounds {
    /// What both allow, where they agree.
    fn and(self, other: Self) -> Option<Self> {
        let both = Self {
            least_ms: self.least_ms.max(other.least_ms),
            most_ms: self.most_ms.min(other.most_ms),
        };
        (both.least_ms <= both.most_ms).then_some(both)
    }
}

/// Milliseconds since 1970 on our clock.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Sat, 21 Nov 2026 00:00:00 GMT`.
    const MIDNIGHT_MS: i64 = 1_795_219_200_000;

    #[test]
    fn several_answers_come_closer_than_a_second() {
        let clock = DiscordClock::default();
        assert_eq!(clock.offset_ms(), None);
        // Our clock is 100 ms behind. Discord's 00:00:00.900 is our 23:59:60.800 …
        clock.observe("Sat, 21 Nov 2026 00:00:00 GMT", MIDNIGHT_MS + 790, MIDNIGHT_MS + 800);
        // … and its 00:00:01.050 is our 00:00:00.950.
        clock.observe("Sat, 21 Nov 2026 00:00:01 GMT", MIDNIGHT_MS + 940, MIDNIGHT_MS + 950);
        let offset = clock.offset_ms().unwrap();
        assert!((50..=210).contains(&offset), "{offset}");
    }

    #[test]
    fn a_clock_that_jumped_is_believed_anew() {
        let clock = DiscordClock::default();
        clock.observe("Sat, 21 Nov 2026 00:00:00 GMT", MIDNIGHT_MS, MIDNIGHT_MS + 10);
        let hour = 3_600_000;
        clock.observe(
            "Sat, 21 Nov 2026 00:00:01 GMT",
            MIDNIGHT_MS + hour,
            MIDNIGHT_MS + hour + 10,
        );
        let offset = clock.offset_ms().unwrap();
        assert!((offset + hour - 1500).abs() <= 600, "{offset}");
    }

    #[test]
    fn what_is_no_date_is_passed_over() {
        let clock = DiscordClock::default();
        clock.observe("yesterday", 0, 1);
        clock.observe("Sat, 21 Nov 2026 00:00:00 GMT", MIDNIGHT_MS + 5000, MIDNIGHT_MS);
        assert_eq!(clock.offset_ms(), None);
    }
}
