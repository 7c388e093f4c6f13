//! The worlds that tests are given: each its own, and gone afterwards.

mod database;
mod process;
mod redis;
mod vhost;
