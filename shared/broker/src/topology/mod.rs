//! Exchanges, queues and bindings as data, with a reason for each option.
//!
//! `objects` has the data, `declare` declares it on a broker, `definitions` exports it as RabbitMQ's definitions. An object that
//! exists with other properties is an error: RabbitMQ cannot change it, and only an operator may delete a queue.

mod declare;
mod definitions;
mod objects;
mod refusal;

use std::fmt;

use crate::settings::Priorities;

pub use declare::{MissingObject, declare_queue};
pub use objects::{IDENTIFY_SLOT_MS, identify_slot_queue, shard_state_queue};
pub use refusal::TopologyError;

/// Value of an [`Argument`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArgumentValue {
    /// A number.
    Integer(i64),
    /// A string.
    Text(&'static str),
    /// A boolean.
    Flag(bool),
}

impl fmt::Display for ArgumentValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "\"{text}\""),
            Self::Flag(flag) => write!(f, "{flag}"),
        }
    }
}

/// An optional argument (`x-…`) of an exchange or queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Name, such as `x-max-priority`.
    pub name: &'static str,
    /// Value.
    pub value: ArgumentValue,
    /// Why it is set.
    pub reason: &'static str,
}

/// Kind of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExchangeKind {
    /// Routes by patterns of the routing key.
    Topic,
    /// Routes to every bound queue, whatever the routing key.
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
    /// On one node. It confirms before the message is on disk, and supports ten priorities on every version.
    Classic,
    /// Replicated. It confirms when a majority of nodes has the message on disk.
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
    /// Arguments in addition to `x-queue-type`.
    pub arguments: Vec<Argument>,
    /// Why it exists and has this kind.
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

/// The exchanges, queues and bindings that the platform needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// Exchanges, in the order of declaration.
    pub exchanges: Vec<Exchange>,
    /// Queues.
    pub queues: Vec<Queue>,
    /// Bindings.
    pub bindings: Vec<Binding>,
    priorities: Priorities,
}

impl Topology {
    /// The queues of the shadow workers, with their bindings to exchanges that exist.
    #[must_use]
    pub fn shadow(&self) -> Self {
        objects::shadow(self)
    }

    /// The exchanges, queues and bindings for this order of interactions: one queue with priorities, or one queue for each
    /// class.
    pub fn new(priorities: Priorities) -> Self {
        objects::topology(priorities)
    }

    /// The order of interactions that it has.
    pub fn priorities(&self) -> Priorities {
        self.priorities
    }

    /// Names of the queues of interactions, most urgent first: one, or one for each class.
    pub fn interaction_queues(&self) -> Vec<&str> {
        let prefix = arrakis_contracts::names::INTERACTIONS;
        let names = self.queues.iter().map(|queue| queue.name.as_str());
        names.filter(|name| name.starts_with(prefix)).collect()
    }

    /// A text that lists every object and argument with its reason, for operators.
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
