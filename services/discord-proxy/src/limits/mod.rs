//! Discord's limits, kept for all replicas together: the global one, a bucket for each route, pauses after a 429.
//!
//! Owns the decision whether a call may leave now. Redis decides while it can be written; without it each replica decides for
//! itself within its share (`local.rs`), and after a silence long enough that nobody else counts on that share.
//! `docs/decisions` says why a place is held until a window after the answer. Refuses to hold a limit of Discord's as a
//! constant: buckets are learned from headers (`headers.rs`); only the global figure, which no header tells, is given.
//! To add a kind of pause: a variant of [`Pause`], and its line in `complete.lua` and `local.rs`.

pub(crate) mod headers;
mod local;
mod redis;
pub(crate) mod script;
mod shared;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use redis::{Redis, RedisTrouble};
pub(crate) use shared::{Limits, LimitsConfig};

/// Discord allows 50 in a second; any window of 1.1 s is kept, and 10 ms for rounding and the drift of two clocks.
pub(crate) const WINDOW: Duration = Duration::from_millis(1_110);
/// Longest time from a grant to the arrival at Discord that is reckoned with, when no answer tells sooner.
pub(crate) const TRANSIT: Duration = Duration::from_millis(1_000);
/// A replica that Redis has not heard of for so long may be deciding for itself.
pub(crate) const SILENCE: Duration = Duration::from_millis(1_500);
/// How long a replica that has lost Redis sends nothing: until the others have noticed and what they sent has gone by.
pub(crate) const QUIET: Duration = Duration::from_millis(1_500 + 1_110 + 1_000);
/// How often a replica shows Redis that it is there.
pub(crate) const HEARTBEAT: Duration = Duration::from_millis(400);
/// How long a call may be on its way before its place in a bucket is given back without word from it.
pub(crate) const LEASE: Duration = Duration::from_secs(20);
/// Bound of one exchange with Redis.
pub(crate) const REDIS_PATIENCE: Duration = Duration::from_millis(150);
/// One turn in so many belongs to a less urgent class that waits (`EVERY` in `acquire.lua`).
pub(crate) const EVERY: u32 = 10;
/// Part of the limit that may leave at once of what is not interactive; the rest leaves evenly spaced.
pub(crate) const BURST_PART: u32 = 10;

/// What a seat is worth while Redis is away: seats share four fifths, and what is left is for replicas that have none. Such a
/// replica keeps to one call at a time, so ten of them fit beside the seats.
pub(crate) fn share_of_a_seat(total: u32, seats: u32) -> u32 {
    (total * 4 / 5 / seats.max(1)).max(1)
}

/// Added to what Discord's headers say, since its clock and ours are read at different moments.
pub(crate) const MARGIN: Duration = Duration::from_millis(50);

/// A call that wants to leave.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    /// Names this grant, among all replicas.
    pub id: String,
    /// Method and template.
    pub route: Arc<str>,
    /// Major parameter.
    pub major: Arc<str>,
    /// Whether it is bound to the bot's global limit and needs its token.
    pub bot: bool,
    /// 0 is the most urgent.
    pub urgency: u8,
    /// For whom: tenants take turns.
    pub tenant: Arc<str>,
}

/// What became of a batch of asks.
#[derive(Debug)]
pub(crate) struct Round {
    /// One for each ask.
    pub verdicts: Vec<Verdict>,
    /// Turns as all replicas together count them; `None` while this replica decides by itself.
    pub turns: Option<Turns>,
}

/// Turns of tenants over all replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Turns {
    /// How far each class has come: one that comes anew starts here.
    pub levels: [u64; 3],
    /// For each ask, how many turns its tenant has had in its class.
    pub had: Vec<u64>,
}

/// The answer to an [`Ask`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Go; the bucket that was charged, empty when none was.
    Granted {
        /// Which bucket.
        bucket: String,
    },
    /// Not now.
    Wait {
        /// What for.
        reason: Reason,
        /// How long at least.
        wait: Duration,
    },
    /// Discord refused the bot token.
    TokenDead,
}

/// What a call waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The limit of all calls.
    Global,
    /// The bucket is used up, or Discord asked for a pause: nothing goes before that time.
    Route,
    /// An answer that will tell more: the bucket is not known yet, or all its places are on their way.
    Answer,
}

/// A granted place, to be given back with what became of it.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    /// The grant.
    pub id: String,
    /// Method and template.
    pub route: Arc<str>,
    /// Major parameter.
    pub major: Arc<str>,
    /// Bucket that was charged.
    pub bucket: String,
    /// Whether the global limit was charged.
    pub bot: bool,
    /// Given without asking Redis, which keeps such places free.
    pub own: bool,
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was not sent.
    Unused,
    /// No answer came: it may have reached Discord.
    Lost,
    /// Discord answered.
    Answered(Learned),
}

/// What an answer tells about limits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Learned {
    /// The bucket's state.
    pub bucket: Option<Bucket>,
    /// The answer was a success and named no bucket: the route has none.
    pub bucketless: bool,
    /// Discord asked for a pause.
    pub pause: Option<Pause>,
}

/// A bucket as headers tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bucket {
    /// `X-RateLimit-Bucket`.
    pub hash: String,
    /// `X-RateLimit-Limit`.
    pub limit: u32,
    /// `X-RateLimit-Remaining`.
    pub remaining: u32,
    /// `X-RateLimit-Reset-After`, with our margin.
    pub reset_after: Duration,
}

/// Whose calls a pause in force stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PauseOf {
    /// Every call from this address.
    Edge,
    /// Every call of the bot.
    Global,
    /// One route with one major parameter.
    Route(String),
    /// A used-up bucket whose window lasts long.
    Bucket(String),
}

impl PauseOf {
    /// Whether it stops all calls.
    pub(crate) fn is_of_all(&self) -> bool {
        matches!(self, Self::Edge | Self::Global)
    }

    /// Name, for operators.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Global => "global",
            Self::Route(_) => "route",
            Self::Bucket(_) => "bucket",
        }
    }
}

/// A pause that has time left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InForce {
    /// Whose calls it stops.
    pub of: PauseOf,
    /// For how long.
    pub left: Duration,
}

/// A pause that Discord asked for with a 429, with our margin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pause {
    /// Every call of the bot.
    Global(Duration),
    /// This route with this major parameter.
    Route(Duration),
    /// Everything from this address: not Discord's limiter answered but the edge before it.
    Edge(Duration),
}
