//! The ingestor: a gateway client without a cache that turns every wanted dispatch into one AMQP message.
//!
//! Owns shards, their sessions and the labels of events. Refuses to understand an event: it reads the few fields that
//! labels need and passes the payload on byte for byte. It speaks to Discord and to RabbitMQ and to nothing else; what
//! must outlive it (session, sequence number, who holds a shard) lies in RabbitMQ.
//!
//! `serve` → one `shard` task each: lease → session → gateway connection → labels → pipeline. To forward another event,
//! give it a route in `arrakis-contracts` and a place in `INGESTOR_EVENTS`.

mod clock;
mod config;
mod discord;
mod events;
mod frame;
#[cfg(test)]
mod fuzz;
mod identify;
mod metrics;
mod report;
mod resume;
mod serve;
mod session;
mod shard;
mod status;

pub use config::{Config, Shards};
pub use events::AllowList;
pub use resume::SessionLimits;
pub use serve::serve;
