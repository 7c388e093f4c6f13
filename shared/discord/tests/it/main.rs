//! The client with failing replicas of the proxy: which requests it sends, where and how often.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failure of the set-up fails the test"
)]

mod failover;
mod peer;
