//! Discord servers as code: the engine of `gaib`, of the worker's wizard and of the backups.
//!
//! Owns the model of a server, its configuration in YAML, the state, the plan and its rendering, the export of a live server, and
//! the snapshots of a whole one. All functions are pure: the caller performs input and output.
//!
//! To add a kind of resource: see `kinds`.

#[macro_use]
mod values;
#[macro_use]
mod yaml;

pub mod config;
pub mod export;
#[cfg(test)]
mod fuzz;
pub mod grammar;
pub mod import;
mod kinds;
pub mod live;
pub mod model;
pub mod plan;
pub mod render;
mod rules;
pub mod snapshot;
pub mod state;
mod wire;
