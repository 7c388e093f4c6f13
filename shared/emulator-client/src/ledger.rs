//! `/control/ledger`: what was sent over REST and the gateway.

use serde::{Deserialize, Serialize};

/// Switches the recording of the ledger on or off; also the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    /// Whether the ledger is recorded.
    pub recording: bool,
}

/// A REST call and its response. Refused calls are recorded too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestCall {
    /// Time of arrival by the emulator's clock, Unix milliseconds.
    pub at_ms: u64,
    /// For example `POST`.
    pub method: String,
    /// Path with query, below `/api/v10`.
    pub path: String,
    /// Route template, for example `/guilds/{guild_id}/roles`; `None` when no route matched.
    pub route: Option<String>,
    /// HTTP status of the response.
    pub status: u16,
    /// First characters of the caller's bot token; `None` without `Authorization`.
    pub caller: Option<String>,
    /// Start of the request body; of a multipart body its payload and the names of its files.
    pub request: Option<String>,
    /// Start of the response body.
    pub response: Option<String>,
    /// `X-Audit-Log-Reason`, decoded.
    pub reason: Option<String>,
    /// Scope of a 429.
    pub limit_scope: Option<String>,
    /// Whether it counts towards the limit of invalid requests.
    pub invalid: bool,
    /// Whether it counts towards the global limit of 50 a second, as interaction endpoints do not.
    pub counts_globally: bool,
    /// Whether a fault of the control API replaced the response.
    pub fault: bool,
    /// Status with which the call took effect, before a fault replaced it; `None` when it took no effect.
    pub effect_status: Option<u16>,
    /// Duration in microseconds of real time.
    pub duration_us: u64,
}
