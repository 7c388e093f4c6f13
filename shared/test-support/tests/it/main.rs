//! The worlds that tests are given: each its own, and gone afterwards.

#![expect(clippy::unwrap_used, reason = "a test that cannot have what it needs has failed")]

mod database;
mod process;
mod redis;
mod vhost;
