//! The proxy as callers and Discord meet it: real replicas in this process, a real Redis of the test's own, and an upstream
//! that counts by its own clock. Nothing is asserted about how long we took.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::needless_pass_by_value,
    reason = "a test that cannot have its world has failed, and says where"
)]

mod support;

mod allow_lists;
mod buckets;
mod budget;
mod edge;
mod emulator;
mod fairness;
mod global_limit;
mod lanes;
mod limited_responses;
mod operator;
mod partition;
mod pauses;
mod process;
mod redis_trouble;
mod repeats;
mod responses;
mod seats;
mod token;
