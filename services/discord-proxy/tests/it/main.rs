//! The proxy between callers and Discord: real replicas in this process, a Redis server for each test, and an upstream that counts by
//! its own clock. No test asserts its own duration.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::needless_pass_by_value,
    reason = "a failure of the set-up fails the test"
)]

mod support;

mod allow_lists;
mod buckets;
mod budget;
mod emulator;
mod fairness;
mod first_responses;
mod global_limit;
mod kill_switch;
mod lanes;
mod operator;
mod partition;
mod pauses;
mod process;
mod rate_limited_responses;
mod redis_failures;
mod requests;
mod retries;
mod seats;
mod token;
