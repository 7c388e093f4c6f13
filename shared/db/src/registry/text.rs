//! Texts and times as events store them.

use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Duration, OffsetDateTime, PrimitiveDateTime, UtcOffset};

/// A text on one line: control characters are removed, and what exceeds `most` characters is cut off.
pub(super) fn one_line(text: &str, most: usize) -> String {
    let printable = text.chars().filter(|character| !character.is_control());
    printable.take(most).collect::<String>().trim().to_owned()
}

/// A time in UTC without what is shorter than a microsecond: PostgreSQL does not store it.
pub(super) fn whole_microseconds(at: OffsetDateTime) -> OffsetDateTime {
    let rest = Duration::nanoseconds(i64::from(at.nanosecond() % 1000));
    (at - rest).to_offset(UtcOffset::UTC)
}

/// Microseconds since 1970.
pub(super) fn unix_microseconds(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos().div_euclid(1000)).unwrap_or(i64::MAX)
}

const FORMAT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// `2026-11-30T12:00:00.000000Z`.
pub(super) fn format_time(at: OffsetDateTime) -> String {
    // The format has no component that a time in UTC lacks.
    at.to_offset(UtcOffset::UTC).format(FORMAT).unwrap_or_default()
}

/// Parses the form of [`format_time`].
pub(super) fn parse_time(text: &str) -> Result<OffsetDateTime, time::error::Parse> {
    PrimitiveDateTime::parse(text, FORMAT).map(PrimitiveDateTime::assume_utc)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_round_trip_in_microseconds() {
        let at = OffsetDateTime::UNIX_EPOCH + Duration::nanoseconds(1_764_510_655_123_456_789);
        let stored = whole_microseconds(at);
        assert_eq!(format_time(at), "2025-11-30T13:50:55.123456Z");
        assert_eq!(parse_time(&format_time(at)).unwrap(), stored);
        assert_eq!(unix_microseconds(stored), 1_764_510_655_123_456);
        assert_eq!(
            unix_microseconds(OffsetDateTime::UNIX_EPOCH - Duration::nanoseconds(1)),
            -1
        );
    }

    #[test]
    fn text_is_one_line_of_bounded_length() {
        assert_eq!(one_line(" a\nb\u{0}c\u{85} ", 10), "abc");
        assert_eq!(one_line("沙漠之春", 2), "沙漠");
    }
}
