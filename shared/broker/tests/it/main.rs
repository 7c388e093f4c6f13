//! The broker crate against a real RabbitMQ, one virtual host for each test.
#![allow(clippy::unwrap_used, reason = "a test that cannot have its world has failed")]

mod consumer;
mod counts;
mod dead_letters;
mod drive;
mod lease;
mod link;
mod management;
mod pipeline;
mod publisher;
mod slots;
mod stalls;
mod tls;
mod topology;
mod world;
