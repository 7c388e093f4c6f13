//! The worker with real services: RabbitMQ, Postgres, Redis, the discord-proxy, and the emulated Discord.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::large_futures,
    unreachable_pub,
    reason = "a test that cannot continue fails with the reason"
)]

mod admin_badge;
mod at_most_once;
mod badges;
mod commands;
mod dead_letters;
mod eligibility;
mod events;
mod failures;
mod jobs;
mod leader;
mod matrix;
mod platform;
mod poison;
mod registry;
mod replies;
mod start;
mod verification;
mod water_share;
