//! The ingestor: a gateway client without a cache that publishes each dispatch it forwards as one AMQP message.
//!
//! Owns shards, their gateway sessions and the labels of events. It does not interpret events: it reads the few fields that
//! labels need and forwards the payload unchanged. It connects to Discord and to RabbitMQ only. State that must outlive the
//! process (gateway session, sequence number, lease on a shard) is stored in RabbitMQ.
//!
//! `serve` starts one `shard` task for each shard: lease → gateway session → gateway connection → labels → pipeline. To forward
//! another event, add a route in `arrakis-contracts` and add the event to `INGESTOR_EVENTS`.

mod clock;
mod config;
mod discord;
mod events;
mod frame;
#[cfg(test)]
mod fuzz;
mod identify;
mod metrics;
mod resume;
mod serve;
mod session;
mod shard;
mod status;
mod status_reporter;

pub use config::{Config, Shards};
pub use events::AllowList;
pub use resume::SessionLimits;
pub use serve::serve;
