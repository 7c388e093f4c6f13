//! RabbitMQ: topology as data, supervised connections, confirmed publishing, consuming, dead letters, leases.
//!
//! Owns every use of AMQP. Refuses to know what a message means: labels and envelopes are `arrakis-contracts`'.
//! A service makes one [`Link`] to publish and one to consume (a broker that blocks publishers then still delivers), a
//! [`Publisher`] or a [`Pipeline`] on the first, [`consume`] on the second. To add a queue: a line in `topology/objects.rs`
//! with its reason, then let the test write `rabbitmq/definitions.json`.

mod backoff;
mod channel;
mod confirm;
mod consumer;
mod counts;
mod dead_letters;
mod delivery;
mod drive;
mod failures;
#[cfg(test)]
mod fuzz;
mod isolation;
mod lease;
mod link;
mod lock;
mod message;
mod pipeline;
mod publisher;
mod settings;
mod slots;
pub mod topology;
mod unanswered;

pub use backoff::Backoff;
pub use channel::Channel;
pub use consumer::{ConsumeError, ConsumeOptions, ConsumerEvents, Handler, Stop, Verdict, consume};
pub use counts::{QueueCounts, queue_counts};
pub use dead_letters::{DeadLetters, Replayed, Selection, ToolError};
pub use delivery::{Delivery, Settled};
pub use failures::{Failures, MAX_ATTEMPTS};
pub use isolation::Isolation;
pub use lease::{Lease, LeaseError};
pub use link::{Link, LinkClosed, LinkOptions, LinkState, Live};
pub use lock::LOCK_VALID;
pub use message::Message;
pub use pipeline::{Fence, Lag, Pipeline, PipelineHealth, PipelineOptions, PipelineSender, Progress, Stall};
pub use publisher::{Outcome, PublishError, Publisher};
pub use settings::{Priorities, Settings};
pub use slots::{SlotError, take_slot};
pub use topology::{Topology, TopologyError};
