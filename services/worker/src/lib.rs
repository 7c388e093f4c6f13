//! The worker: handles interactions, events and jobs, and runs the scheduled tasks while it is the leader.
//!
//! It holds no bot token (every call to Discord goes through a discord-proxy) and no state that must outlive a message.
//!
//! `serve.rs` starts one consumer for each queue. Three modules implement [`arrakis_broker::Handler`]: [`interactions`], [`events`]
//! and [`jobs`]. Each keeps a list of its commands, event handlers or job handlers; to add one: a file, and its line in that list.

mod approval_settings;
pub mod approvals;
pub mod at_most_once;
mod attached_file;
pub mod badge_cards;
mod bot_access;
pub mod canary;
mod cli;
pub mod commands;
pub mod community;
pub mod config;
pub mod configuration;
mod configuration_rebuild;
mod consent;
mod direct_message;
pub mod events;
pub mod failure;
#[cfg(test)]
mod fuzz;
mod health;
pub mod interaction;
pub mod interactions;
pub mod jobs;
mod kill_switch;
pub mod leader;
pub mod load_shedding;
mod member_list;
pub mod metrics;
mod moment;
mod nonced_message;
mod profile_import;
pub mod reconcile_report;
mod registry_anchors;
pub mod render;
pub mod roles;
pub mod rule_preview;
pub mod scheduled_backup;
mod sent_messages;
mod serve;
pub mod services;
mod shadow;
mod status_link;
pub mod synthesis;
pub mod synthesis_client;
mod theme_change;
pub mod wizard;

use std::time::{SystemTime, UNIX_EPOCH};

pub use cli::{Arguments, run};
pub use config::Config;
pub use serve::serve;

/// Milliseconds since 1970 on the local clock.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
