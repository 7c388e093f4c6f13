//! Scheduled events: <https://discord.com/developers/docs/resources/guild-scheduled-event>.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::UtcOffset;
use time::format_description::well_known::Rfc3339;

use super::{Clearable, Image, Reference};

/// An instant, written by RFC 3339 in UTC. Discord keeps milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(OffsetDateTime);

/// A text that is no instant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time; write it like `2026-12-24T18:00:00Z`")]
pub struct TimestampError(String);

impl Timestamp {
    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn unix_ms(self) -> i128 {
        self.0.unix_timestamp_nanos() / 1_000_000
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let refuse = || TimestampError(text.chars().take(60).collect());
        let parsed = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| refuse())?;
        let utc = parsed.checked_to_offset(UtcOffset::UTC).ok_or_else(refuse)?;
        utc.replace_millisecond(utc.millisecond())
            .map(Self)
            .map_err(|_| refuse())
    }
}

serde_as_text!(Timestamp);

/// Where an event takes place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventPlace {
    /// On a stage.
    Stage(Reference),
    /// In a voice channel.
    Voice(Reference),
    /// Somewhere else, in words; such an event has an end.
    External(String),
}

impl EventPlace {
    /// Discord's number of the kind of place.
    #[must_use]
    pub const fn wire(&self) -> u64 {
        match self {
            Self::Stage(_) => 1,
            Self::Voice(_) => 2,
            Self::External(_) => 3,
        }
    }
}

attributes! {
    /// A scheduled event.
    pub struct Event {
        /// What it is called.
        name: String,
        /// What it is; empty for none.
        description: String,
        /// When it begins.
        start: Timestamp,
        /// When it ends; `none` where nothing is said.
        end: Clearable<Timestamp>,
        /// Where.
        place: EventPlace,
        /// The picture over it.
        image: Image,
    }
}
