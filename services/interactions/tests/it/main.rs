//! The interactions endpoint against a real RabbitMQ, with the signatures of the emulated Discord.
#![allow(clippy::unwrap_used, reason = "a test that cannot have its world has failed")]

mod broker;
mod process;
mod refused;
mod requests;
mod world;
