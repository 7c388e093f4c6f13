//! The service against a double of the Bot API and a running api, all over HTTP.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::needless_pass_by_value,
    clippy::large_futures,
    reason = "a failure of the set-up fails the test"
)]

mod notices;
mod polling;
mod process;
mod repetition;
mod support;
mod verification;
mod webhook;
