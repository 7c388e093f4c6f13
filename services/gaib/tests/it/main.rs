//! Sessions with the real binary against the emulator.
#![allow(clippy::unwrap_used, reason = "the helpers of a test fail it by panicking")]

mod backups;
mod broken_files;
mod error_messages;
mod errors;
mod examples;
mod existing_server;
mod gate;
mod help;
mod images;
mod imported_attributes;
mod interrupted;
mod killed;
mod locks_and_workspaces;
mod merged;
mod mfa;
mod normalize;
mod output;
mod ownership;
mod platform;
mod proxy;
mod selection;
mod session;
mod shared_store;
mod state_files;
mod teardown;
mod tier;
mod unknown_kinds;
mod workflow;
