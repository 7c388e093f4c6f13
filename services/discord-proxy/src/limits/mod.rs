//! Discord's rate limits over all replicas: the global limit, a bucket for each route, pauses after a 429.
//!
//! This module decides whether a call may be sent now. Redis decides while it accepts writes (`shared.rs`). Without it (degraded
//! mode) each replica decides within its own share (`local.rs`), after a time in which the other replicas stop using that share.
//! `docs/decisions` has the reason why a permit is held until a window after the response. Buckets are learned from headers; only
//! the global limit, which no header states, is configured.
//!
//! To add a kind of pause: a variant of [`Pause`], and its line in `complete.lua` and `local.rs`.

mod local;
mod shared;
mod update;

use std::sync::Arc;
use std::time::Duration;

use arrakis_discord_http::{BucketState, Route};

pub(crate) use shared::{Limits, LimitsConfig};
pub(crate) use update::rate_limited;

/// Window of the global limit. Discord allows 50 calls a second; any 1.1 s is kept, and 10 ms for rounding and clock drift.
pub(crate) const WINDOW: Duration = Duration::from_millis(1_110);
/// Longest time from a grant to the arrival at Discord that is assumed until a response is received.
pub(crate) const TRANSIT: Duration = Duration::from_millis(1_000);
/// Time without a heartbeat after which Redis assumes that a replica decides for itself.
pub(crate) const SILENCE: Duration = Duration::from_millis(1_500);
/// Time in which a replica that has lost Redis sends no bot call: until Redis reserves its share, and the calls that were granted
/// before have arrived and left the window.
pub(crate) const QUIET: Duration = Duration::from_millis(1_500 + 1_110 + 1_000);
/// Time between two heartbeats of a replica.
pub(crate) const HEARTBEAT: Duration = Duration::from_millis(400);
/// Time after which a call without an outcome no longer counts as in flight in its bucket.
pub(crate) const IN_FLIGHT_TTL: Duration = Duration::from_secs(20);
/// One permit in so many belongs to a less urgent class that waits (`EVERY` in `acquire.lua`).
pub(crate) const EVERY: u32 = 10;
/// One part in so many of the limit may be sent at once by calls that are not interactive; the others are spaced evenly.
pub(crate) const BURST_PART: u32 = 10;

/// Calls in a window that a seat allows in degraded mode: the seats share four fifths of the limit. The rest is for replicas without
/// a seat, which send one call in a window each: ten of them fit.
pub(crate) fn share_of_seat(total: u32, seats: u32) -> u32 {
    (total * 4 / 5 / seats.max(1)).max(1)
}

/// A call that needs a grant.
#[derive(Debug, Clone)]
pub(crate) struct GrantRequest {
    /// Identifies the grant among all replicas.
    pub id: String,
    /// The call's route.
    pub route: Route,
    /// Whether the call needs the bot token and counts in the global limit.
    pub bot: bool,
    /// 0 (most urgent) to 2.
    pub urgency: u8,
    /// The tenant, among whom the limit is shared fairly.
    pub tenant: Arc<str>,
}

/// The decisions about a batch of requests.
#[derive(Debug)]
pub(crate) struct Decisions {
    /// One decision for each request.
    pub decisions: Vec<LimitDecision>,
    /// Counts of all replicas; `None` in degraded mode.
    pub served: Option<ServedCounts>,
}

/// Permits of tenants over all replicas, for fair queueing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServedCounts {
    /// The count at which a new tenant starts, by class.
    pub levels: [u64; 3],
    /// For each request, the count of its tenant in its class.
    pub tenants: Vec<u64>,
}

/// The decision about a [`GrantRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LimitDecision {
    /// The call may be sent.
    Granted {
        /// The bucket in which it counts; empty for a route without a bucket.
        bucket: String,
    },
    /// The call must wait.
    Wait {
        /// For what.
        reason: WaitReason,
        /// How long at least.
        wait: Duration,
    },
    /// Discord refuses the bot token.
    TokenRefused,
}

/// What a call waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitReason {
    /// The global limit.
    Global,
    /// The bucket is used up, or Discord requires a pause of the route: no call is sent before that time.
    Route,
    /// The response to another call of the bucket: the bucket is not known yet, or all of its calls are in flight.
    Response,
}

/// A grant to send one call. It is completed with the outcome of the call.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    /// Identifies the grant.
    pub id: String,
    /// The call's route.
    pub route: Route,
    /// The bucket in which the call counts.
    pub bucket: String,
    /// Whether the call counts in the global limit.
    pub bot: bool,
    /// Whether it was taken from the replica's reserved part of a bucket, without a query to Redis.
    pub reserved: bool,
}

/// The outcome of a granted call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CallOutcome {
    /// The call was not sent.
    NotSent,
    /// No response was received: the call may have reached Discord.
    ResponseLost,
    /// Discord responded.
    Response(RateLimitUpdate),
}

/// What a response states about rate limits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RateLimitUpdate {
    /// The bucket's state.
    pub bucket: Option<BucketState>,
    /// The response was a success without a bucket: the route has none.
    pub no_bucket: bool,
    /// The pause that Discord requires, when the response is a 429 that requires one.
    pub pause: Option<Pause>,
}

/// A pause that Discord requires with a 429, with a margin for clock differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pause {
    /// All calls of the bot.
    Global(Duration),
    /// The route with its major parameter.
    Route(Duration),
    /// All calls from this address: the 429 was made by the edge in front of Discord.
    Edge(Duration),
}

/// What an active pause applies to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PauseScope {
    /// All calls from this address.
    Edge,
    /// All calls of the bot.
    Global,
    /// One route with its major parameter.
    Route(String),
    /// A used-up bucket with a long window.
    Bucket(String),
}

impl PauseScope {
    /// Whether it applies to all calls.
    pub(crate) fn is_of_all_calls(&self) -> bool {
        matches!(self, Self::Edge | Self::Global)
    }

    /// Name in `/health` and in the operator's commands.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Global => "global",
            Self::Route(_) => "route",
            Self::Bucket(_) => "bucket",
        }
    }
}

/// A pause that is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ActivePause {
    /// The calls that it stops.
    pub scope: PauseScope,
    /// How long it still lasts.
    pub left: Duration,
}
