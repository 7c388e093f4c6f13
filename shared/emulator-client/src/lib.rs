//! The control API of the Discord emulator: the types of its requests and responses, and a client.
//!
//! Owns one definition of each shape. The emulator reads requests into these types and builds its responses from them; load tests and
//! the tests of worker and gaib send and read the same types through [`ControlClient`] (feature `client`). Discord's own objects
//! (messages, channels, guilds) are [`serde_json::Value`], since Discord's documentation defines them. The emulator's README lists
//! paths and examples.
//!
//! To add an endpoint: a type here, its handler in the emulator's `control`, and a method of [`ControlClient`].

#[cfg(feature = "client")]
mod client;
mod clock;
mod fault;
mod gateway;
mod guild;
mod id;
mod interaction;
mod ledger;
pub mod load;
mod member;
mod stats;
mod timestamp;

#[cfg(feature = "client")]
pub use client::{ControlClient, RequestError};
pub use clock::{ClockChange, ClockState};
pub use fault::{Fault, FaultCreated};
pub use gateway::{Addresses, GatewayChange, GatewayState, NewToken, SessionReport, SessionStartLimit};
pub use guild::{GuildSummary, Outage, SeedRequest};
pub use id::{DISCORD_EPOCH_MS, Id};
pub use interaction::{
    InteractionCreated, InteractionRecord, InteractionRequest, InteractionState, InteractionsEndpoint,
    InteractionsEndpointChange,
};
pub use ledger::{Recording, RestCall};
pub use member::{MemberEdit, NewUser};
pub use stats::StatsReport;
pub use timestamp::Timestamp;
