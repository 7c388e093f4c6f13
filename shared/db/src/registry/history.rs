//! Reads the chain: its head, the events of an identity, and the state at an earlier moment.

use std::collections::BTreeMap;

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Registry;
use super::event::{EventRow, IdentityEvent};
use super::hash::EventHash;
use super::identity::{IdentityId, IdentityRecord};
use super::replay::Change;
use crate::column::Column;
use crate::{DbError, named_query::named};

/// Events that one query reads.
const PAGE: i64 = 1_000;

/// The end of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ChainHead {
    /// Sequence number of the last event; 0 for an empty chain.
    pub sequence: u64,
    /// Hash of the last event; zeros for an empty chain.
    pub hash: EventHash,
}

impl ChainHead {
    /// The head of these columns of `identity_chain_head`.
    ///
    /// # Errors
    /// When the row is corrupt.
    pub(super) fn from_columns(sequence: i64, hash: &[u8]) -> Result<Self, DbError> {
        let column = |name| Column("identity_chain_head", name);
        Ok(Self {
            sequence: column("sequence").count(sequence)?,
            hash: EventHash::stored(hash).map_err(|why| column("hash").corrupt(hex::encode(hash), why))?,
        })
    }
}

impl Registry<'_> {
    /// The head of the chain, without locking it.
    ///
    /// Signing and anchoring begin here: what is signed, and stored outside of the database at intervals, is this sequence
    /// number and hash. A chain does not show that its own tail and head were cut off together; an anchor does.
    ///
    /// # Errors
    /// When the database is unavailable or the row is corrupt.
    pub async fn head(&mut self) -> Result<ChainHead, DbError> {
        let row = named!(
            "identity_chain.head",
            sqlx::query!("select sequence, hash from identity_chain_head").fetch_one(&mut *self.connection)
        )?;
        ChainHead::from_columns(row.sequence, &row.hash)
    }

    /// Events of an identity, newest first: those with a sequence number below `before`, at most `limit`.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn history(
        &mut self,
        identity: IdentityId,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<IdentityEvent>, DbError> {
        let before = before.map_or(i64::MAX, |before| i64::try_from(before).unwrap_or(i64::MAX));
        let rows = named!(
            "identity_event.history",
            sqlx::query_as!(
                EventRow,
                "select sequence, event_id, identity_id, event_type, source, occurred_at, recorded_at, payload, previous_hash,
                        hash
                   from identity_events where identity_id = $1 and sequence < $2 order by sequence desc limit $3",
                identity.uuid(),
                before,
                i64::from(limit)
            )
            .fetch_all(&mut *self.connection)
        )?;
        rows.into_iter().map(IdentityEvent::try_from).collect()
    }

    /// The events after this sequence number, in order; at most a thousand. Empty at the end of the chain.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn events(&mut self, after: u64) -> Result<Vec<IdentityEvent>, DbError> {
        let rows = self.events_after(i64::try_from(after).unwrap_or(i64::MAX)).await?;
        rows.into_iter().map(IdentityEvent::try_from).collect()
    }

    /// The hashes of the events with these sequence numbers. An event that does not exist is left out.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn event_hashes(&mut self, sequences: &[u64]) -> Result<BTreeMap<u64, EventHash>, DbError> {
        let wanted: Vec<i64> = sequences
            .iter()
            .map(|sequence| i64::try_from(*sequence).unwrap_or(i64::MAX))
            .collect();
        let rows = named!(
            "identity_event.hashes",
            sqlx::query!(
                "select sequence, hash from identity_events where sequence = any($1)",
                &wanted[..]
            )
            .fetch_all(&mut *self.connection)
        )?;
        let column = |name| Column("identity_events", name);
        let parsed = rows.into_iter().map(|row| {
            let sequence = column("sequence").count(row.sequence)?;
            let hash = EventHash::stored(&row.hash);
            let hash = hash.map_err(|why| column("hash").corrupt(hex::encode(&row.hash), why))?;
            Ok((sequence, hash))
        });
        parsed.collect()
    }

    /// As [`Registry::events`], not decoded: a corrupt row is no error.
    pub(super) async fn events_after(&mut self, sequence: i64) -> Result<Vec<EventRow>, DbError> {
        named!(
            "identity_event.walk",
            sqlx::query_as!(
                EventRow,
                "select sequence, event_id, identity_id, event_type, source, occurred_at, recorded_at, payload, previous_hash,
                        hash
                   from identity_events where sequence > $1 order by sequence limit $2",
                sequence,
                PAGE
            )
            .fetch_all(&mut *self.connection)
        )
    }

    /// Ids of identities in tables or events, above `after`, in order.
    pub(super) async fn identity_ids(
        &mut self,
        after: Option<IdentityId>,
        limit: u32,
    ) -> Result<Vec<IdentityId>, DbError> {
        let rows = named!(
            "identity.ids",
            sqlx::query_scalar!(
                r#"(select identity_id as "identity_id!" from user_identities where identity_id > $1
                     order by identity_id limit $2)
                   union
                   (select distinct identity_id from identity_events where identity_id > $1 order by identity_id limit $2)
                   order by 1 limit $2"#,
                after.map_or(Uuid::nil(), IdentityId::uuid),
                i64::from(limit)
            )
            .fetch_all(&mut *self.connection)
        )?;
        Ok(rows.into_iter().map(IdentityId::from_uuid).collect())
    }

    /// An identity as its events up to `at` leave it; `None` before its first event.
    ///
    /// # Errors
    /// When the database is unavailable, an event is corrupt, or one does not follow from the events before it.
    pub async fn replayed(
        &mut self,
        identity: IdentityId,
        at: OffsetDateTime,
    ) -> Result<Option<IdentityRecord>, DbError> {
        Ok(self.replayed_all(&[identity], at).await?.pop())
    }

    /// Identities as their events up to `at` leave them, in the order of their ids: those after `after`, at most `limit`.
    /// The second value is the id to continue after; `None` at the end.
    ///
    /// # Errors
    /// As [`Registry::replayed`].
    pub async fn replayed_page(
        &mut self,
        after: Option<IdentityId>,
        at: OffsetDateTime,
        limit: u32,
    ) -> Result<(Vec<IdentityRecord>, Option<IdentityId>), DbError> {
        let ids = self.identity_ids(after, limit).await?;
        Ok((self.replayed_all(&ids, at).await?, ids.last().copied()))
    }

    /// These identities as their events up to `at` leave them, in the order of their ids. The error about an event that does
    /// not follow has its sequence number as the value.
    pub(super) async fn replayed_all(
        &mut self,
        ids: &[IdentityId],
        at: OffsetDateTime,
    ) -> Result<Vec<IdentityRecord>, DbError> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
        let mut records: Vec<IdentityRecord> = Vec::with_capacity(ids.len());
        let mut after = (Uuid::nil(), 0);
        loop {
            let rows = named!(
                "identity_event.replay",
                sqlx::query_as!(
                    EventRow,
                    "select sequence, event_id, identity_id, event_type, source, occurred_at, recorded_at, payload,
                            previous_hash, hash
                       from identity_events
                      where identity_id = any($1) and (identity_id, sequence) > ($2, $3) and occurred_at <= $4
                      order by identity_id, sequence limit $5",
                    &ids,
                    after.0,
                    after.1,
                    at,
                    PAGE
                )
                .fetch_all(&mut *self.connection)
            )?;
            let is_last = i64::try_from(rows.len()).map_or(true, |count| count < PAGE);
            for row in rows {
                after = (row.identity_id, row.sequence);
                replay_next(&mut records, &IdentityEvent::try_from(row)?)?;
            }
            if is_last {
                return Ok(records);
            }
        }
    }
}

/// Applies an event to the last record, or begins another one.
fn replay_next(records: &mut Vec<IdentityRecord>, event: &IdentityEvent) -> Result<(), DbError> {
    let change = Change::from(event);
    let applied = match records.last_mut().filter(|record| record.identity.id == event.identity) {
        Some(record) => record.apply(change),
        None => IdentityRecord::created(event.identity, change).map(|created| records.push(created)),
    };
    applied.map_err(|refusal| Column("identity_events", "sequence").corrupt(event.sequence, refusal))
}
