//! Ids of Discord.

use std::fmt;
use std::num::{NonZeroU64, ParseIntError};
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The first millisecond of snowflakes, since the Unix epoch: <https://discord.com/developers/docs/reference#snowflakes>.
const DISCORD_EPOCH: u64 = 1_420_070_400_000;

/// A Discord id, which contains the time of creation: <https://discord.com/developers/docs/reference#snowflakes>.
///
/// Serialized as decimal text, since JSON numbers are not exact at 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Snowflake(NonZeroU64);

/// Number of digits of an id. The first ids, of May 2015, have 17 digits; 64 bits hold 20.
pub const ID_DIGITS: RangeInclusive<usize> = 17..=20;

/// The text, from user input, is not a valid id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not an id of Discord's: an id is a number of {} to {} digits{}",
    ID_DIGITS.start(),
    ID_DIGITS.end(),
    digits.map(|digits| format!(", and this has {digits}")).unwrap_or_default()
)]
pub struct IdError {
    text: String,
    /// The number of digits, when the text is a number with too few or too many.
    digits: Option<usize>,
}

impl IdError {
    /// The error for `text`, of which 40 characters are kept.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        Self {
            text: text.chars().take(40).collect(),
            digits: (is_number && !ID_DIGITS.contains(&text.len())).then_some(text.len()),
        }
    }
}

impl Snowflake {
    /// An id from user input: a number with 17 to 20 digits.
    ///
    /// # Errors
    /// The text is not a number with 17 to 20 digits.
    pub fn written(text: &str) -> Result<Self, IdError> {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        let id = text
            .parse()
            .ok()
            .filter(|_| is_number && ID_DIGITS.contains(&text.len()));
        id.ok_or_else(|| IdError::new(text))
    }

    /// An id from a number; `None` for 0.
    #[must_use]
    pub const fn new(id: u64) -> Option<Self> {
        match NonZeroU64::new(id) {
            Some(id) => Some(Self(id)),
            None => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// Time of creation, in milliseconds since the Unix epoch.
    #[must_use]
    pub const fn created_at_ms(self) -> u64 {
        (self.0.get() >> 22) + DISCORD_EPOCH
    }
}

impl fmt::Display for Snowflake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Snowflake {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(Self)
    }
}

serde_as_text!(Snowflake);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_id_has_17_to_20_digits() {
        for right in ["41771983423143937", "1200000000000000777", "18446744073709551615"] {
            assert_eq!(Snowflake::written(right).unwrap().to_string(), right);
        }
        for (wrong, digits) in [
            ("123", Some(", and this has 3")),
            ("112233445566778899001", Some(", and this has 21")),
            ("99999999999999999999", None),
            ("00000000000000000000", None),
            ("+1200000000000000777", None),
            ("general", None),
            ("", None),
        ] {
            let message = Snowflake::written(wrong).unwrap_err().to_string();
            let what_it_is = "is not an id of Discord's: an id is a number of 17 to 20 digits";
            assert_eq!(message, format!("`{wrong}` {what_it_is}{}", digits.unwrap_or_default()));
        }
    }
}
