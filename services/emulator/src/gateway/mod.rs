//! The gateway: a WebSocket listener that implements Discord's protocol; versions 6 to 10 are served alike.
//!
//! Owns sessions, sequence numbers, replay, intents, shards, identify limits and compression. Refuses to know what an event
//! means: it is handed finished dispatches by `world`. <https://discord.com/developers/docs/events/gateway>
//!
//! The way of an event: an operation of `world` emits a [`crate::world::Dispatch`] → [`Hub`] offers it to each session →
//! the session numbers and keeps it → the writer of the connection that holds the session sends it.

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
pub use hub::{Hub, Order, Target};
pub(crate) use identify::reset_token;
pub(crate) use listener::{Role, serve};
