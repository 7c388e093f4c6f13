//! Appends events: locks the head of the chain, checks each event against the state, inserts it.

use time::OffsetDateTime;
use uuid::Uuid;

use super::Registry;
use super::error::{Refusal, RegistryError};
use super::event::EventSource;
use super::history::ChainHead;
use super::identity::{IdentityId, IdentityRecord};
use super::payload::EventPayload;
use super::replay::Change;
use super::text::whole_microseconds;
use crate::column::Column;
use crate::{DbError, named_query::named};

/// Where an operation came from, and when it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Where the operation came from; it decides what the database login and suspensions permit.
    pub source: EventSource,
    /// When the operation happens. An event is never earlier than the identity's last one: with a clock that is behind, it gets the last one's time.
    pub at: OffsetDateTime,
}

/// The registry while the head of the chain is locked: the state does not change until the transaction ends.
pub(super) struct Appending<'r, 'c> {
    /// The registry in the transaction that holds the lock.
    pub(super) registry: &'r mut Registry<'c>,
    pub(super) cause: Cause,
    /// Sequence number of the next event.
    pub(super) next: u64,
}

impl<'c> Registry<'c> {
    /// Locks the head of the chain. Waits for other transactions that append.
    pub(super) async fn appending(&mut self, cause: Cause) -> Result<Appending<'_, 'c>, DbError> {
        let row = named!(
            "identity_chain.lock",
            sqlx::query!("select sequence, hash from identity_chain_head for update").fetch_one(&mut *self.connection)
        )?;
        let head = ChainHead::from_columns(row.sequence, &row.hash)?;
        let at = whole_microseconds(cause.at);
        Ok(Appending {
            registry: self,
            cause: Cause { at, ..cause },
            next: head.sequence + 1,
        })
    }
}

impl Appending<'_, '_> {
    /// The time of the operation.
    pub(super) const fn at(&self) -> OffsetDateTime {
        self.cause.at
    }

    /// Where the operation came from.
    pub(super) const fn source(&self) -> EventSource {
        self.cause.source
    }

    /// The identity with the wallets that it holds.
    pub(super) async fn record(&mut self, id: IdentityId) -> Result<IdentityRecord, RegistryError> {
        let found = self.registry.holding_by_id(id).await?;
        found.ok_or(RegistryError::Refused(Refusal::UnknownIdentity))
    }

    /// The identity, of which the cause may change accounts and wallets: members change nothing of a suspended one.
    pub(super) async fn changeable(&mut self, id: IdentityId) -> Result<IdentityRecord, RegistryError> {
        let record = self.record(id).await?;
        if self.source().is_member() && record.identity.is_suspended(self.at()) {
            return Err(Refusal::Suspended.into());
        }
        Ok(record)
    }

    /// Appends an event of an existing identity and applies it to `record`.
    pub(super) async fn append(
        &mut self,
        record: &mut IdentityRecord,
        payload: &EventPayload,
    ) -> Result<(), RegistryError> {
        self.append_at(record, payload, self.at()).await
    }

    /// As [`Appending::append`], at this time, or at that of the identity's last event if it is later.
    pub(super) async fn append_at(
        &mut self,
        record: &mut IdentityRecord,
        payload: &EventPayload,
        at: OffsetDateTime,
    ) -> Result<(), RegistryError> {
        let change = self.change(payload, at.max(record.identity.updated_at));
        record.apply(change)?;
        self.insert(record.identity.id, change).await?;
        Ok(())
    }

    /// Creates an identity with a new id by appending its first event, whose payload is `IDENTITY_CREATED`.
    ///
    /// # Errors
    /// The [`Refusal`] of the event, or the database is unavailable.
    pub(super) async fn append_created(&mut self, payload: &EventPayload) -> Result<IdentityRecord, RegistryError> {
        let id = IdentityId::new();
        let at = self.after_separations().await?;
        let change = self.change(payload, at);
        let record = IdentityRecord::created(id, change)?;
        self.insert(id, change).await?;
        Ok(record)
    }

    /// The time of an event that gives an account to an identity: not before the last separation, so that at every moment an
    /// account has at most one identity. They are rare, and their times recent, so it is the time of the operation but for clocks
    /// that differ.
    pub(super) async fn after_separations(&mut self) -> Result<OffsetDateTime, DbError> {
        let last = self.last_separation().await?;
        Ok(last.map_or(self.at(), |last| last.max(self.at())))
    }

    /// When accounts of an identity were separated last, of all identities.
    pub(super) async fn last_separation(&mut self) -> Result<Option<OffsetDateTime>, DbError> {
        named!(
            "identity_event.last_separation",
            sqlx::query_scalar!(
                "select max(occurred_at) from identity_events where event_type in ('DISCORD_UNLINKED', 'TELEGRAM_UNLINKED')"
            )
            .fetch_one(&mut *self.registry.connection)
        )
    }

    /// The change of the next event.
    pub(super) fn change<'p>(&self, payload: &'p EventPayload, occurred_at: OffsetDateTime) -> Change<'p> {
        Change {
            sequence: self.next,
            source: self.source(),
            occurred_at,
            payload,
        }
    }

    /// The trigger `chain_identity_event` sets sequence number, time of recording and hashes.
    async fn insert(&mut self, id: IdentityId, change: Change<'_>) -> Result<(), DbError> {
        let sequence = named!(
            "identity_event.append",
            sqlx::query_scalar!(
                "insert into identity_events (event_id, identity_id, event_type, source, occurred_at, payload)
                 values ($1, $2, $3, $4, $5, $6) returning sequence",
                Uuid::now_v7(),
                id.uuid(),
                change.payload.event_type().as_str(),
                change.source.as_str(),
                change.occurred_at,
                change.payload.encode()
            )
            .fetch_one(&mut *self.registry.connection)
        )?;
        if u64::try_from(sequence) != Ok(change.sequence) {
            let expected = format_args!("expected {}: the head is locked", change.sequence);
            return Err(Column("identity_events", "sequence").corrupt(sequence, expected));
        }
        self.next += 1;
        Ok(())
    }
}
