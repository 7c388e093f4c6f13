//! Verifies the chain and the tables.
//!
//! 1. Walks the events in the order of their sequence numbers: no number is missing, each event's previous hash is the hash
//!    of the event before it, its hash is that of its fields, and its payload is canonical.
//! 2. The head is the last event.
//! 3. The events of each identity, replayed, give what the tables hold.
//!
//! One snapshot of the database serves all three, so appends may continue. Memory stays flat: events and identities are read
//! in pages. Stops at the first problem.

use serde::Serialize;
use time::macros::datetime;

use super::Registry;
use super::event::EventRow;
use super::hash::EventHash;
use super::history::ChainHead;
use super::identity::{IdentityId, IdentityRecord};
use crate::{Database, DbError, named_query::named};

/// Identities that are compared at a time.
const PAGE: u32 = 500;
/// Later than every event: PostgreSQL and this build read years of four digits.
const END_OF_TIME: time::OffsetDateTime = datetime!(9999-12-31 23:59:59 UTC);

/// Result of [`Database::verify_registry`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Events that were checked.
    pub events: u64,
    /// Identities that were compared with their events.
    pub identities: u64,
    /// The head of the chain as stored.
    pub head: ChainHead,
    /// The first problem; `None` when everything is as it must be.
    pub problem: Option<Problem>,
}

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Sequence number of the first bad event; of a table that differs, the last event of the identity.
    pub sequence: u64,
    /// Kind of the problem.
    pub kind: ProblemKind,
    /// The identity concerned, if there is one.
    pub identity: Option<IdentityId>,
    /// The expected value, as text for people.
    pub expected: String,
    /// The value that was found, as text for people.
    pub found: String,
}

/// Kind of a [`Problem`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// An event is missing.
    Missing,
    /// The previous hash is not the hash of the event before it.
    PreviousHash,
    /// The hash is not that of the event's fields.
    Hash,
    /// The payload cannot be decoded, or its bytes are not the canonical ones.
    Payload,
    /// The head is not the last event.
    Head,
    /// An event does not follow from the events before it.
    Replay,
    /// The tables hold something else than the events give.
    Tables,
}

impl ProblemKind {
    /// What is wrong, for an operator.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Missing => "the event is missing",
            Self::PreviousHash => "the previous hash is not the hash of the event before it",
            Self::Hash => "the hash is not that of the event's fields",
            Self::Payload => "the payload is not a canonical payload of its type",
            Self::Head => "the head of the chain is not the last event",
            Self::Replay => "the event does not follow from the events before it",
            Self::Tables => "the tables differ from what the events give",
        }
    }
}

impl Database {
    /// Verifies the chain of identity events, its head, and the tables. Reads only; any login may do it.
    ///
    /// # Errors
    /// When the database is unavailable. What is wrong with the data is in the report.
    pub async fn verify_registry(&self) -> Result<VerifyReport, DbError> {
        let mut tx = self.global().await?;
        named!(
            "identity_chain.snapshot",
            sqlx::raw_sql("set transaction isolation level repeatable read, read only").execute(&mut *tx.transaction)
        )?;
        let mut registry = tx.registry();
        let head = registry.head().await?;
        let mut report = VerifyReport {
            events: 0,
            identities: 0,
            head,
            problem: None,
        };
        report.problem = registry.check_chain(&mut report.events, head).await?;
        if report.problem.is_none() {
            report.problem = registry.check_tables(&mut report.identities).await?;
        }
        tx.commit().await?;
        Ok(report)
    }
}

impl Registry<'_> {
    async fn check_chain(&mut self, events: &mut u64, head: ChainHead) -> Result<Option<Problem>, DbError> {
        let mut last = ChainHead {
            sequence: 0,
            hash: EventHash::NONE,
        };
        loop {
            let rows = self.events_after(last.sequence.cast_signed()).await?;
            if rows.is_empty() {
                return Ok(head_problem(last, head));
            }
            for row in rows {
                match check_event(&row, last) {
                    Ok(checked) => last = checked,
                    Err(problem) => return Ok(Some(*problem)),
                }
                *events += 1;
            }
        }
    }

    async fn check_tables(&mut self, identities: &mut u64) -> Result<Option<Problem>, DbError> {
        let mut after = None;
        loop {
            let ids = self.identity_ids(after, PAGE).await?;
            if ids.is_empty() {
                return Ok(None);
            }
            if let Some(problem) = self.check_page(&ids).await? {
                return Ok(Some(problem));
            }
            *identities += ids.len() as u64;
            after = ids.last().copied();
        }
    }

    /// Compares these identities, whose ids are in order.
    async fn check_page(&mut self, ids: &[IdentityId]) -> Result<Option<Problem>, DbError> {
        let replayed = match self.replayed_all(ids, END_OF_TIME).await {
            Ok(replayed) => replayed,
            Err(error) => return replay_problem(error).map(Some),
        };
        let stored = match self.by_ids(ids).await {
            Ok(stored) => stored,
            Err(error @ DbError::Corrupt { .. }) => return Ok(Some(corrupt_table(&error))),
            Err(error) => return Err(error),
        };
        if replayed == stored {
            return Ok(None);
        }
        for id in ids {
            let of = |records: &[IdentityRecord]| records.iter().find(|record| record.identity.id == *id).cloned();
            let (expected, found) = (of(&replayed), of(&stored));
            if expected != found {
                let last = self.history(*id, None, 1).await?;
                return Ok(Some(Problem {
                    sequence: last.first().map_or(0, |event| event.sequence),
                    kind: ProblemKind::Tables,
                    identity: Some(*id),
                    expected: shown(expected.as_ref()),
                    found: shown(found.as_ref()),
                }));
            }
        }
        Ok(None)
    }
}

/// The problem that an event does not follow; its sequence number is the error's value.
fn replay_problem(error: DbError) -> Result<Problem, DbError> {
    let DbError::Corrupt { value, reason, .. } = error else {
        return Err(error);
    };
    Ok(Problem {
        sequence: value.parse().unwrap_or_default(),
        kind: ProblemKind::Replay,
        identity: None,
        expected: "an event that follows".to_owned(),
        found: reason,
    })
}

fn corrupt_table(error: &DbError) -> Problem {
    Problem {
        sequence: 0,
        kind: ProblemKind::Tables,
        identity: None,
        expected: "values of the domain".to_owned(),
        found: error.to_string(),
    }
}

fn shown(record: Option<&IdentityRecord>) -> String {
    record
        .and_then(|record| serde_json::to_string(record).ok())
        .unwrap_or_else(|| "no identity".to_owned())
}

/// Checks an event against the one before it; returns it as the last one.
fn check_event(row: &EventRow, last: ChainHead) -> Result<ChainHead, Box<Problem>> {
    let expected_sequence = last.sequence + 1;
    let problem = |kind, expected: String, found: String| {
        Box::new(Problem {
            sequence: expected_sequence,
            kind,
            identity: Some(IdentityId::from_uuid(row.identity_id)),
            expected,
            found,
        })
    };
    if u64::try_from(row.sequence) != Ok(expected_sequence) {
        let (expected, found) = (format!("event {expected_sequence}"), format!("event {}", row.sequence));
        return Err(problem(ProblemKind::Missing, expected, found));
    }
    if row.previous_hash != last.hash.as_bytes() {
        let (expected, found) = (last.hash.to_string(), hex::encode(&row.previous_hash));
        return Err(problem(ProblemKind::PreviousHash, expected, found));
    }
    let computed = row.computed_hash();
    if row.hash != computed.as_bytes() {
        return Err(problem(ProblemKind::Hash, computed.to_string(), hex::encode(&row.hash)));
    }
    let stored = || String::from_utf8_lossy(&row.payload).into_owned();
    match row.decoded_payload() {
        Err(why) => Err(problem(ProblemKind::Payload, why.to_string(), stored())),
        Ok(payload) if payload.encode() != row.payload => {
            let canonical = String::from_utf8_lossy(&payload.encode()).into_owned();
            Err(problem(ProblemKind::Payload, canonical, stored()))
        }
        Ok(_) => Ok(ChainHead {
            sequence: expected_sequence,
            hash: computed,
        }),
    }
}

fn head_problem(last: ChainHead, head: ChainHead) -> Option<Problem> {
    let shown = |head: ChainHead| format!("event {}, hash {}", head.sequence, head.hash);
    (last != head).then(|| Problem {
        // The first event that one of the two lacks.
        sequence: last.sequence.min(head.sequence) + u64::from(last.sequence != head.sequence),
        kind: ProblemKind::Head,
        identity: None,
        expected: shown(head),
        found: shown(last),
    })
}
