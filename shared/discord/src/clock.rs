//! Discord's clock as seen from here: the limits of an interaction are counted on it, and ours may be an hour off.
//!
//! Each answer that Discord made carries its time in whole seconds (`Date`). That bounds the offset from both sides: at the
//! moment of arrival Discord's time is not before the stamp, and at the moment of sending it was not a second past it. The
//! bounds of several answers together come closer than a second.
//!
//! One wrong stamp must not decide anything: a machine at Discord's edge may have a wrong clock. So an answer that contradicts
//! the bounds is only a second opinion beside them, until the next answer agrees with one of the two. While there is a second
//! opinion, whoever must not be late by mistake takes the offset that makes an interaction youngest
//! ([`DiscordClock::least_offset_ms`]). Time is counted on the monotonic clock, so that setting ours changes nothing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::time::Instant;

/// Two clocks drift apart: bounds that are older grow by a millisecond in so many on both sides.
const DRIFT_PART: i64 = 5_000;
/// A correction above this is logged.
const NOTABLE_MS: i64 = 500;
/// How long an opinion that was contradicted is remembered: the worker asks the proxies every 30 s even when nothing happens.
const DOUBT: Duration = Duration::from_secs(35);

/// Discord's clock, as far as it is known.
#[derive(Debug)]
pub(crate) struct DiscordClock {
    began: Instant,
    opinions: Mutex<Opinions>,
}

#[derive(Debug, Default)]
struct Opinions {
    held: Option<Bounds>,
    /// Until when drift is reckoned with, counted as the bounds are.
    drifted_ms: i64,
    /// A second answer agreed with `held`.
    confirmed: bool,
    /// What contradicts it, and when that was last found.
    other: Option<(Bounds, Instant)>,
}

/// Discord's time minus the monotonic clock's, which counts from `began`, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bounds {
    least_ms: i64,
    most_ms: i64,
}

impl Default for DiscordClock {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            opinions: Mutex::default(),
        }
    }
}

impl DiscordClock {
    /// Discord's clock minus ours: the middle between the bounds. `None` before the first answer.
    pub(crate) fn offset_ms(&self) -> Option<i64> {
        let held = self.opinions.lock().held?;
        Some(held.middle_ms() + self.since_began_ms(Instant::now()) - now_ms())
    }

    /// The least offset that may be right, so the one by which an interaction is youngest. `elsewhere` is an offset that
    /// another process measured; it counts until two answers agreed here.
    pub(crate) fn least_offset_ms(&self, elsewhere: i64) -> i64 {
        let now = Instant::now();
        let here = {
            let opinions = self.opinions.lock();
            let other = opinions.other.filter(|(_, at)| now.duration_since(*at) < DOUBT);
            let held = opinions.held.map(Bounds::middle_ms);
            let least = held.into_iter().chain(other.map(|(other, _)| other.middle_ms())).min();
            least.map(|least| (least, opinions.confirmed))
        };
        let Some((least, confirmed)) = here else {
            return elsewhere;
        };
        let least = least + self.since_began_ms(now) - now_ms();
        if confirmed { least } else { least.min(elsewhere) }
    }

    /// Takes in one answer: its `Date`, and when the call was sent and answered.
    pub(crate) fn observe(&self, date: &str, sent: Instant, answered: Instant) {
        // HTTP's date is RFC 2822's with GMT, which that format calls an obsolete zone and the parser accepts.
        let Ok(stamp) = OffsetDateTime::parse(date, &Rfc2822) else {
            return;
        };
        let stamp_ms = stamp.unix_timestamp() * 1000;
        let fresh = Bounds {
            least_ms: stamp_ms - self.since_began_ms(answered),
            most_ms: stamp_ms + 1000 - self.since_began_ms(sent),
        };
        if fresh.least_ms <= fresh.most_ms {
            let mut opinions = self.opinions.lock();
            opinions.drift(self.since_began_ms(answered));
            opinions.take_in(fresh, answered);
        }
    }

    fn since_began_ms(&self, at: Instant) -> i64 {
        i64::try_from(at.saturating_duration_since(self.began).as_millis()).unwrap_or(i64::MAX)
    }
}

impl Opinions {
    fn drift(&mut self, now_ms: i64) {
        let by_ms = (now_ms - self.drifted_ms) / DRIFT_PART;
        if by_ms > 0 {
            self.drifted_ms = now_ms;
            if let Some(held) = &mut self.held {
                held.least_ms -= by_ms;
                held.most_ms += by_ms;
            }
        }
    }

    fn take_in(&mut self, fresh: Bounds, at: Instant) {
        let Some(held) = self.held else {
            self.held = Some(fresh);
            return;
        };
        if let Some(both) = held.and(fresh) {
            (self.held, self.confirmed) = (Some(both), true);
        } else if let Some(both) = self.other.and_then(|(other, _)| other.and(fresh)) {
            let by_ms = both.middle_ms() - held.middle_ms();
            if by_ms.abs() > NOTABLE_MS {
                tracing::warn!(
                    by_ms,
                    "two answers agree that Discord's clock differs from what was measured before"
                );
            }
            (self.held, self.confirmed, self.other) = (Some(both), true, Some((held, at)));
        } else {
            self.other = Some((fresh, at));
        }
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

    fn middle_ms(self) -> i64 {
        i64::midpoint(self.least_ms, self.most_ms)
    }
}

/// Milliseconds since 1970 on our clock.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock, and answers that Discord stamps by ours plus an offset, each 10 ms on its way.
    struct Answers {
        clock: DiscordClock,
        began: Instant,
        began_ms: i64,
    }

    impl Answers {
        fn new() -> Self {
            let (clock, began_ms) = (DiscordClock::default(), now_ms());
            let began = clock.began;
            Self { clock, began, began_ms }
        }

        /// An answer that arrives `at_ms` after the beginning and is stamped `ahead_ms` ahead of our clock.
        fn answer(&self, at_ms: u64, ahead_ms: i64) {
            let stamp_ms = self.began_ms + i64::try_from(at_ms).unwrap() + ahead_ms;
            let stamp = OffsetDateTime::from_unix_timestamp(stamp_ms.div_euclid(1000)).unwrap();
            let date = stamp.format(&Rfc2822).unwrap();
            let answered = self.began + Duration::from_millis(at_ms);
            let sent = answered.checked_sub(Duration::from_millis(10)).unwrap_or(answered);
            self.clock.observe(&date, sent, answered);
        }

        fn offset_is_about(&self, wanted_ms: i64) {
            let offset = self.clock.offset_ms().unwrap();
            assert!(
                (offset - wanted_ms).abs() <= 700,
                "{offset} ms instead of {wanted_ms} ms"
            );
        }

        fn least_is_about(&self, wanted_ms: i64) {
            let least = self.clock.least_offset_ms(wanted_ms);
            assert!((least - wanted_ms).abs() <= 700, "{least} ms instead of {wanted_ms} ms");
        }
    }

    #[test]
    fn several_answers_come_closer_than_a_second() {
        let answers = Answers::new();
        assert_eq!(answers.clock.offset_ms(), None);
        for at in (20..4_000).step_by(90) {
            answers.answer(at, 100);
        }
        let offset = answers.clock.offset_ms().unwrap();
        assert!((0..=200).contains(&offset), "{offset}");
    }

    #[test]
    fn one_answer_with_a_wrong_date_changes_nothing() {
        for ahead in [4_000, 3_600_000, -4_000, -3_600_000] {
            let answers = Answers::new();
            answers.answer(20, 0);
            answers.answer(40, 0);
            answers.answer(60, ahead);
            answers.offset_is_about(0);
            // An interaction is not taken for older than it is.
            assert!(answers.clock.least_offset_ms(0) <= 700);
            answers.answer(80, 0);
            answers.offset_is_about(0);
        }
    }

    #[test]
    fn a_jump_is_believed_when_a_second_answer_agrees() {
        let answers = Answers::new();
        answers.answer(20, 0);
        answers.answer(40, 0);
        answers.answer(60, 5_000);
        answers.answer(80, 5_000);
        answers.offset_is_about(5_000);
        // Both may still be wrong: who must not be late by mistake keeps the earlier opinion for a while.
        answers.least_is_about(0);
    }

    #[test]
    fn different_wrong_dates_do_not_confirm_each_other() {
        let answers = Answers::new();
        answers.answer(20, 0);
        for (at, ahead) in [(40, 5_000), (60, 9_000), (80, -7_000)] {
            answers.answer(at, ahead);
            answers.offset_is_about(0);
        }
    }

    #[test]
    fn first_answer_alone_does_not_make_an_interaction_older() {
        let answers = Answers::new();
        answers.answer(20, 4_000);
        answers.least_is_about(0);
        assert_eq!(DiscordClock::default().least_offset_ms(7), 7);
    }

    #[test]
    fn what_is_no_date_is_passed_over() {
        let clock = DiscordClock::default();
        let now = Instant::now();
        clock.observe("yesterday", now, now);
        assert_eq!(clock.offset_ms(), None);
    }
}
