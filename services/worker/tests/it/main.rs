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
mod admin_gates;
mod admin_migrate;
mod admin_roles;
mod admin_takeover;
mod alerts;
mod anchors;
mod approvals;
mod at_most_once;
mod backups;
mod badges;
mod canary;
mod commands;
mod community_commands;
mod configurations;
mod dead_letters;
mod eligibility;
mod events;
mod every_command;
mod failed_deploys;
mod failures;
mod http_interactions;
mod jobs;
mod kill_switch;
mod kill_switch_signing;
mod leader;
mod matrix;
mod mfa;
mod onboard;
mod plans;
mod platform;
mod poison;
mod posts;
mod profile_import;
mod reconcile;
mod registry;
mod replies;
mod shadow;
mod start;
mod synthesis;
mod tier_changes;
mod verification;
mod water_share;
