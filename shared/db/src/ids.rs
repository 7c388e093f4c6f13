//! Ids of communities, and Discord's snowflakes as PostgreSQL's `bigint` stores them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Declares an id that is a version 7 UUID, sorted by time of creation.
macro_rules! uuid_id {
    ($(#[$documentation:meta])* $name:ident) => {
        $(#[$documentation])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(::uuid::Uuid);

        impl $name {
            /// A new, unique id.
            #[must_use]
            #[expect(clippy::new_without_default, reason = "two calls differ, which a default must not")]
            pub fn new() -> Self {
                Self(::uuid::Uuid::now_v7())
            }

            /// The id with this UUID.
            #[must_use]
            pub const fn from_uuid(uuid: ::uuid::Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID.
            #[must_use]
            pub const fn uuid(self) -> ::uuid::Uuid {
                self.0
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = ::uuid::Error;

            fn from_str(text: &str) -> Result<Self, ::uuid::Error> {
                text.parse().map(Self)
            }
        }
    };
}
pub(crate) use uuid_id;

uuid_id! {
    /// Id of a community, which is also the tenant's id: a version 7 UUID, sorted by time of creation.
    CommunityId
}

/// A number that is not a Discord id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a Discord id is a whole number from 1 to {}", i64::MAX)]
pub struct SnowflakeError;

macro_rules! snowflake {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(i64);

        impl $name {
            /// An id from Discord's number.
            ///
            /// # Errors
            /// For 0, and for a number above `bigint`'s maximum, which snowflakes reach in the year 2084.
            pub fn new(id: u64) -> Result<Self, SnowflakeError> {
                match i64::try_from(id) {
                    Ok(id) if id > 0 => Ok(Self(id)),
                    _ => Err(SnowflakeError),
                }
            }

            /// The snowflake as a number.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0.unsigned_abs()
            }

            /// The id as a column stores it.
            pub(crate) const fn stored(self) -> i64 {
                self.0
            }
        }

        impl TryFrom<u64> for $name {
            type Error = SnowflakeError;

            fn try_from(id: u64) -> Result<Self, SnowflakeError> {
                Self::new(id)
            }
        }

        /// An id from a column.
        impl TryFrom<i64> for $name {
            type Error = SnowflakeError;

            fn try_from(id: i64) -> Result<Self, SnowflakeError> {
                if id > 0 { Ok(Self(id)) } else { Err(SnowflakeError) }
            }
        }

        /// An id as Discord writes it: one id has one text, so `+7` and `07` are refused.
        impl FromStr for $name {
            type Err = SnowflakeError;

            fn from_str(text: &str) -> Result<Self, SnowflakeError> {
                if !text.starts_with(|first: char| matches!(first, '1'..='9')) {
                    return Err(SnowflakeError);
                }
                text.parse::<u64>().map_err(|_| SnowflakeError).and_then(Self::new)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

snowflake!(
    /// Id of a Discord server.
    GuildId
);
snowflake!(
    /// Id of a Discord user.
    UserId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_and_zero_is_refused() {
        let id = GuildId::new(1_234_567_890_123_456_789).unwrap();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(GuildId::try_from(id.stored()), Ok(id));
        assert_eq!(GuildId::new(0), Err(SnowflakeError));
        assert_eq!(GuildId::new(u64::MAX), Err(SnowflakeError));
        assert_eq!(UserId::try_from(-1_i64), Err(SnowflakeError));
        for text in [
            "",
            "0",
            "+7",
            "07",
            "-7",
            " 7",
            "7 ",
            "7x",
            "\u{0667}",
            "9223372036854775808",
        ] {
            assert_eq!(text.parse::<GuildId>(), Err(SnowflakeError), "{text:?}");
        }
    }
}
