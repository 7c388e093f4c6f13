//! The worker against real parts: RabbitMQ, Postgres, Redis, the emulated Discord and the real discord-proxy.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::large_futures,
    unreachable_pub,
    reason = "a test that cannot go on fails, and says why"
)]

mod answers;
mod at_most_once;
mod commands;
mod dead_letters;
mod events;
mod failures;
mod jobs;
mod leader;
mod matrix;
mod platform;
mod poison;
mod start;
