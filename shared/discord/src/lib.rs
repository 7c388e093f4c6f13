//! The Discord client of services that hold no token: every call goes through a discord-proxy.
//!
//! Owns the typed calls ([`Calls`]), failover between proxy replicas, and the errors a caller branches on ([`Error`]).
//! Refuses to hold a token, to wait for rate limits (the proxy does), and to repeat what may have taken effect where that
//! would do it twice: what a failure means is decided by the table of `arrakis-discord-http`. Requests are built and checked by
//! `twilight-http`'s builders and decoded into `twilight-model`; why the transport is our own is in `docs/decisions/`.
//! To add a call: a line with its route and class in `endpoint.rs`, and a method in the file of its resource, built by twilight.
//! The failure matrix of the worker then asks for a case.

mod answer;
mod calls;
mod client;
mod clock;
mod commands;
mod endpoint;
mod error;
#[cfg(test)]
mod fuzz;
mod guilds;
mod interactions;
mod members;
mod messages;
mod request;
mod transport;

pub use calls::Calls;
pub use client::{Discord, DiscordConfig, Finished, Observer};
pub use endpoint::{ENDPOINTS, Endpoint};
pub use error::{Error, FieldError};
pub use interactions::{ORIGINAL_LIFETIME, RESPONSE_WINDOW};

/// Answer of a call.
pub type Result<T, E = Error> = std::result::Result<T, E>;
