//! Discord's clock relative to the system clock, by the `Date` header of its responses.
//!
//! `Date` is in whole seconds, cut off. It bounds the offset on both sides: when the response is received, Discord's time is not
//! before the stamp; when the request was sent, it was less than a second past it. The intersection of several responses is
//! narrower than a second.
//!
//! One wrong stamp must not decide anything: a machine at Discord's edge may have a wrong clock. A response that contradicts the
//! bounds is kept beside them, as a second estimate, until the next response agrees with one of the two. While there is a second
//! estimate, [`DiscordClock::least_offset_ms`] returns the smaller offset, by which an interaction is younger. Time is counted on
//! the monotonic clock, so that setting the system clock does not change the bounds.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

/// Two clocks drift apart: bounds widen on both sides by one millisecond in so many.
const DRIFT_PART: i64 = 5_000;
/// A smaller correction is not reported.
const NOTABLE_MS: i64 = 500;
/// How long a second estimate counts. The worker sends a call at least every 30 s.
const SECOND_ESTIMATE_LIFETIME: Duration = Duration::from_secs(35);

/// Discord's time as measured by this process.
#[derive(Debug)]
pub struct DiscordClock {
    began: Instant,
    estimates: Mutex<Estimates>,
}

#[derive(Debug, Default)]
struct Estimates {
    current: Option<Bounds>,
    /// Until when `current` is widened for drift, in milliseconds since `began`.
    drifted_ms: i64,
    /// Whether a second response agreed with `current`.
    confirmed: bool,
    /// The estimate that contradicts `current`, and when it was last observed.
    second: Option<(Bounds, Instant)>,
}

/// Bounds of Discord's time minus the monotonic clock's, which counts from `began`, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bounds {
    least_ms: i64,
    most_ms: i64,
}

/// Bounds of Discord's clock minus the system clock, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetBounds {
    /// The offset is not smaller.
    pub least_ms: i64,
    /// The offset is not larger.
    pub most_ms: i64,
}

impl OffsetBounds {
    /// The middle between the bounds.
    #[must_use]
    pub const fn middle_ms(self) -> i64 {
        i64::midpoint(self.least_ms, self.most_ms)
    }

    /// The value nearest to zero: a system clock that may be right is not corrected.
    #[must_use]
    pub fn nearest_to_zero_ms(self) -> i64 {
        0.clamp(self.least_ms, self.most_ms)
    }
}

impl Default for DiscordClock {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            estimates: Mutex::default(),
        }
    }
}

impl DiscordClock {
    /// Bounds of the offset; `None` before the first response.
    #[must_use]
    pub fn offset(&self) -> Option<OffsetBounds> {
        let current = self.estimates.lock().current?;
        let began_ms = now_ms() - self.since_began_ms(Instant::now());
        Some(OffsetBounds {
            least_ms: current.least_ms - began_ms,
            most_ms: current.most_ms - began_ms,
        })
    }

    /// The least offset of Discord's clock that agrees with the measurements, in milliseconds; by it, the age of an interaction
    /// is never overestimated. `elsewhere` is an offset that another process measured; it is used until two responses to this
    /// process agree.
    #[must_use]
    pub fn least_offset_ms(&self, elsewhere: i64) -> i64 {
        let now = Instant::now();
        let here = {
            let estimates = self.estimates.lock();
            let second = estimates
                .second
                .filter(|(_, at)| now.duration_since(*at) < SECOND_ESTIMATE_LIFETIME);
            let current = estimates.current.map(Bounds::middle_ms);
            let least = current
                .into_iter()
                .chain(second.map(|(second, _)| second.middle_ms()))
                .min();
            least.map(|least| (least, estimates.confirmed))
        };
        let Some((least, confirmed)) = here else {
            return elsewhere;
        };
        let least = least + self.since_began_ms(now) - now_ms();
        if confirmed { least } else { least.min(elsewhere) }
    }

    /// Records the `Date` of a response; a malformed one is ignored. `sent` and `received` are the times of the request and of the
    /// response. Returns the correction in milliseconds when two responses agree that the offset differs by more than 500 ms from
    /// what was measured before.
    pub fn observe(&self, date: &str, sent: Instant, received: Instant) -> Option<i64> {
        let stamp = httpdate::parse_http_date(date).ok()?;
        let stamp_ms = millis(stamp.duration_since(UNIX_EPOCH).ok()?);
        let observed = Bounds {
            least_ms: stamp_ms - self.since_began_ms(received),
            most_ms: stamp_ms + 1000 - self.since_began_ms(sent),
        };
        if observed.least_ms > observed.most_ms {
            return None;
        }
        let mut estimates = self.estimates.lock();
        estimates.widen(self.since_began_ms(received));
        estimates.add(observed, received)
    }

    fn since_began_ms(&self, at: Instant) -> i64 {
        millis(at.saturating_duration_since(self.began))
    }
}

impl Estimates {
    fn widen(&mut self, now_ms: i64) {
        let by_ms = (now_ms - self.drifted_ms) / DRIFT_PART;
        if by_ms > 0 {
            self.drifted_ms = now_ms;
            if let Some(current) = &mut self.current {
                current.least_ms -= by_ms;
                current.most_ms += by_ms;
            }
        }
    }

    fn add(&mut self, observed: Bounds, at: Instant) -> Option<i64> {
        let Some(current) = self.current else {
            self.current = Some(observed);
            return None;
        };
        if let Some(both) = current.intersect(observed) {
            (self.current, self.confirmed) = (Some(both), true);
            None
        } else if let Some(both) = self.second.and_then(|(second, _)| second.intersect(observed)) {
            (self.current, self.confirmed, self.second) = (Some(both), true, Some((current, at)));
            Some(both.middle_ms() - current.middle_ms()).filter(|by_ms| by_ms.abs() > NOTABLE_MS)
        } else {
            self.second = Some((observed, at));
            None
        }
    }
}

impl Bounds {
    /// The offsets that both allow.
    fn intersect(self, other: Self) -> Option<Self> {
        let both = Self {
            least_ms: self.least_ms.max(other.least_ms),
            most_ms: self.most_ms.min(other.most_ms),
        };
        (both.least_ms <= both.most_ms).then_some(both)
    }

    const fn middle_ms(self) -> i64 {
        i64::midpoint(self.least_ms, self.most_ms)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Milliseconds since 1970 on the system clock.
fn now_ms() -> i64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock, and responses whose `Date` is the system clock plus an offset, each 10 ms on its way.
    struct Responses {
        clock: DiscordClock,
        began: Instant,
        began_ms: i64,
    }

    impl Responses {
        fn new() -> Self {
            let (clock, began_ms) = (DiscordClock::default(), now_ms());
            let began = clock.began;
            Self { clock, began, began_ms }
        }

        /// A response that is received `at_ms` after the beginning and stamped `ahead_ms` ahead of the system clock.
        fn receive(&self, at_ms: u64, ahead_ms: i64) -> Option<i64> {
            let stamp_ms = self.began_ms + i64::try_from(at_ms).unwrap() + ahead_ms;
            let stamp = UNIX_EPOCH + Duration::from_millis(u64::try_from(stamp_ms).unwrap());
            let received = self.began + Duration::from_millis(at_ms);
            let sent = received.checked_sub(Duration::from_millis(10)).unwrap_or(received);
            self.clock.observe(&httpdate::fmt_http_date(stamp), sent, received)
        }

        fn offset_is_about(&self, wanted_ms: i64) {
            let offset = self.clock.offset().unwrap();
            assert!(
                (offset.middle_ms() - wanted_ms).abs() <= 700,
                "{offset:?} instead of {wanted_ms} ms"
            );
            // One millisecond each for rounding and for the clock that goes on.
            assert!(
                offset.least_ms - 2 <= wanted_ms && wanted_ms <= offset.most_ms + 2,
                "{offset:?} excludes {wanted_ms} ms"
            );
        }

        fn least_is_about(&self, wanted_ms: i64) {
            let least = self.clock.least_offset_ms(wanted_ms);
            assert!((least - wanted_ms).abs() <= 700, "{least} ms instead of {wanted_ms} ms");
        }
    }

    #[test]
    fn several_responses_are_more_exact_than_a_second() {
        let responses = Responses::new();
        assert_eq!(responses.clock.offset(), None);
        for at in (20..4_000).step_by(90) {
            responses.receive(at, 100);
        }
        let offset = responses.clock.offset().unwrap();
        assert!((0..=200).contains(&offset.middle_ms()), "{offset:?}");
        assert!(offset.most_ms - offset.least_ms <= 200, "{offset:?}");
    }

    #[test]
    fn right_system_clock_is_not_corrected() {
        let responses = Responses::new();
        responses.receive(20, 0);
        assert_eq!(responses.clock.offset().unwrap().nearest_to_zero_ms(), 0);
        for (least_ms, most_ms, nearest) in [(-900, 100, 0), (9_100, 10_100, 9_100), (-4_000, -3_000, -3_000)] {
            assert_eq!(OffsetBounds { least_ms, most_ms }.nearest_to_zero_ms(), nearest);
        }
    }

    #[test]
    fn one_response_with_a_wrong_date_changes_nothing() {
        for ahead in [4_000, 3_600_000, -4_000, -3_600_000] {
            let responses = Responses::new();
            responses.receive(20, 0);
            responses.receive(40, 0);
            assert_eq!(responses.receive(60, ahead), None);
            responses.offset_is_about(0);
            // An interaction is not considered older than it is.
            assert!(responses.clock.least_offset_ms(0) <= 700);
            responses.receive(80, 0);
            responses.offset_is_about(0);
        }
    }

    #[test]
    fn jump_counts_when_a_second_response_agrees() {
        let responses = Responses::new();
        responses.receive(20, 0);
        responses.receive(40, 0);
        assert_eq!(responses.receive(60, 5_000), None);
        let correction = responses.receive(80, 5_000).unwrap();
        assert!((4_000..=6_000).contains(&correction), "{correction}");
        responses.offset_is_about(5_000);
        // Both may still be wrong: the smaller offset is kept for a while.
        responses.least_is_about(0);
    }

    #[test]
    fn different_wrong_dates_do_not_confirm_each_other() {
        let responses = Responses::new();
        responses.receive(20, 0);
        for (at, ahead) in [(40, 5_000), (60, 9_000), (80, -7_000)] {
            responses.receive(at, ahead);
            responses.offset_is_about(0);
        }
    }

    #[test]
    fn first_response_alone_does_not_make_an_interaction_older() {
        let responses = Responses::new();
        responses.receive(20, 4_000);
        responses.least_is_about(0);
        assert_eq!(DiscordClock::default().least_offset_ms(7), 7);
    }

    #[test]
    fn malformed_date_is_ignored() {
        let clock = DiscordClock::default();
        let now = Instant::now();
        assert_eq!(clock.observe("yesterday", now, now), None);
        assert_eq!(clock.offset(), None);
    }
}
