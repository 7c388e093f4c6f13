//! Types, sources and rows of events.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use uuid::Uuid;

use super::hash::{EventHash, HashedFields, event_hash};
use super::identity::IdentityId;
use super::payload::{EventPayload, PayloadError};
use crate::DbError;
use crate::column::Column;

/// Defines an enum whose variants are stored as texts.
macro_rules! stored_as_text {
    ($(#[$doc:meta])* $name:ident, $unknown:literal, $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Every value.
            pub const ALL: [Self; [$(Self::$variant),+].len()] = [$(Self::$variant),+];

            /// The value as events and columns store it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                Self::ALL.into_iter().find(|value| value.as_str() == text).ok_or_else(|| $unknown.to_owned())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

stored_as_text!(
    /// Type of an event.
    EventType, "unknown type of event",
    /// An identity was created, with its first account.
    IdentityCreated = "IDENTITY_CREATED",
    /// A Discord account was added.
    DiscordLinked = "DISCORD_LINKED",
    /// A Telegram account was added.
    TelegramLinked = "TELEGRAM_LINKED",
    /// The Discord account was taken from the identity again, which has a Telegram account.
    DiscordUnlinked = "DISCORD_UNLINKED",
    /// The Telegram account was taken from the identity again, which has a Discord account.
    TelegramUnlinked = "TELEGRAM_UNLINKED",
    /// The person proved a wallet.
    WalletVerified = "WALLET_VERIFIED",
    /// A wallet was removed.
    WalletRemoved = "WALLET_REMOVED",
    /// Another wallet became the primary one.
    WalletSetPrimary = "WALLET_SET_PRIMARY",
    /// The identity was suspended, or the end of its suspension changed.
    IdentitySuspended = "IDENTITY_SUSPENDED",
    /// The suspension ended.
    IdentityRestored = "IDENTITY_RESTORED",
);

stored_as_text!(
    /// Where an event came from.
    EventSource, "unknown source of an event",
    /// A member verified by way of Discord.
    DiscordVerification = "discord_verification",
    /// A member verified by way of Telegram.
    TelegramVerification = "telegram_verification",
    /// An operator. The admin's login only.
    Admin = "admin",
    /// Rows from before the registry. The owner's and the admin's login only.
    Migration = "migration",
    /// The end of a suspension passed.
    Expiry = "expiry",
);

impl EventSource {
    /// Whether a member caused the event; members change nothing of a suspended identity.
    pub(super) const fn is_member(self) -> bool {
        matches!(self, Self::DiscordVerification | Self::TelegramVerification)
    }
}

/// An event of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IdentityEvent {
    /// Its number in the chain: 1, 2, 3, … without gaps.
    pub sequence: u64,
    /// Id of the event.
    pub event_id: Uuid,
    /// The identity that it changed.
    pub identity: IdentityId,
    /// Where the event came from.
    pub source: EventSource,
    /// When it happened; for a migrated event, when the recorded verification happened.
    #[serde(with = "time::serde::rfc3339")]
    pub occurred_at: OffsetDateTime,
    /// When it was appended to the chain.
    #[serde(with = "time::serde::rfc3339")]
    pub recorded_at: OffsetDateTime,
    /// Its type and data.
    #[serde(flatten)]
    pub payload: EventPayload,
    /// SHA-256 of the event and of the hash before it: `docs/registry.md`, "Payload and hash".
    pub hash: EventHash,
}

/// A row of `identity_events`, with the columns' names and values; [`IdentityEvent`] is its decoded form.
pub(super) struct EventRow {
    pub(super) sequence: i64,
    pub(super) event_id: Uuid,
    pub(super) identity_id: Uuid,
    pub(super) event_type: String,
    pub(super) source: String,
    pub(super) occurred_at: OffsetDateTime,
    pub(super) recorded_at: OffsetDateTime,
    pub(super) payload: Vec<u8>,
    pub(super) previous_hash: Vec<u8>,
    pub(super) hash: Vec<u8>,
}

impl EventRow {
    /// The hash that the row's fields have.
    pub(super) fn computed_hash(&self) -> EventHash {
        event_hash(&HashedFields {
            sequence: self.sequence,
            event_id: self.event_id,
            identity: IdentityId::from_uuid(self.identity_id),
            event_type: &self.event_type,
            source: &self.source,
            occurred_at: self.occurred_at,
            recorded_at: self.recorded_at,
            payload: &self.payload,
            previous_hash: &self.previous_hash,
        })
    }

    /// The row's payload, decoded.
    pub(super) fn decoded_payload(&self) -> Result<EventPayload, PayloadError> {
        let event_type = self
            .event_type
            .parse()
            .map_err(|reason: String| PayloadError::new("event_type", &reason))?;
        EventPayload::decode(event_type, &self.payload)
    }
}

impl TryFrom<EventRow> for IdentityEvent {
    type Error = DbError;

    fn try_from(row: EventRow) -> Result<Self, DbError> {
        let column = |name| Column("identity_events", name);
        let payload = row
            .decoded_payload()
            .map_err(|why| column("payload").corrupt(String::from_utf8_lossy(&row.payload), why))?;
        Ok(Self {
            sequence: column("sequence").count(row.sequence)?,
            event_id: row.event_id,
            identity: IdentityId::from_uuid(row.identity_id),
            source: column("source").parse(&row.source)?,
            occurred_at: row.occurred_at,
            recorded_at: row.recorded_at,
            payload,
            hash: EventHash::stored(&row.hash).map_err(|why| column("hash").corrupt(hex::encode(&row.hash), why))?,
        })
    }
}
