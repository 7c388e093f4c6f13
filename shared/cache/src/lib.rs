//! Redis: cooldowns, sessions, rate limits, cached values, and done markers. No fact depends on it: facts are in PostgreSQL.
//!
//! Owns the names of keys, a time to live for each (no key can be written without a [`Ttl`]), a time limit for each
//! command, and the result of each operation while Redis is unavailable: a cooldown allows the command, a cached value is
//! loaded from its source, a done marker is unknown, a session operation fails with a text for the member. Refuses to delay
//! its callers: after a failure commands fail at once, and one at a time is sent to find out whether Redis is available
//! again.
//!
//! To add a use: a module with its keys made by `keys`, a result type with a variant for "Redis is unavailable", and a test
//! of both.

mod cached;
mod client;
mod connection;
mod cooldown;
mod done_marker;
mod keys;
mod kill_switch;
mod marker;
mod rate_limit;
mod session;
mod token_bucket;

pub use cached::{CacheKey, PROFILE_TTL};
pub use client::{Cache, CacheOptions, CacheState, CacheUnavailable, InvalidRedisUrl};
pub use connection::{QueryError, RedisConnection};
pub use cooldown::Cooldown;
pub use done_marker::DoneState;
pub use keys::Ttl;
pub use marker::MarkerClaim;
pub use rate_limit::RateLimit;
pub use session::{MemberSession, Session, SessionError, SessionName};
pub use token_bucket::{Bucket, LocalBuckets};
