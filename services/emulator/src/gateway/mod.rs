//! The gateway: a WebSocket listener that implements Discord's protocol; versions 6 to 10 are served alike.
//!
//! Owns sessions, sequence numbers, replay, intents, shards, identify limits and compression. It does not interpret events:
//! `world` passes complete dispatches to it. <https://discord.com/developers/docs/events/gateway>
//!
//! Path of an event: an operation of `world` emits a [`crate::world::Dispatch`] → [`Hub`] gives it to each session → the
//! session numbers and keeps it → the writer of the session's connection sends it.

mod close;
mod compression;
mod connection;
mod handshake;
mod hub;
mod identify;
mod lenient;
mod limits;
mod listener;
mod payload;
mod requests;
mod session;
mod writer;

pub use crate::model::Intents;
pub use close::{CloseCode, keeps_session};
pub use hub::{ConnectionCommand, ConnectionFilter, Hub};
pub(crate) use identify::reset_token;
pub(crate) use listener::{Role, serve};
