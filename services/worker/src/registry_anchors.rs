//! Compares the chain of identity events with its anchors outside of the database (`docs/registry.md`).

use std::collections::BTreeMap;

use arrakis_db::registry::{ChainHead, EventHash};
use arrakis_db::{Database, DbError};
use arrakis_vault::ChainAnchor;
use serde::Serialize;
use time::OffsetDateTime;

/// Anchors whose events one query reads.
const AT_ONCE: usize = 500;

/// An anchor, with the name of its object or file.
#[derive(Debug, Clone)]
pub(crate) struct NamedAnchor {
    /// Key of the object or path of the file, for messages.
    pub(crate) name: String,
    /// The anchor.
    pub(crate) anchor: ChainAnchor,
}

/// An anchor that the chain contradicts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct AnchorProblem {
    /// The first event that is known to be wrong: changed at or before this number, or missing from it on.
    pub(crate) sequence: u64,
    /// What is wrong.
    pub(crate) problem: AnchorProblemKind,
    /// The object or the file of the anchor.
    pub(crate) anchor: String,
    /// The event and the hash that the anchor names.
    pub(crate) expected: String,
    /// The event and the hash that the chain has at this number, or its last event.
    pub(crate) found: String,
}

/// Kind of an [`AnchorProblem`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AnchorProblemKind {
    /// The chain ends before the anchored event.
    TailRemoved,
    /// The chain has another event at the number of the anchor.
    Rewritten,
}

impl AnchorProblemKind {
    /// The problem as a text for log lines and for `registry verify`.
    pub(crate) const fn description(self) -> &'static str {
        match self {
            Self::TailRemoved => "events were removed from the end of the chain: an anchor names a later one",
            Self::Rewritten => "the chain was rewritten: an anchor names another hash",
        }
    }
}

/// The anchor of a head; `None` for an empty chain.
pub(crate) fn anchor_of(head: ChainHead, now: OffsetDateTime) -> Option<ChainAnchor> {
    (head.sequence > 0).then(|| ChainAnchor {
        sequence: head.sequence,
        hash: head.hash.to_string(),
        anchored: now,
    })
}

/// The first anchor, in the order of the events, that the chain contradicts.
///
/// # Errors
/// When the database is unavailable or a row is corrupt.
pub(crate) async fn compare(database: &Database, anchors: &[NamedAnchor]) -> Result<Option<AnchorProblem>, DbError> {
    let mut sorted: Vec<&NamedAnchor> = anchors.iter().collect();
    sorted.sort_by_key(|named| named.anchor.sequence);
    for part in sorted.chunks(AT_ONCE) {
        let sequences: Vec<u64> = part.iter().map(|named| named.anchor.sequence).collect();
        let mut tx = database.global().await?;
        let mut registry = tx.registry();
        let hashes = registry.event_hashes(&sequences).await?;
        let head = registry.head().await?;
        tx.commit().await?;
        if let Some(problem) = part.iter().find_map(|named| problem(named, &hashes, head)) {
            return Ok(Some(problem));
        }
    }
    Ok(None)
}

fn problem(named: &NamedAnchor, hashes: &BTreeMap<u64, EventHash>, head: ChainHead) -> Option<AnchorProblem> {
    let anchor = &named.anchor;
    let found = hashes.get(&anchor.sequence).map(ToString::to_string);
    let (sequence, problem, found) = match found {
        Some(hash) if hash == anchor.hash => return None,
        Some(hash) => (
            anchor.sequence,
            AnchorProblemKind::Rewritten,
            format!("event {}, hash {hash}", anchor.sequence),
        ),
        None => (
            // A head that names a later event than the table has is a problem of the chain itself.
            anchor.sequence.min(head.sequence.saturating_add(1)),
            AnchorProblemKind::TailRemoved,
            format!("the chain ends at event {}", head.sequence),
        ),
    };
    Some(AnchorProblem {
        sequence,
        problem,
        anchor: named.name.clone(),
        expected: format!("event {}, hash {}", anchor.sequence, anchor.hash),
        found,
    })
}

#[cfg(test)]
mod tests {
    use arrakis_db::registry::HashedFields;
    use time::macros::datetime;
    use uuid::Uuid;

    use super::*;

    const AT: OffsetDateTime = datetime!(2026-12-01 12:00 UTC);

    /// The hash of an event whose payload has this byte.
    fn hash(payload: u8) -> EventHash {
        let fields = HashedFields {
            sequence: 1,
            event_id: Uuid::nil(),
            identity: Uuid::nil().to_string().parse().unwrap(),
            event_type: "WALLET_VERIFIED",
            source: "admin",
            occurred_at: AT,
            recorded_at: AT,
            payload: &[payload],
            previous_hash: &[0; 32],
        };
        fields.hash()
    }

    fn head(sequence: u64, payload: u8) -> ChainHead {
        ChainHead {
            sequence,
            hash: hash(payload),
        }
    }

    fn named(sequence: u64, payload: u8) -> NamedAnchor {
        NamedAnchor {
            name: "anchor".to_owned(),
            anchor: anchor_of(head(sequence, payload), AT).unwrap(),
        }
    }

    #[test]
    fn removed_tail_and_rewritten_chain_are_distinguished() {
        let hashes = BTreeMap::from([(7, hash(1))]);
        assert_eq!(problem(&named(7, 1), &hashes, head(9, 2)), None);
        let rewritten = problem(&named(7, 3), &hashes, head(9, 2)).unwrap();
        assert_eq!(
            (rewritten.sequence, rewritten.problem),
            (7, AnchorProblemKind::Rewritten)
        );
        let removed = problem(&named(12, 3), &hashes, head(9, 2)).unwrap();
        assert_eq!(
            (removed.sequence, removed.problem),
            (10, AnchorProblemKind::TailRemoved)
        );
        assert!(
            removed.expected.starts_with("event 12, hash ") && removed.found.ends_with("event 9"),
            "{removed:?}"
        );
    }

    #[test]
    fn empty_chain_has_no_anchor() {
        let empty = ChainHead {
            sequence: 0,
            hash: EventHash::NONE,
        };
        assert_eq!(anchor_of(empty, AT), None);
    }
}
