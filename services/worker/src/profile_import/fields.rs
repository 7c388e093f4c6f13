//! Reads the fields of a row. SQLite stores any type in any column, so each field states what it accepts.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use arrakis_db::UserId;
use arrakis_domain::Address;
use rusqlite::Row;
use rusqlite::types::ValueRef;
use time::format_description::well_known::Rfc3339;
use time::macros::{datetime, format_description};
use time::{Date, OffsetDateTime, UtcOffset};

use super::problems::Problems;

/// Before this, Discord had no members.
const EARLIEST: OffsetDateTime = datetime!(2015-01-01 00:00 UTC);

/// The fields of one row. A field that is refused is a problem, and the row is not read then.
pub(super) struct Fields<'a> {
    table: &'static str,
    number: u64,
    row: &'a Row<'a>,
    places: &'a BTreeMap<&'static str, usize>,
    now: OffsetDateTime,
    user: Option<UserId>,
    problems: &'a mut Problems,
    refused: bool,
}

impl<'a> Fields<'a> {
    /// The fields of a row of a table with these columns. Times are not after `now`.
    pub(super) fn new(
        table: &'static str,
        (number, row): (u64, &'a Row<'a>),
        places: &'a BTreeMap<&'static str, usize>,
        now: OffsetDateTime,
        problems: &'a mut Problems,
    ) -> Self {
        Self {
            table,
            number,
            row,
            places,
            now,
            user: None,
            problems,
            refused: false,
        }
    }

    /// The number of the row.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Whether a field was refused.
    pub(super) const fn refused(&self) -> bool {
        self.refused
    }

    /// Refuses the row for this reason.
    pub(super) fn refuse(&mut self, reason: impl Into<String>) {
        self.refused = true;
        self.problems.add(self.table, Some(self.number), self.user, reason);
    }

    /// The member whose row it is; problems of further fields name the member.
    pub(super) fn member(&mut self) -> Option<UserId> {
        self.user = self.required("user_id", user);
        self.user
    }

    /// A field that must not be empty. `None` when it is refused.
    fn required<T>(&mut self, column: &'static str, read: impl FnOnce(ValueRef<'_>) -> Result<T, String>) -> Option<T> {
        if matches!(self.value(column), ValueRef::Null) {
            self.refuse(format!("{column} is empty"));
            return None;
        }
        self.optional(column, read)
    }

    /// A field that may be empty, or whose column may be missing. `None` also when it is refused.
    fn optional<T>(&mut self, column: &'static str, read: impl FnOnce(ValueRef<'_>) -> Result<T, String>) -> Option<T> {
        let result = match self.value(column) {
            ValueRef::Null => return None,
            value => read(value),
        };
        match result {
            Ok(value) => Some(value),
            Err(reason) => {
                self.refuse(format!("{column}: {reason}"));
                None
            }
        }
    }

    fn value(&self, column: &'static str) -> ValueRef<'a> {
        let place = self.places.get(column);
        place
            .and_then(|place| self.row.get_ref(*place).ok())
            .unwrap_or(ValueRef::Null)
    }

    /// The id of a Discord user, a number or digits.
    pub(super) fn user_or_none(&mut self, column: &'static str) -> Option<UserId> {
        self.optional(column, user)
    }

    /// A text of at most this many characters.
    pub(super) fn text(&mut self, column: &'static str, most: usize) -> Option<String> {
        self.required(column, |value| text(value, most))
    }

    /// As [`Fields::text`], for a field that may be empty.
    pub(super) fn text_or_none(&mut self, column: &'static str, most: usize) -> Option<String> {
        self.optional(column, |value| text(value, most))
    }

    /// A wallet, which a key can have verified.
    pub(super) fn wallet_or_none(&mut self, column: &'static str) -> Option<Address> {
        self.optional(column, |value| {
            let address = Address::parse_checked(&text(value, 100)?).map_err(|error| error.to_string())?;
            // Tools write it in place of no wallet. Nothing can have verified it.
            if address.as_bytes().iter().all(|byte| *byte == 0) {
                return Err(format!(
                    "{address} is the zero address, which has no key; leave the field empty"
                ));
            }
            Ok(address)
        })
    }

    /// A text with a form of its own: a key, a UUID.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&mut self, column: &'static str) -> Option<T> {
        self.required(column, parse)
    }

    /// As [`Fields::parsed`], for a field that may be empty.
    pub(super) fn parsed_or_none<T: FromStr<Err: Display>>(&mut self, column: &'static str) -> Option<T> {
        self.optional(column, parse)
    }

    /// A time.
    pub(super) fn time(&mut self, column: &'static str) -> Option<OffsetDateTime> {
        let now = self.now;
        self.required(column, |value| time(value, now))
    }

    /// As [`Fields::time`], for a field that may be empty.
    pub(super) fn time_or_none(&mut self, column: &'static str) -> Option<OffsetDateTime> {
        let now = self.now;
        self.optional(column, |value| time(value, now))
    }

    /// A UTC day.
    pub(super) fn day(&mut self, column: &'static str) -> Option<Date> {
        let now = self.now;
        self.required(column, |value| day(value, now))
    }

    /// 0 or 1; an empty field is 0.
    pub(super) fn flag(&mut self, column: &'static str) -> bool {
        let read = |value: ValueRef<'_>| match value {
            ValueRef::Integer(0) => Ok(false),
            ValueRef::Integer(1) => Ok(true),
            other => Err(format!("{} is neither 0 nor 1", shown(other))),
        };
        self.optional(column, read).unwrap_or(false)
    }

    /// A number from 0 to `most`; an empty field is 0.
    pub(super) fn count<T>(&mut self, column: &'static str, most: T) -> T
    where
        T: Copy + TryFrom<i64> + Default + PartialOrd + Display,
    {
        let read = |value: ValueRef<'_>| match value {
            ValueRef::Integer(number) if number >= 0 => {
                let count = T::try_from(number).ok().filter(|count| *count <= most);
                count.ok_or_else(|| format!("{number} is more than {most}"))
            }
            other => Err(format!("{} is not a whole number from 0", shown(other))),
        };
        self.optional(column, read).unwrap_or_default()
    }
}

/// A value for a problem's text, cut off.
fn shown(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "nothing".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(bytes) => {
            let text: String = String::from_utf8_lossy(bytes).chars().take(48).collect();
            format!("`{text}`")
        }
        ValueRef::Blob(bytes) => format!("a blob of {} bytes", bytes.len()),
    }
}

fn text(value: ValueRef<'_>, most: usize) -> Result<String, String> {
    let ValueRef::Text(bytes) = value else {
        return Err(format!("{} is not a text", shown(value)));
    };
    let text = std::str::from_utf8(bytes).map_err(|_| "the text is not UTF-8".to_owned())?;
    let length = text.chars().count();
    if length == 0 || length > most {
        return Err(format!("the text has {length} characters; 1 to {most} are allowed"));
    }
    if text.chars().any(char::is_control) {
        return Err("the text has control characters".to_owned());
    }
    Ok(text.to_owned())
}

fn parse<T: FromStr<Err: Display>>(value: ValueRef<'_>) -> Result<T, String> {
    text(value, 200)?.parse().map_err(|error: T::Err| error.to_string())
}

fn user(value: ValueRef<'_>) -> Result<UserId, String> {
    match value {
        ValueRef::Integer(number) => UserId::try_from(number).map_err(|error| format!("{number}: {error}")),
        other => parse(other),
    }
}

/// A time in UTC and whole microseconds: RFC 3339, SQLite's own form without a zone (UTC), or seconds since 1970.
fn time(value: ValueRef<'_>, now: OffsetDateTime) -> Result<OffsetDateTime, String> {
    let read = match value {
        ValueRef::Integer(seconds) => OffsetDateTime::from_unix_timestamp(seconds).ok(),
        ValueRef::Text(_) => {
            let text = text(value, 64)?;
            let own = text.split_once(' ').map(|(day, time)| format!("{day}T{time}Z"));
            OffsetDateTime::parse(own.as_deref().unwrap_or(&text), &Rfc3339).ok()
        }
        _ => None,
    };
    let at = read.ok_or_else(|| {
        format!(
            "{} is not a time; write 2026-01-31T12:00:00Z, 2026-01-31 12:00:00 (UTC) or seconds since 1970",
            shown(value)
        )
    })?;
    if at < EARLIEST {
        return Err(format!("{} is before 2015, when Discord began", shown(value)));
    }
    if at > now {
        return Err(format!("{} is in the future", shown(value)));
    }
    // PostgreSQL stores microseconds.
    let whole = at.replace_microsecond(at.microsecond()).unwrap_or(at);
    Ok(whole.to_offset(UtcOffset::UTC))
}

fn day(value: ValueRef<'_>, now: OffsetDateTime) -> Result<Date, String> {
    let text = text(value, 10)?;
    let day = Date::parse(&text, format_description!("[year]-[month]-[day]"))
        .map_err(|_| format!("`{text}` is not a day; write 2026-01-31"))?;
    if day < EARLIEST.date() || day > now.date() {
        return Err(format!("{text} is before 2015, or in the future"));
    }
    Ok(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-30 12:00 UTC);

    fn written(text: &str) -> ValueRef<'_> {
        ValueRef::Text(text.as_bytes())
    }

    #[test]
    fn times_of_three_forms_are_read_in_utc() {
        let expected = datetime!(2026-01-31 11:00:00.123456 UTC);
        for form in [
            "2026-01-31T12:00:00.1234569+01:00",
            "2026-01-31T11:00:00.123456Z",
            "2026-01-31 11:00:00.123456",
        ] {
            let at = time(written(form), NOW).unwrap();
            assert_eq!((at, at.offset()), (expected, UtcOffset::UTC), "{form}");
        }
        assert_eq!(
            time(ValueRef::Integer(expected.unix_timestamp()), NOW).unwrap(),
            datetime!(2026-01-31 11:00 UTC)
        );
    }

    #[test]
    fn other_values_are_no_times() {
        for value in [
            written("yesterday"),
            written("2026-01-31"),
            written("2014-12-31T23:59:59Z"),
            written("2026-11-30T12:00:01Z"),
            // Milliseconds.
            ValueRef::Integer(1_769_857_200_000),
            ValueRef::Integer(0),
            ValueRef::Real(1.5),
            ValueRef::Blob(b"2026-01-31T11:00:00Z"),
        ] {
            assert!(time(value, NOW).is_err(), "{value:?}");
        }
    }

    #[test]
    fn user_ids_are_numbers_or_digits() {
        let id = UserId::new(80_351_110_224_678_912).unwrap();
        assert_eq!(user(written("80351110224678912")), Ok(id));
        assert_eq!(user(ValueRef::Integer(80_351_110_224_678_912)), Ok(id));
        for value in [
            ValueRef::Integer(0),
            ValueRef::Real(8.0e16),
            written("8035111022467891x"),
            written(""),
        ] {
            assert!(user(value).is_err(), "{value:?}");
        }
    }

    #[test]
    fn texts_are_bounded_utf_8_on_one_line() {
        assert_eq!(text(written("Chani 沙"), 7).unwrap(), "Chani 沙");
        for value in [
            written("Chani 沙漠"),
            written("a\nb"),
            written("a\0"),
            ValueRef::Text(b"\xff"),
        ] {
            assert!(text(value, 7).is_err(), "{value:?}");
        }
    }

    #[test]
    fn days_exist_and_are_past() {
        // The text is as the database writes it.
        assert_eq!(day(written("2026-02-08"), NOW).unwrap().to_string(), "2026-02-08");
        for text in ["2026-02-29", "2026-12-01", "28.02.2026", "2026-2-28"] {
            assert!(day(written(text), NOW).is_err(), "{text}");
        }
    }
}
