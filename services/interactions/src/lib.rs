//! The interactions endpoint: receives the interactions that Discord delivers by HTTP instead of the gateway, and publishes each one as the
//! ingestor does.
//!
//! Owns the check of Discord's signature and the response to Discord's request. It does not interpret interactions: it reads the few
//! fields that labels need and forwards the body unchanged. It connects to RabbitMQ only, and has neither a token nor a state.
//!
//! | request | response |
//! |---|---|
//! | PING with a valid signature | 200 with PONG |
//! | an interaction with a valid signature | 202 without a body, once the broker has confirmed the message |
//! | another signature, or a timestamp outside of the window | 401 |
//! | anything else | an error, after which Discord shows the member that the application did not respond |
//!
//! After a 202, Discord waits for the first response at its callback endpoint. A worker sends it there, whether the interaction came by the
//! gateway or by HTTP: `docs/interactions-endpoint.md`.

mod clock;
mod config;
mod endpoint;
mod metrics;
mod outcome;
mod request;
mod serve;
mod signature;

pub use config::Config;
pub use serve::{serve, serve_on};
pub use signature::{PublicKey, PublicKeyError};
