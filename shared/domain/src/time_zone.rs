//! A member's time zone: one of the IANA database, with its daylight saving time, or a fixed offset from UTC.
//!
//! Times are seconds since 1970 in UTC. The database is part of the program, so every worker of a build computes the same times.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{DateTime, Time};
use jiff::tz::{self, Offset, TimeZoneDatabase};

/// Fixed offsets are multiples of this number of minutes: every offset in use is.
const OFFSET_STEP: i32 = 15;
/// Least and greatest fixed offset in use, in minutes.
const OFFSETS: std::ops::RangeInclusive<i32> = -12 * 60..=14 * 60;
/// Name of the offset 0.
const UTC: &str = "UTC";

/// A time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeZone {
    name: String,
    zone: tz::TimeZone,
}

/// A text that names no time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a time zone is a name such as Europe/Berlin, or an offset from UTC between -12:00 and +14:00 in steps of 15 minutes, such as +02:00"
)]
pub struct TimeZoneError;

/// UTC.
impl Default for TimeZone {
    fn default() -> Self {
        Self {
            name: UTC.to_owned(),
            zone: tz::TimeZone::UTC,
        }
    }
}

impl TimeZone {
    /// The name as the database stores it: `Europe/Berlin`, `UTC+02:00`, `UTC`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names of all zones of the IANA database that members can choose.
    pub fn names() -> impl Iterator<Item = String> {
        let names: Vec<String> = TimeZoneDatabase::bundled()
            .available()
            .map(|name| name.to_string())
            .filter(|name| is_place(name))
            .collect();
        names.into_iter()
    }

    /// Hour and minute of the day in this zone.
    #[must_use]
    pub fn time_of_day(&self, unix: i64) -> (u8, u8) {
        let local = self.local(unix);
        let part = |number: i8| u8::try_from(number).unwrap_or_default();
        (part(local.hour()), part(local.minute()))
    }

    /// The next time after `unix` at which this hour of the day begins. An hour that is skipped begins with the hour after it, and of an hour
    /// that is repeated the first one counts.
    pub(crate) fn next_hour(&self, unix: i64, hour: u8) -> i64 {
        let hour = i8::try_from(hour).unwrap_or_default();
        let beginning = Time::new(hour, 0, 0, 0).unwrap_or(Time::midnight());
        let mut date = self.local(unix).date();
        // Today, tomorrow, and one more for a zone that skips a day.
        for _ in 0..3 {
            let found = self.zone.to_timestamp(date.to_datetime(beginning));
            if let Some(at) = found.ok().map(Timestamp::as_second).filter(|at| *at > unix) {
                return at;
            }
            let Ok(next) = date.tomorrow() else {
                break;
            };
            date = next;
        }
        unix
    }

    fn local(&self, unix: i64) -> DateTime {
        // A time outside of the years -9999 to 9999 is no time of an event.
        let at = Timestamp::from_second(unix).unwrap_or(Timestamp::UNIX_EPOCH);
        self.zone.to_datetime(at)
    }

    fn fixed(minutes: i32) -> Result<Self, TimeZoneError> {
        if !OFFSETS.contains(&minutes) || minutes % OFFSET_STEP != 0 {
            return Err(TimeZoneError);
        }
        if minutes == 0 {
            return Ok(Self::default());
        }
        let offset = Offset::from_seconds(minutes * 60).map_err(|_| TimeZoneError)?;
        let (sign, size) = (if minutes < 0 { '-' } else { '+' }, minutes.unsigned_abs());
        Ok(Self {
            name: format!("{UTC}{sign}{:02}:{:02}", size / 60, size % 60),
            zone: tz::TimeZone::fixed(offset),
        })
    }
}

/// Names of places. Those of `Etc` are offsets with the opposite sign.
fn is_place(name: &str) -> bool {
    name.contains('/') && !name.starts_with("Etc/")
}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// `Europe/Berlin`, `america/new york`, `+2`, `-03:30`, `UTC+5:45`, `GMT`.
impl FromStr for TimeZone {
    type Err = TimeZoneError;

    fn from_str(text: &str) -> Result<Self, TimeZoneError> {
        let text = text.trim();
        if text.contains('/') {
            let zone = TimeZoneDatabase::bundled().get(&text.replace(' ', "_"));
            let zone = zone.map_err(|_| TimeZoneError)?;
            let name = zone.iana_name().filter(|name| is_place(name)).map(str::to_owned);
            return Ok(Self {
                name: name.ok_or(TimeZoneError)?,
                zone,
            });
        }
        Self::fixed(offset_minutes(text)?)
    }
}

/// Minutes ahead of UTC.
fn offset_minutes(text: &str) -> Result<i32, TimeZoneError> {
    let text = text.to_ascii_lowercase();
    let text = text
        .strip_prefix("utc")
        .or_else(|| text.strip_prefix("gmt"))
        .unwrap_or(&text);
    let text = text.trim();
    if text.is_empty() || text == "z" {
        return Ok(0);
    }
    let (sign, digits) = match text.split_at_checked(1) {
        Some(("+", digits)) => (1, digits),
        Some(("-", digits)) => (-1, digits),
        _ => return Err(TimeZoneError),
    };
    let (hours, minutes) = digits.split_once(':').unwrap_or((digits, "0"));
    let number = |text: &str| match text.len() {
        1 | 2 if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse::<i32>().map_err(|_| TimeZoneError),
        _ => Err(TimeZoneError),
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    if minutes > 59 {
        return Err(TimeZoneError);
    }
    Ok(sign * (hours * 60 + minutes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    #[test]
    fn offsets_are_read_and_shown() {
        for (text, shown) in [
            ("", "UTC"),
            ("utc", "UTC"),
            ("+0", "UTC"),
            ("+2", "UTC+02:00"),
            ("UTC+02:00", "UTC+02:00"),
            ("gmt -3:30", "UTC-03:30"),
            ("+14", "UTC+14:00"),
        ] {
            let zone: TimeZone = text.parse().unwrap();
            assert_eq!(zone.to_string(), shown, "{text}");
            assert_eq!(zone.name().parse(), Ok(zone.clone()));
        }
        for text in ["2", "+15", "-12:15", "+1:07", "+1:60", "+", "+-2", "Berlin", "+001"] {
            assert_eq!(text.parse::<TimeZone>(), Err(TimeZoneError), "{text}");
        }
        assert_eq!(
            "+2".parse::<TimeZone>()
                .unwrap()
                .time_of_day(at("2026-11-21T23:05:00Z")),
            (1, 5)
        );
    }

    #[test]
    fn names_are_read_in_any_case_and_stored_as_the_database_has_them() {
        for (text, name) in [
            ("Europe/Berlin", "Europe/Berlin"),
            ("america/new york", "America/New_York"),
        ] {
            let zone: TimeZone = text.parse().unwrap();
            assert_eq!(zone.name(), name);
        }
        for text in ["Europe/Arrakeen", "Etc/GMT+5", "/", "Europe/"] {
            assert_eq!(text.parse::<TimeZone>(), Err(TimeZoneError), "{text}");
        }
        let names: Vec<String> = TimeZone::names().collect();
        assert!(names.iter().any(|name| name == "Asia/Kolkata"), "{names:?}");
        for name in &names {
            assert!(name.parse::<TimeZone>().is_ok(), "{name}");
        }
    }

    #[test]
    fn hour_of_the_day_follows_daylight_saving_time() {
        let berlin: TimeZone = "Europe/Berlin".parse().unwrap();
        assert_eq!(berlin.time_of_day(at("2026-01-15T11:30:00Z")), (12, 30));
        assert_eq!(berlin.time_of_day(at("2026-07-15T11:30:00Z")), (13, 30));
        // On 29 March 2026 the hour from 02:00 is skipped, and on 25 October it is repeated.
        assert_eq!(
            berlin.next_hour(at("2026-03-28T23:00:00Z"), 2),
            at("2026-03-29T01:00:00Z")
        );
        assert_eq!(
            berlin.next_hour(at("2026-10-24T22:30:00Z"), 2),
            at("2026-10-25T00:00:00Z")
        );
        assert_eq!(
            berlin.next_hour(at("2026-10-25T00:30:00Z"), 2),
            at("2026-10-26T01:00:00Z")
        );
    }
}
