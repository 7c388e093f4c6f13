//! Discord's ids.

use std::fmt;
use std::num::{NonZeroU64, ParseIntError};
use std::str::FromStr;

/// The first millisecond of Discord, since the Unix epoch: <https://discord.com/developers/docs/reference#snowflakes>.
const DISCORD_EPOCH: u64 = 1_420_070_400_000;

/// An id at Discord, which tells when its thing was made. Written as decimal text: it is larger than what JSON numbers hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Snowflake(NonZeroU64);

impl Snowflake {
    /// From a number; `None` for 0, which is no id.
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

    /// When it was made, in milliseconds since the Unix epoch.
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
