//! Snowflakes: Discord's ids, 64 bits with the time of creation in the upper 42.
//! <https://discord.com/developers/docs/reference#snowflakes>

use std::{fmt, num::ParseIntError, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// First millisecond of 2015 in Unix milliseconds, from which snowflakes count.
pub const DISCORD_EPOCH_MS: u64 = 1_420_070_400_000;

/// A snowflake. In JSON it is a string, since JavaScript's numbers do not have 64 bits; numbers are accepted too.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub u64);

impl Id {
    /// The lowest id of this time (Unix milliseconds).
    #[must_use]
    pub const fn at_ms(unix_ms: u64) -> Self {
        Self(unix_ms.saturating_sub(DISCORD_EPOCH_MS) << 22)
    }

    /// Time of creation in Unix milliseconds.
    #[must_use]
    pub const fn created_ms(self) -> u64 {
        (self.0 >> 22) + DISCORD_EPOCH_MS
    }

    /// The shard of a server with this id.
    #[must_use]
    pub const fn shard(self, shards: u64) -> u64 {
        (self.0 >> 22) % if shards == 0 { 1 } else { shards }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for Id {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl From<u64> for Id {
    fn from(value: u64) -> Self {
        Self(value)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Id;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a snowflake: a string of digits")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
                text.parse()
                    .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Id, E> {
                Ok(Id(value))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Id, E> {
                u64::try_from(value)
                    .map(Id)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(value), &self))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_example_decodes() {
        // From the table "Snowflake ID Format Structure".
        assert_eq!(Id(175_928_847_299_117_063).created_ms(), 1_462_015_105_796);
    }

    #[test]
    fn ids_travel_as_strings_and_numbers_are_read() {
        assert_eq!(
            serde_json::to_string(&Id(u64::MAX)).unwrap(),
            "\"18446744073709551615\""
        );
        assert_eq!(serde_json::from_str::<Id>("\"42\"").unwrap(), Id(42));
        assert_eq!(serde_json::from_str::<Id>("42").unwrap(), Id(42));
        assert!(serde_json::from_str::<Id>("\"4x\"").is_err());
        assert!(serde_json::from_str::<Id>("-1").is_err());
    }
}
