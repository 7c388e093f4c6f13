//! The broker crate against a real RabbitMQ, one virtual host for each test.
#![allow(clippy::unwrap_used, reason = "a test that cannot have its world has failed")]

mod connection;
mod consumer;
mod counts;
mod dead_letters;
mod lease;
mod management;
mod pipeline;
mod publisher;
mod single_thread;
mod slots;
mod stalls;
mod tls;
mod topology;
mod world;
