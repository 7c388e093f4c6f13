//! The events of a message → what changed from the first to the last of them.

use arrakis_db::AlertEvent;
use arrakis_domain::{AlertKind, Balance, EntryThreshold, Place, Rank, TierId};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::failure::Failure;
use crate::render::alert::{AlertChanges, Change};

/// A place as the sync writes it.
#[derive(Debug, Clone, Copy, Deserialize)]
struct StoredPlace {
    rank: Rank,
    held: Balance,
}

/// A threshold as the sync writes it: one of both.
#[derive(Debug, Clone, Copy, Deserialize)]
struct StoredThreshold {
    places_free: Option<u32>,
    held: Option<Balance>,
}

/// What changed, by kind. The events are in order of their time.
pub(super) fn changes(events: &[AlertEvent]) -> Result<AlertChanges, Failure> {
    let mut changes = AlertChanges::default();
    for event in events {
        let payload = &event.payload;
        match event.kind {
            AlertKind::Rank => extend(&mut changes.rank, payload, place)?,
            AlertKind::Waitlist => extend(&mut changes.waitlist, payload, place)?,
            AlertKind::Tier => extend(&mut changes.tier, payload, tier)?,
            AlertKind::Threshold => extend(&mut changes.threshold, payload, threshold)?,
        }
    }
    Ok(changes)
}

/// Adds a change behind those before it.
fn extend<S: DeserializeOwned, T>(
    change: &mut Option<Change<T>>,
    payload: &Value,
    read: impl Fn(S) -> T,
) -> Result<(), Failure> {
    let side = |name: &str| {
        let stored = S::deserialize(&payload[name]);
        stored.map_err(|error| Failure::permanent(format!("invalid notification event: {name}: {error}")))
    };
    let after = read(side("after")?);
    match change {
        Some(change) => {
            change.after = after;
            change.count += 1;
        }
        None => {
            *change = Some(Change {
                before: read(side("before")?),
                after,
                count: 1,
            });
        }
    }
    Ok(())
}

fn place(stored: Option<StoredPlace>) -> Option<Place> {
    stored.map(|StoredPlace { rank, held }| Place { rank, held })
}

fn tier(stored: Option<String>) -> Option<TierId> {
    stored.and_then(|id| TierId::new(id).ok())
}

fn threshold(stored: StoredThreshold) -> EntryThreshold {
    match (stored.held, stored.places_free) {
        (Some(balance), _) => EntryThreshold::Holding { balance },
        (None, free) => EntryThreshold::PlacesFree {
            free: free.unwrap_or_default(),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::OffsetDateTime;

    use super::*;

    fn event(kind: AlertKind, payload: Value) -> AlertEvent {
        AlertEvent {
            kind,
            payload,
            at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn changes_of_a_kind_are_one_from_the_first_to_the_last() {
        let place = |rank: u32| json!({"rank": rank, "held": "1000000000000000000"});
        let events = [
            event(AlertKind::Rank, json!({"before": place(9), "after": place(7)})),
            event(AlertKind::Tier, json!({"before": "usul", "after": null})),
            event(AlertKind::Rank, json!({"before": place(7), "after": null})),
            event(
                AlertKind::Threshold,
                json!({"before": {"places_free": 3}, "after": {"held": "5000000000000000000"}}),
            ),
        ];
        let changes = changes(&events).unwrap();
        let rank = changes.rank.unwrap();
        assert_eq!(rank.before.unwrap().rank.get(), 9);
        assert_eq!((rank.after, rank.count), (None, 2));
        let tier = changes.tier.unwrap();
        assert_eq!((tier.before.unwrap().as_str(), tier.after), ("usul", None));
        let threshold = changes.threshold.unwrap();
        assert_eq!(threshold.before, EntryThreshold::PlacesFree { free: 3 });
        let balance = Balance::from_tokens(5);
        assert_eq!(threshold.after, EntryThreshold::Holding { balance });
        assert_eq!(changes.waitlist, None);
    }

    #[test]
    fn invalid_payload_is_a_permanent_failure() {
        let failure = changes(&[event(AlertKind::Rank, json!({"after": {"rank": 0}}))]).unwrap_err();
        assert_eq!(failure.class(), "permanent");
    }
}
