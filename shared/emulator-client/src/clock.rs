//! `/control/clock`: the emulator's clock.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Moves the clock forward. Exactly one of the fields is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockChange {
    /// Milliseconds to add.
    pub advance_ms: Option<u64>,
    /// New time; not before the present one.
    pub set: Option<Timestamp>,
}

/// The emulator's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockState {
    /// Time by the emulator's clock.
    pub now: Timestamp,
    /// The same in Unix milliseconds.
    pub now_ms: u64,
    /// Milliseconds by which it is ahead of the machine's clock.
    pub ahead_ms: u64,
}
