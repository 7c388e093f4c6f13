//! What a dead letter says about itself.

use serde::{Deserialize, Serialize};

/// Why a message was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadReason {
    /// Trying again cannot help.
    Permanent,
    /// The retries ran out.
    Exhausted,
    /// Nobody here can read it: no JSON, no labels, an unknown version.
    Unreadable,
    /// The broker gave it up after too many deliveries: it took its consumer down each time.
    DeliveryLimit,
}

impl DeadReason {
    /// Name, as it travels in the header `dead_reason`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Permanent => "permanent",
            Self::Exhausted => "exhausted",
            Self::Unreadable => "unreadable",
            Self::DeliveryLimit => "delivery_limit",
        }
    }

    /// Reads a header's value.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Permanent, Self::Exhausted, Self::Unreadable, Self::DeliveryLimit]
            .into_iter()
            .find(|r| r.name() == name)
    }
}

/// One dead letter, as the tool shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Event or job id.
    pub id: String,
    /// Name of the event, or `job`.
    pub kind: String,
    /// Queue it was consumed from; replay puts it back there.
    pub origin_queue: String,
    /// Routing key it was first published with.
    pub origin_key: String,
    /// Why it was given up.
    pub reason: DeadReason,
    /// The last error, in words.
    pub error: String,
    /// How many times it was tried.
    pub attempts: u32,
    /// When, in milliseconds since 1970.
    pub dead_at_ms: u64,
    /// Size of the body in bytes.
    pub body_bytes: usize,
}
