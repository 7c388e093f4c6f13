//! Resources of tests: separate for each test, and removed at its end.

#![expect(clippy::unwrap_used, reason = "a test that cannot have what it needs has failed")]

mod anvil;
mod database;
mod process;
mod redis;
mod vhost;
