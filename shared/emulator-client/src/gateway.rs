//! `/control/gateway`, `/control/token/reset` and `/control/addresses`.

use serde::{Deserialize, Serialize};

/// URLs of the emulator's listeners. The emulator prints them at start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// Base of REST, `http://…/api/v10`.
    pub rest: String,
    /// Gateway, `ws://…`.
    pub gateway: String,
    /// Listener for RESUME, `ws://…`, apart from the gateway's.
    pub resume: String,
    /// Base of the control API, `http://…`, without the `/control` of its paths.
    pub control: String,
    /// The web page.
    pub page: String,
}

/// `session_start_limit` of `GET /gateway/bot`.
/// <https://discord.com/developers/docs/events/gateway#session-start-limit-object>
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionStartLimit {
    /// Identifies allowed in 24 hours.
    pub total: u32,
    /// Identifies left.
    pub remaining: u32,
    /// Milliseconds until all are available again.
    pub reset_after: u64,
    /// Number of identify buckets.
    pub max_concurrency: u32,
}

/// A gateway session, connected or resumable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionReport {
    /// Session id.
    pub id: String,
    /// Shard number and count.
    pub shard: [u64; 2],
    /// Intents as a bit set.
    pub intents: u64,
    /// Sequence number of the newest dispatch.
    pub seq: u64,
    /// Dispatches kept for replay.
    pub kept: usize,
    /// Whether a connection has the session.
    pub connected: bool,
}

/// Sessions and limits of the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayState {
    /// All sessions, by shard.
    pub sessions: Vec<SessionReport>,
    /// Open connections, identified or not.
    pub connections: usize,
    /// Budget of identifies.
    pub session_start_limit: SessionStartLimit,
    /// Shard count that `GET /gateway/bot` recommends.
    pub recommended_shards: u64,
    /// Names of the privileged intents that are switched on.
    pub privileged_intents: Vec<String>,
    /// Milliseconds between the heartbeats of a client.
    pub heartbeat_interval_ms: u64,
}

/// Changes of the gateway; absent fields stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayChange {
    /// Names of the privileged intents that are switched on from now on.
    pub privileged_intents: Option<Vec<String>>,
    /// Identifies allowed in 24 hours; all of them are available again.
    pub session_start_limit: Option<u32>,
    /// Identifies left.
    pub session_starts_remaining: Option<u32>,
    /// Number of identify buckets.
    pub max_concurrency: Option<u32>,
}

/// Response to a reset of the bot token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewToken {
    /// The token that is valid from now on.
    pub token: String,
}
