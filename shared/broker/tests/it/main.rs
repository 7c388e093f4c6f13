//! The broker crate against a real RabbitMQ, one virtual host for each test.

mod consumer;
mod dead_letters;
mod lease;
mod link;
mod management;
mod pipeline;
mod publisher;
mod slots;
mod topology;
mod world;
