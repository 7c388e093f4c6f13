//! Fields of a dead letter, and the age limits of replays.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Largest age of an event, from its first receipt, at which it may be replayed. The queue of dead letters keeps a letter as long
/// (`x-message-ttl`).
pub const MAX_REPLAY_AGE: Duration = Duration::from_secs(7 * DAY);
/// Largest age of an event, from its first receipt, at which it is handled again if it may have been handled before. It exceeds
/// [`MAX_REPLAY_AGE`] because a replayed event waits in its queue, and because the clocks of two machines differ.
pub const MAX_REDELIVERY_AGE: Duration = Duration::from_secs(8 * DAY);
/// Largest age of an interaction, from its first receipt, at which it may be replayed. Discord accepts a reply for fifteen minutes;
/// 30 s of them are left for the replay itself.
pub const MAX_INTERACTION_REPLAY_AGE: Duration = Duration::from_secs(14 * 60 + 30);
/// How long the claim of an event is kept. It exceeds [`MAX_REDELIVERY_AGE`]: as long as an event may be handled again, its claim
/// prevents doubled effects. A claim is made at the first receipt or later.
pub const CLAIM_RETENTION: Duration = Duration::from_secs(9 * DAY);

const DAY: u64 = 24 * 3_600;
const _: () = assert!(
    MAX_REPLAY_AGE.as_secs() < MAX_REDELIVERY_AGE.as_secs() && MAX_REDELIVERY_AGE.as_secs() < CLAIM_RETENTION.as_secs()
);

/// Why a message became a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadLetterReason {
    /// Another attempt cannot succeed.
    Permanent,
    /// All attempts failed.
    Exhausted,
    /// It cannot be decoded: no JSON, no labels, an unknown version.
    Unreadable,
    /// The broker dead-lettered it at the delivery limit: it was redelivered too often.
    DeliveryLimit,
    /// It may have been handled before and its claim may be deleted; or it is a replayed interaction whose token has expired.
    Expired,
}

impl DeadLetterReason {
    /// Value of the header `dead_reason`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Permanent => "permanent",
            Self::Exhausted => "exhausted",
            Self::Unreadable => "unreadable",
            Self::DeliveryLimit => "delivery_limit",
            Self::Expired => "expired",
        }
    }

    /// The reason with this header value.
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Permanent,
            Self::Exhausted,
            Self::Unreadable,
            Self::DeliveryLimit,
            Self::Expired,
        ]
        .into_iter()
        .find(|reason| reason.name() == name)
    }
}

/// What is shown of a dead letter: its headers, without the body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Event or job id.
    pub id: String,
    /// Name of the event, such as `GUILD_MEMBER_ADD`, or `job`.
    pub kind: String,
    /// Queue from which it was consumed. A replay publishes it there.
    pub origin_queue: String,
    /// Routing key with which it was first published.
    pub origin_key: String,
    /// Why it is a dead letter.
    pub reason: DeadLetterReason,
    /// Text of the last error.
    pub error: String,
    /// Number of attempts to handle it.
    pub attempts: u32,
    /// When it became a dead letter, in milliseconds since 1970.
    pub dead_at_ms: u64,
    /// Size of the body in bytes.
    pub body_bytes: usize,
    /// When the event was first received, in milliseconds since 1970. `None` for a job, whose row in PostgreSQL has its state.
    pub received_ms: Option<u64>,
}

impl DeadLetter {
    /// Whether it is older than [`MAX_REPLAY_AGE`].
    #[must_use]
    pub fn is_too_old_to_replay(&self, now_ms: u64) -> bool {
        self.is_older(MAX_REPLAY_AGE, now_ms)
    }

    /// Whether it is an interaction older than [`MAX_INTERACTION_REPLAY_AGE`]: Discord accepts no reply to it.
    #[must_use]
    pub fn is_reply_expired(&self, now_ms: u64) -> bool {
        self.kind == "INTERACTION_CREATE" && self.is_older(MAX_INTERACTION_REPLAY_AGE, now_ms)
    }

    fn is_older(&self, than: Duration, now_ms: u64) -> bool {
        let age = |received: u64| Duration::from_millis(now_ms.saturating_sub(received));
        self.received_ms.is_some_and(|received| age(received) >= than)
    }
}
