//! The Discord client of services without the bot token: every call goes through a discord-proxy.
//!
//! [`Discord`] is the client, [`Calls`] the typed calls, [`Error`] what a caller handles. The transport tries the proxy's replicas in
//! turn. It holds no token and keeps no rate limits (the proxy does both), and it never repeats a call that may have taken effect
//! where a second call has a second effect: the table of `arrakis-discord-http` decides. Requests are built and checked by
//! `twilight-http`'s builders and decoded into `twilight-model`; `docs/decisions/` has the reason for an own transport.
//!
//! To add a call: a line with its route and class in `endpoint.rs`, and a method in the file of its resource, built by twilight. The
//! failure matrix of the worker then requires a case.

mod calls;
mod client;
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
mod response;
mod transport;

pub use calls::Calls;
pub use client::{Discord, DiscordConfig, FinishedCall, Observer};
pub use endpoint::{ENDPOINTS, Endpoint};
pub use error::{Error, FieldError};
pub use interactions::{ORIGINAL_LIFETIME, RESPONSE_WINDOW};
pub use messages::{LISTED_MESSAGES, ListedMessage};

/// Result of a call.
pub type Result<T, E = Error> = std::result::Result<T, E>;
