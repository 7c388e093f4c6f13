//! The ingestor against a real RabbitMQ and an emulated Discord.
#![allow(clippy::unwrap_used, reason = "a test that cannot have its world has failed")]

mod address;
mod broker;
mod closes;
mod events;
mod fake;
mod numbers;
mod process;
mod rest;
mod resume;
mod sessions;
mod stalls;
mod world;
