//! Where dispatches meet sessions.

use crate::world::{Dispatch, State};

/// All sessions of the emulated gateway.
#[derive(Debug, Default)]
pub struct Hub {}

impl Hub {
    /// Hands a dispatch to every session that is entitled to it.
    pub(crate) fn publish(&self, _state: &State, dispatch: Dispatch) {
        tracing::trace!(event = dispatch.name, "dispatch");
        drop(dispatch);
    }
}

/// `session_start_limit` of `GET /gateway/bot`.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct SessionStartLimit {
    /// Identifies in 24 hours.
    pub total: u32,
    /// Left.
    pub remaining: u32,
    /// Milliseconds until it is full again.
    pub reset_after: u64,
    /// Identify buckets.
    pub max_concurrency: u32,
}

impl Hub {
    /// What `GET /gateway/bot` says of identifies.
    #[must_use]
    pub fn session_start_limit(&self, _clock: &crate::clock::Clock) -> SessionStartLimit {
        SessionStartLimit {
            total: 1_000,
            remaining: 1_000,
            reset_after: 0,
            max_concurrency: 1,
        }
    }
}
