//! The gateway: a WebSocket listener that speaks Discord's protocol, v10.
//!
//! Owns sessions, sequence numbers, replay, intents, shards, identify limits and compression. Refuses to know what an event
//! means: it is handed finished dispatches by `world`. <https://discord.com/developers/docs/events/gateway>

mod hub;
mod intents;

pub use hub::Hub;
pub use intents::Intents;
