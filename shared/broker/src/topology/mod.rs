//! Exchanges, queues and bindings as data, each option with its reason.
//!
//! Owns the data (`objects.rs`), its declaration on a broker (`declare.rs`) and its form as RabbitMQ's definitions
//! (`definitions.rs`). Refuses to change an object that exists and differs: RabbitMQ cannot, and deleting a queue is an
//! operator's decision.

mod declare;
mod definitions;
mod objects;
mod refusal;

use std::fmt;

use crate::settings::Priorities;

pub use declare::{Missing, declare_queue};
pub use objects::{IDENTIFY_SLOT_MS, identify_slot, shard_state};
pub use refusal::TopologyError;

/// Value of an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Integer(i64),
    /// A string.
    Text(&'static str),
    /// A boolean.
    Flag(bool),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "\"{text}\""),
            Self::Flag(flag) => write!(f, "{flag}"),
        }
    }
}

/// One optional argument of an exchange or queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Name, such as `x-max-priority`.
    pub name: &'static str,
    /// Value.
    pub value: Value,
    /// Why it is set.
    pub reason: &'static str,
}

/// Kind of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExchangeKind {
    /// Routes by pattern.
    Topic,
    /// Routes to every bound queue and leaves the routing key alone.
    Fanout,
}

impl ExchangeKind {
    /// Name in AMQP.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Fanout => "fanout",
        }
    }
}

/// Kind of a queue (`x-queue-type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueKind {
    /// One node, confirms before the disk has it, can order by priority on every version.
    Classic,
    /// Raft log: confirms after fsync on a majority.
    Quorum,
}

impl QueueKind {
    /// Name in AMQP.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Quorum => "quorum",
        }
    }
}

/// A durable exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Name.
    pub name: String,
    /// Kind.
    pub kind: ExchangeKind,
    /// Arguments.
    pub arguments: Vec<Argument>,
    /// Why it exists.
    pub reason: &'static str,
}

/// A durable queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Name.
    pub name: String,
    /// Kind.
    pub kind: QueueKind,
    /// Arguments beside `x-queue-type`.
    pub arguments: Vec<Argument>,
    /// Why it exists and is of this kind.
    pub reason: &'static str,
}

/// A queue's binding to an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Exchange.
    pub exchange: String,
    /// Queue.
    pub queue: String,
    /// Routing key or pattern; empty for a fanout exchange.
    pub key: String,
}

/// Everything that must exist on the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// Exchanges, in an order in which they can be declared.
    pub exchanges: Vec<Exchange>,
    /// Queues.
    pub queues: Vec<Queue>,
    /// Bindings.
    pub bindings: Vec<Binding>,
    priorities: Priorities,
}

impl Topology {
    /// The topology for one way of ordering interactions.
    pub fn new(priorities: Priorities) -> Self {
        objects::topology(priorities)
    }

    /// Which way of ordering interactions it is for.
    pub fn priorities(&self) -> Priorities {
        self.priorities
    }

    /// Queues of interactions, most urgent first: one, or one for each class.
    pub fn interaction_queues(&self) -> Vec<&str> {
        let prefix = arrakis_contracts::names::INTERACTIONS;
        let names = self.queues.iter().map(|queue| queue.name.as_str());
        names.filter(|name| name.starts_with(prefix)).collect()
    }

    /// Every object with every reason, for people.
    pub fn explain(&self) -> String {
        use fmt::Write as _;
        let mut text = String::new();
        for exchange in &self.exchanges {
            let _ = writeln!(
                text,
                "exchange {} ({}): {}",
                exchange.name,
                exchange.kind.name(),
                exchange.reason
            );
            explain_arguments(&mut text, &exchange.arguments);
        }
        for queue in &self.queues {
            let _ = writeln!(text, "queue {} ({}): {}", queue.name, queue.kind.name(), queue.reason);
            explain_arguments(&mut text, &queue.arguments);
            for binding in self.bindings.iter().filter(|binding| binding.queue == queue.name) {
                let _ = writeln!(text, "  from {} by \"{}\"", binding.exchange, binding.key);
            }
        }
        text
    }
}

fn explain_arguments(text: &mut String, arguments: &[Argument]) {
    use fmt::Write as _;
    for argument in arguments {
        let _ = writeln!(text, "  {} = {}: {}", argument.name, argument.value, argument.reason);
    }
}
