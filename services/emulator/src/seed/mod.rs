//! Servers made on demand: a lively one, many for load, or any that a test describes.
//!
//! Owns descriptions ([`spec`]), how they become servers ([`build`]), and the fixed ids of the lively ones ([`ids`]).
//! Everything goes through `State::add_guild`, so connected bots are told. To add a kind, add a file and a variant to the
//! control API's seed request.

pub mod ids;
pub mod lively;
pub mod load;
pub mod spec;

mod build;
mod people;

pub use build::{Made, SeedError, build};

/// One role or channel from its description, for changes by hand.
pub(crate) mod describe {
    pub(crate) use super::build::{channel, role};
}
