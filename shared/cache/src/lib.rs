//! Redis: cooldowns, sessions, limits, caches, and the shortcut of the dedupe. Never the judge of a fact: those lie in Postgres.
//!
//! Owns the names of keys, a lifetime for each (there is no way to write a key without a [`Ttl`]), a limit of time for each
//! call, and what each answers when Redis is away: a cooldown is open, a cache reads through, the dedupe does not know, a
//! session says so in plain words. Refuses to hold a command up: after a failure the next calls fail at once, and one at a
//! time tries whether Redis is back.
//!
//! To add a use: a module with its keys in `keys`, its answers as a type that has one for "away", and a test of both.

mod cached;
mod cooldown;
mod dedupe;
mod keys;
mod limit;
mod line;
mod link;
mod marker;
mod session;

pub use cached::{CacheKey, PROFILE_TTL};
pub use cooldown::Cooldown;
pub use dedupe::Seen;
pub use keys::Ttl;
pub use limit::Limit;
pub use line::{Line, NoAnswer};
pub use link::{Away, BadUrl, Cache, CacheOptions, State};
pub use session::{Session, SessionError, SessionName};
