//! Alerts: what a member is notified of, and when the message is due.
//!
//! Times are seconds since 1970 in UTC; hours are those of the member's day ([`TimeZone`]).

use std::collections::BTreeSet;
use std::str::FromStr;

use crate::TimeZone;

/// Hour of the digest where the member chose none.
const DIGEST_HOUR: u8 = 18;
/// Most times that the end of quiet hours is looked for: where a change of the clock skips it, the hour after it may be quiet as well.
const QUIET_STEPS: usize = 3;

/// What a member may be notified of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlertKind {
    /// The member's rank changed.
    Rank,
    /// The member's tier changed.
    Tier,
    /// The member's rank entered or left the waitlist zone or the eligible ranks.
    Waitlist,
    /// The entry threshold changed.
    Threshold,
}

impl AlertKind {
    /// Every kind, in display order.
    pub const ALL: [Self; 4] = [Self::Rank, Self::Tier, Self::Waitlist, Self::Threshold];

    /// The kind as the database and custom ids store it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rank => "rank",
            Self::Tier => "tier",
            Self::Waitlist => "waitlist",
            Self::Threshold => "threshold",
        }
    }
}

/// A text that is none of the known values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown value")]
pub struct UnknownAlertValue;

impl FromStr for AlertKind {
    type Err = UnknownAlertValue;

    fn from_str(text: &str) -> Result<Self, UnknownAlertValue> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or(UnknownAlertValue)
    }
}

/// When a member is notified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AlertDelivery {
    /// As soon as the event is known.
    #[default]
    AtOnce,
    /// Once a day, all events in one message.
    Digest,
}

impl AlertDelivery {
    /// Every value.
    pub const ALL: [Self; 2] = [Self::AtOnce, Self::Digest];

    /// The value as the database and custom ids store it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AtOnce => "at_once",
            Self::Digest => "digest",
        }
    }
}

impl FromStr for AlertDelivery {
    type Err = UnknownAlertValue;

    fn from_str(text: &str) -> Result<Self, UnknownAlertValue> {
        let found = Self::ALL.into_iter().find(|delivery| delivery.as_str() == text);
        found.ok_or(UnknownAlertValue)
    }
}

/// Hours of the member's day in which no message is sent: from the beginning of one hour to the beginning of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QuietHours {
    from: u8,
    to: u8,
}

impl QuietHours {
    /// Quiet hours; they may include midnight. `None` for an hour above 23, and where both are the same, which would be all day or never.
    #[must_use]
    pub const fn new(from: u8, to: u8) -> Option<Self> {
        if from > 23 || to > 23 || from == to {
            return None;
        }
        Some(Self { from, to })
    }

    /// The first quiet hour, from 0 to 23, in the time zone of the member: with 22, no message is sent from 22:00 on.
    #[must_use]
    pub const fn from(self) -> u8 {
        self.from
    }

    /// The first hour after the quiet hours, from 0 to 23: with 7, messages are sent again from 07:00 on.
    #[must_use]
    pub const fn to(self) -> u8 {
        self.to
    }

    const fn contains(self, hour: u8) -> bool {
        if self.from < self.to {
            self.from <= hour && hour < self.to
        } else {
            self.from <= hour || hour < self.to
        }
    }
}

/// What a member is notified of, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertSettings {
    /// The kinds; none when alerts are off.
    pub kinds: BTreeSet<AlertKind>,
    /// At once, or once a day.
    pub delivery: AlertDelivery,
    /// Hours without messages; `None` for no such hours.
    pub quiet: Option<QuietHours>,
    /// The member's time zone.
    pub zone: TimeZone,
    /// Hour of the member's day at which the digest is sent, 0 to 23.
    pub digest_hour: u8,
}

/// Everything is off.
impl Default for AlertSettings {
    fn default() -> Self {
        Self {
            kinds: BTreeSet::new(),
            delivery: AlertDelivery::AtOnce,
            quiet: None,
            zone: TimeZone::default(),
            digest_hour: DIGEST_HOUR,
        }
    }
}

impl AlertSettings {
    /// When a message about an event at `unix` is due, both in seconds since 1970 (UTC): never in quiet hours, and never before the event.
    #[must_use]
    pub fn due_at(&self, unix: i64) -> i64 {
        let due = match self.delivery {
            AlertDelivery::AtOnce => unix,
            AlertDelivery::Digest => self.zone.next_hour(unix, self.digest_hour),
        };
        self.after_quiet_hours(due)
    }

    /// The earliest time from `unix` on that is outside of the member's quiet hours: `unix` itself, or the end of the quiet hours that it is
    /// in. Both times are in seconds since 1970 (UTC); the quiet hours are hours of the member's time zone.
    #[must_use]
    pub fn after_quiet_hours(&self, unix: i64) -> i64 {
        let Some(quiet) = self.quiet else {
            return unix;
        };
        let mut due = unix;
        for _ in 0..QUIET_STEPS {
            let (hour, _) = self.zone.time_of_day(due);
            if !quiet.contains(hour) {
                break;
            }
            due = self.zone.next_hour(due, quiet.to);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3_600;
    const DAY: i64 = 24 * HOUR;
    /// A midnight in UTC.
    const MIDNIGHT: i64 = 20_000 * DAY;

    fn at(hour: i64, minute: i64) -> i64 {
        MIDNIGHT + hour * HOUR + minute * 60
    }

    fn settings(delivery: AlertDelivery, quiet: Option<(u8, u8)>, zone: &str) -> AlertSettings {
        AlertSettings {
            delivery,
            quiet: quiet.map(|(from, to)| QuietHours::new(from, to).unwrap()),
            zone: zone.parse().unwrap(),
            ..AlertSettings::default()
        }
    }

    #[test]
    fn message_waits_for_the_end_of_quiet_hours() {
        let night = settings(AlertDelivery::AtOnce, Some((22, 7)), "UTC");
        assert_eq!(night.due_at(at(21, 59)), at(21, 59));
        assert_eq!(night.due_at(at(22, 0)), at(31, 0));
        assert_eq!(night.due_at(at(6, 59)), at(7, 0));
        assert_eq!(night.due_at(at(7, 0)), at(7, 0));
        let noon = settings(AlertDelivery::AtOnce, Some((12, 14)), "UTC");
        assert_eq!((noon.due_at(at(13, 0)), noon.due_at(at(14, 0))), (at(14, 0), at(14, 0)));
    }

    #[test]
    fn quiet_hours_are_those_of_the_members_day() {
        let tokyo = settings(AlertDelivery::AtOnce, Some((22, 7)), "+9");
        assert_eq!(tokyo.due_at(at(13, 0)), at(22, 0), "22:00 there, until 07:00");
        assert_eq!(tokyo.due_at(at(22, 0)), at(22, 0));
        let india = settings(AlertDelivery::AtOnce, Some((22, 7)), "UTC+05:30");
        assert_eq!(india.due_at(at(16, 30)), at(25, 30));
    }

    #[test]
    fn digest_is_due_at_its_hour_and_not_in_quiet_hours() {
        let evening = settings(AlertDelivery::Digest, None, "UTC");
        assert_eq!(evening.due_at(at(17, 59)), at(18, 0));
        assert_eq!(evening.due_at(at(18, 0)), at(42, 0), "the digest of this day is sent");
        let late = settings(AlertDelivery::Digest, Some((17, 20)), "UTC");
        assert_eq!(late.due_at(at(9, 0)), at(20, 0));
    }

    #[test]
    fn hours_that_are_none_are_refused() {
        assert_eq!(QuietHours::new(24, 7), None);
        assert_eq!(QuietHours::new(7, 7), None);
    }

    #[test]
    fn quiet_hours_follow_daylight_saving_time() {
        let time = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_second();
        let berlin = settings(AlertDelivery::AtOnce, Some((22, 7)), "Europe/Berlin");
        for (event, due) in [
            ("2026-01-15T20:59:59Z", "2026-01-15T20:59:59Z"),
            ("2026-01-15T21:00:00Z", "2026-01-16T06:00:00Z"),
            ("2026-07-15T20:00:00Z", "2026-07-16T05:00:00Z"),
            // The nights in which the clock changes.
            ("2026-03-28T22:00:00Z", "2026-03-29T05:00:00Z"),
            ("2026-10-24T22:00:00Z", "2026-10-25T06:00:00Z"),
        ] {
            assert_eq!(berlin.due_at(time(event)), time(due), "{event}");
        }
        let digest = settings(AlertDelivery::Digest, None, "America/New_York");
        // 18:00 there, before and after 8 March 2026.
        assert_eq!(
            digest.due_at(time("2026-03-07T12:00:00Z")),
            time("2026-03-07T23:00:00Z")
        );
        assert_eq!(
            digest.due_at(time("2026-03-07T23:00:00Z")),
            time("2026-03-08T22:00:00Z")
        );
        // The end of the quiet hours is skipped on 29 March, and the hour after it is quiet.
        let nearly_always = settings(AlertDelivery::AtOnce, Some((3, 2)), "Europe/Berlin");
        assert_eq!(
            nearly_always.due_at(time("2026-03-28T12:00:00Z")),
            time("2026-03-30T00:00:00Z")
        );
    }

    #[test]
    fn stored_names_are_read_again() {
        for kind in AlertKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        for delivery in AlertDelivery::ALL {
            assert_eq!(delivery.as_str().parse(), Ok(delivery));
        }
    }

    proptest! {
        #[test]
        fn due_time_is_never_quiet_and_never_early(
            unix in 0_i64..4_000_000_000,
            zone in prop::sample::select(vec![
                "UTC", "UTC+05:45", "UTC-09:30", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia",
            ]),
            (from, to) in (0_u8..24, 0_u8..24),
            digest in any::<bool>(),
            digest_hour in 0_u8..24,
        ) {
            let zone: TimeZone = zone.parse().unwrap();
            let delivery = if digest { AlertDelivery::Digest } else { AlertDelivery::AtOnce };
            let quiet = QuietHours::new(from, to);
            let settings = AlertSettings { kinds: BTreeSet::new(), delivery, quiet, zone: zone.clone(), digest_hour };
            let due = settings.due_at(unix);
            prop_assert!(due >= unix);
            prop_assert!(due - unix <= 4 * DAY);
            let (hour, _) = zone.time_of_day(due);
            prop_assert!(quiet.is_none_or(|quiet| !quiet.contains(hour)));
        }
    }
}
