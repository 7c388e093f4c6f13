//! RabbitMQ: topology as data, supervised connections, confirmed publishing, consuming, dead letters, leases.
//!
//! Owns every use of AMQP. The meaning of messages is not part of this crate: labels and envelopes are in `arrakis-contracts`.
//! A service opens one [`BrokerConnection`] to publish and one to consume: a broker that blocks publishers then still delivers.
//! It uses a [`Publisher`] or a [`Pipeline`] on the first, and [`consume`] on the second. To add a queue, add it with its reason
//! in `topology/objects.rs`, and run the test of the definitions with `UPDATE_DEFINITIONS=1`.

mod backoff;
mod channel;
mod confirm;
mod connection;
mod consumer;
mod counts;
mod dead_letters;
mod delivery;
#[cfg(test)]
mod fuzz;
mod isolation;
mod lease;
mod lock;
mod message;
mod pipeline;
mod publisher;
mod reply_code;
mod retry;
mod settings;
mod single_thread;
mod slots;
pub mod topology;

pub use backoff::Backoff;
pub use channel::Channel;
pub use connection::{AmqpConnection, BrokerConnection, ConnectionClosed, ConnectionOptions, ConnectionState};
pub use consumer::{ConsumeError, ConsumeOptions, ConsumerObserver, Handler, StopTokens, Verdict, consume};
pub use counts::{QueueCounts, queue_counts};
pub use dead_letters::{DeadLetterError, DeadLetterSelection, DeadLetters, ReplayReport};
pub use delivery::{Delivery, SettleOutcome};
pub use isolation::Isolation;
pub use lease::{Lease, LeaseError};
pub use lock::LOCK_VALID;
pub use message::Message;
pub use pipeline::{
    ConfirmLatencyObserver, Fence, Pipeline, PipelineHealth, PipelineOptions, PipelineProgress, PipelineSender,
    PipelineStall,
};
pub use publisher::{PublishError, PublishOutcome, Publisher};
pub use retry::{MAX_ATTEMPTS, RetryPublisher};
pub use settings::{BrokerSettings, Priorities};
pub use slots::{SlotError, take_slot};
pub use topology::{Topology, TopologyError};
