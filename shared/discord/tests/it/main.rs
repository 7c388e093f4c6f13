//! The client against peers that misbehave as proxies do when they die: what is asked where, and how often.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod failover;
mod peer;
