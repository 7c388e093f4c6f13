//! The worker: consumes interactions, events and jobs, and leads the timed work when it is its turn.
//!
//! Owns what the platform does in answer to Discord and to time. Refuses to hold a bot token (every call goes through a
//! discord-proxy) and any state that outlives a message. To add a command, an event or a job: one file and one line, in
//! `commands/`, `events/` or `jobs/`.

pub mod at_most_once;
mod cli;
pub mod clock;
pub mod commands;
pub mod community;
pub mod config;
pub mod events;
pub mod failure;
#[cfg(test)]
mod fuzz;
mod health;
pub mod interaction;
pub mod interactions;
pub mod jobs;
pub mod load_shedding;
pub mod metrics;
pub mod render;
pub mod roles;
mod serve;
pub mod services;

use std::time::{SystemTime, UNIX_EPOCH};

pub use cli::{Arguments, run};
pub use config::Config;
pub use serve::serve;

/// Milliseconds since 1970 on our clock.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
