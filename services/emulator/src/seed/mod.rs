//! Creation of servers: the lively ones, many for load, or one from a description.
//!
//! Owns descriptions ([`spec`]), their conversion into servers ([`build`]), and the fixed ids of the lively ones ([`ids`]). All
//! servers are added by `State::add_guild`, so that connected bots receive `GUILD_CREATE`. To add a kind, add a file and a
//! variant to the control API's seed request.

pub mod ids;
pub mod lively;
pub mod load;
pub mod spec;

mod build;
mod people;

pub use build::{CreatedGuild, SeedError, build};

/// Conversion of a single role or channel, for the control API.
pub(crate) mod describe {
    pub(crate) use super::build::{channel, role};
}
