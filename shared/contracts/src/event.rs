//! The id of an event. An event that is received twice has the same id both times.

use std::fmt;

use sha2::{Digest, Sha256};

/// Id of an event: the AMQP property `message_id`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(String);

impl EventId {
    /// The id of an interaction: its snowflake.
    pub fn of_interaction(snowflake: u64) -> Self {
        Self(snowflake.to_string())
    }

    /// The id of any other dispatch: a digest of session id and sequence number, 128 bits of SHA-256 in hex. The hashed bytes begin
    /// with the length of the session id, so that different pairs have different bytes.
    pub fn of_dispatch(session: &str, seq: u64) -> Self {
        let mut hash = Sha256::new();
        hash.update((session.len() as u64).to_be_bytes());
        hash.update(session.as_bytes());
        hash.update(seq.to_be_bytes());
        let digest = hash.finalize();
        Self(digest[..16].iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The id in a received message, without a check.
    pub fn from_message(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_dispatch_has_the_same_id_and_another_has_not() {
        let id = EventId::of_dispatch("abc", 7);
        assert_eq!(id, EventId::of_dispatch("abc", 7));
        assert_ne!(id, EventId::of_dispatch("abc", 8));
        assert_ne!(id, EventId::of_dispatch("abd", 7));
        assert_eq!(id.as_str().len(), 32);
    }
}
