//! The hash that chains events.
//!
//! The hash of an event is SHA-256 over these fields, each preceded by its length as four bytes, big-endian, so that no two
//! lists of fields have the same bytes:
//!
//! | field | bytes |
//! |---|---|
//! | label | `arrakis-identity-event-v1` in ASCII |
//! | sequence number | 8, big-endian |
//! | event id | the 16 bytes of the UUID |
//! | identity id | the 16 bytes of the UUID |
//! | type | ASCII, such as `WALLET_VERIFIED` |
//! | source | ASCII, such as `discord_verification` |
//! | time of occurrence | microseconds since 1970-01-01 UTC, 8, big-endian, two's complement |
//! | time of recording | likewise |
//! | payload | the stored bytes |
//! | previous hash | 32; zeros for event 1 |
//!
//! The trigger `chain_identity_event` computes the same in SQL. Another encoding needs another label.

use std::fmt;

use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use super::identity::IdentityId;
use super::text::unix_microseconds;

/// First field of each hash.
const LABEL: &[u8] = b"arrakis-identity-event-v1";

/// Hash of an event. Printed in lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventHash([u8; 32]);

impl EventHash {
    /// The previous hash of event 1.
    pub const NONE: Self = Self([0; 32]);

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A hash from a column.
    pub(super) fn stored(bytes: &[u8]) -> Result<Self, std::array::TryFromSliceError> {
        bytes.try_into().map(Self)
    }
}

impl fmt::Display for EventHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for EventHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventHash({self})")
    }
}

impl Serialize for EventHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The fields that the hash of an event covers: all that is stored of it.
#[derive(Clone, Copy, Debug)]
pub struct HashedFields<'a> {
    /// Sequence number.
    pub sequence: i64,
    /// Id of the event.
    pub event_id: Uuid,
    /// The identity.
    pub identity: IdentityId,
    /// Type.
    pub event_type: &'a str,
    /// Source.
    pub source: &'a str,
    /// When it happened.
    pub occurred_at: OffsetDateTime,
    /// When it was appended.
    pub recorded_at: OffsetDateTime,
    /// The payload's bytes.
    pub payload: &'a [u8],
    /// Hash of the event before it.
    pub previous_hash: &'a [u8],
}

/// The hash of an event with these fields.
pub(super) fn event_hash(fields: &HashedFields<'_>) -> EventHash {
    let mut digest = Sha256::new();
    let mut field = |bytes: &[u8]| {
        digest.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        digest.update(bytes);
    };
    field(LABEL);
    field(&fields.sequence.to_be_bytes());
    field(fields.event_id.as_bytes());
    field(fields.identity.uuid().as_bytes());
    field(fields.event_type.as_bytes());
    field(fields.source.as_bytes());
    field(&unix_microseconds(fields.occurred_at).to_be_bytes());
    field(&unix_microseconds(fields.recorded_at).to_be_bytes());
    field(fields.payload);
    field(fields.previous_hash);
    EventHash(digest.finalize().into())
}

impl HashedFields<'_> {
    /// The hash of an event with these fields.
    #[must_use]
    pub fn hash(&self) -> EventHash {
        event_hash(self)
    }
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;

    /// The vectors of `docs/registry.md`, which were computed by another program in another language.
    #[test]
    fn hashes_equal_the_documented_vectors() {
        let at = |us| OffsetDateTime::UNIX_EPOCH + Duration::microseconds(us);
        let id = |last: &str| -> Uuid { format!("01890a5d-ac96-774b-bcce-b302099a80{last}").parse().unwrap() };
        let wallet = format!(
            "{{\"address\":\"0xd2f19a79b026fb636a7c300bf5947df113940761\",\"chain_id\":\"80094\",\"is_primary\":true,\
             \"signature_digest\":\"{}\",\"signature_kind\":\"eip191\",\"v\":1,\"verified_at\":\"2026-01-01T00:01:00.123456Z\"}}",
            "ab".repeat(32)
        );
        let created = "{\"discord_user_id\":\"80351110224678912\",\"display_name\":\"Chani 沙\",\"v\":1}";
        let suspended = r#"{"by":"ops","reason":"two \"accounts\"","v":1}"#;
        let (first, second) = (1_767_225_600_000_000, 1_767_225_660_123_456);
        let discord = "discord_verification";
        let mut previous = EventHash::NONE;
        for (sequence, event, event_type, source, occurred, recorded, payload, expected) in [
            (
                1,
                "58",
                "IDENTITY_CREATED",
                discord,
                first,
                first + 250_000,
                created,
                "ac8adf30cf8642bc1cd65b8f8a8c738832743c1e67a89584036edee1bb9f73ed",
            ),
            (
                2,
                "59",
                "WALLET_VERIFIED",
                discord,
                second,
                second + 543,
                &wallet,
                "6917868cf19dcb5a408b82a678faba5b91a39cb4b523c254c34b6a4a4cb47925",
            ),
            (
                3,
                "5a",
                "IDENTITY_SUSPENDED",
                "admin",
                -1,
                1_767_225_700_000_000,
                suspended,
                "2ab9748d22d8220fd3fc5509b974d5fde16b0e692cf0fbd7b56afdfe9798ce4d",
            ),
        ] {
            let fields = HashedFields {
                sequence,
                event_id: id(event),
                identity: IdentityId::from_uuid(id("57")),
                event_type,
                source,
                occurred_at: at(occurred),
                recorded_at: at(recorded),
                payload: payload.as_bytes(),
                previous_hash: previous.as_bytes(),
            };
            assert_eq!(fields.hash().to_string(), expected, "event {sequence}");
            previous = fields.hash();
        }
    }

    #[test]
    fn field_boundary_changes_the_hash() {
        let fields = HashedFields {
            sequence: 1,
            event_id: Uuid::nil(),
            identity: IdentityId::from_uuid(Uuid::nil()),
            event_type: "AB",
            source: "C",
            occurred_at: OffsetDateTime::UNIX_EPOCH,
            recorded_at: OffsetDateTime::UNIX_EPOCH,
            payload: b"{}",
            previous_hash: &[0; 32],
        };
        let moved = HashedFields {
            event_type: "A",
            source: "BC",
            ..fields
        };
        assert_ne!(fields.hash(), moved.hash());
    }
}
