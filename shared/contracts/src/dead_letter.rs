//! What a dead letter says about itself.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long after its first receipt an event may be replayed, however often it has been until then. The queue of dead letters
/// keeps a letter as long (`x-message-ttl`).
pub const REPLAYABLE: Duration = Duration::from_secs(7 * DAY);
/// How long after its first receipt an event that may have been handled before is handled again. A replayed event waits in its
/// queue, and the clocks of two machines differ.
pub const HANDLED_AGAIN: Duration = Duration::from_secs(8 * DAY);
/// How long after its first receipt an interaction may be replayed: Discord takes a reply for fifteen minutes, and half of one is left
/// for the replay itself.
pub const INTERACTION_REPLAYABLE: Duration = Duration::from_secs(14 * 60 + 30);
/// How long a claim on an event is kept. While an event may be handled again, what it has done already must be known, or it
/// would be done twice: a claim is made at the first receipt or later, so it outlives [`HANDLED_AGAIN`].
pub const CLAIMS_KEPT: Duration = Duration::from_secs(9 * DAY);

const DAY: u64 = 24 * 3_600;
const _: () =
    assert!(REPLAYABLE.as_secs() < HANDLED_AGAIN.as_secs() && HANDLED_AGAIN.as_secs() < CLAIMS_KEPT.as_secs());

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
    /// It may have been handled before, so long ago that what it did is no longer known; or it is a replayed interaction to which
    /// Discord accepts no reply any more.
    Expired,
}

impl DeadReason {
    /// Name, as it travels in the header `dead_reason`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Permanent => "permanent",
            Self::Exhausted => "exhausted",
            Self::Unreadable => "unreadable",
            Self::DeliveryLimit => "delivery_limit",
            Self::Expired => "expired",
        }
    }

    /// Reads a header's value.
    pub fn named(name: &str) -> Option<Self> {
        [
            Self::Permanent,
            Self::Exhausted,
            Self::Unreadable,
            Self::DeliveryLimit,
            Self::Expired,
        ]
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
    /// When an event was first received, in milliseconds since 1970; nothing for a job, whose row says what became of it.
    pub received_ms: Option<u64>,
}

impl DeadLetter {
    /// Whether what it may have done already could be forgotten before it is handled again.
    #[must_use]
    pub fn is_too_old_to_replay(&self, now_ms: u64) -> bool {
        self.is_older(REPLAYABLE, now_ms)
    }

    /// Whether it is an interaction to which Discord accepts no reply any more.
    #[must_use]
    pub fn is_unanswerable(&self, now_ms: u64) -> bool {
        self.kind == "INTERACTION_CREATE" && self.is_older(INTERACTION_REPLAYABLE, now_ms)
    }

    fn is_older(&self, than: Duration, now_ms: u64) -> bool {
        let age = |received: u64| Duration::from_millis(now_ms.saturating_sub(received));
        self.received_ms.is_some_and(|received| age(received) >= than)
    }
}
