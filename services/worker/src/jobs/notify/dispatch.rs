//! Notification events → alerts of their subscribers. Alerts and the mark that an event has them commit together, and the event is locked
//! meanwhile.

use std::collections::BTreeMap;

use arrakis_db::{NewAlert, NotificationEvent, NotificationKind, Subscription, TenantTx, UserId};
use arrakis_domain::{AlertKind, ChangeKind};
use serde_json::Value;

use crate::failure::Failure;
use crate::jobs::JobRun;

/// Events of one transaction.
const EVENTS_AT_ONCE: u32 = 500;

/// Creates the alerts of all events; returns how many.
pub(super) async fn all(run: &JobRun<'_>) -> Result<u64, Failure> {
    let mut added = 0;
    for done in 0_usize.. {
        run.progress(done, None).await?;
        let mut tx = run.services.database.tenant(run.community.id()).await?;
        let events = tx.alerts().undispatched(EVENTS_AT_ONCE).await?;
        if events.is_empty() {
            break;
        }
        added += dispatch(&mut tx, &events).await?;
        tx.commit().await?;
    }
    Ok(added)
}

async fn dispatch(tx: &mut TenantTx, events: &[NotificationEvent]) -> Result<u64, Failure> {
    let users: Vec<UserId> = events.iter().filter_map(|event| event.event.user).collect();
    let to_thresholds = events
        .iter()
        .any(|event| event.event.kind == NotificationKind::Threshold);
    let subscribers = tx.alerts().subscribers(&users, to_thresholds).await?;
    let by_user: BTreeMap<UserId, &Subscription> = subscribers.iter().map(|found| (found.user, found)).collect();
    let mut alerts = Vec::new();
    for event in events {
        let Some(kind) = alert_kind(event) else {
            continue;
        };
        match event.event.user {
            Some(user) => alerts.extend(by_user.get(&user).and_then(|subscriber| alert(subscriber, event, kind))),
            None => alerts.extend(
                subscribers
                    .iter()
                    .filter_map(|subscriber| alert(subscriber, event, kind)),
            ),
        }
    }
    let added = tx.alerts().add(&alerts).await?;
    let ids: Vec<String> = events.iter().map(|event| event.event.id.clone()).collect();
    tx.alerts().mark_dispatched(&ids).await?;
    Ok(added)
}

/// The alert of a subscriber; `None` where the kind is off, or was when the event happened.
fn alert<'a>(subscriber: &Subscription, event: &'a NotificationEvent, kind: AlertKind) -> Option<NewAlert<'a>> {
    let settings = &subscriber.settings;
    if !settings.kinds.contains(&kind) || event.created_at < subscriber.subscribed_at {
        return None;
    }
    Some(NewAlert {
        user: subscriber.user,
        event: &event.event.id,
        kind,
        due_at: subscriber.due_at(event.created_at),
    })
}

/// The kind by which members subscribe to an event; `None` for one of which no member is notified.
fn alert_kind(event: &NotificationEvent) -> Option<AlertKind> {
    let payload = &event.event.payload;
    match event.event.kind {
        NotificationKind::Tier => Some(AlertKind::Tier),
        NotificationKind::Threshold => Some(AlertKind::Threshold),
        // A holding that changes without the rank is no news.
        NotificationKind::Rank => (payload["before"]["rank"] != payload["after"]["rank"]).then_some(AlertKind::Rank),
        // A seat on the council is a rank and a tier.
        NotificationKind::Zone => crosses_entry_or_waitlist(payload).then_some(AlertKind::Waitlist),
    }
}

fn crosses_entry_or_waitlist(payload: &Value) -> bool {
    let of_waitlist = [
        ChangeKind::BecameEligible,
        ChangeKind::LostEligibility,
        ChangeKind::EnteredWaitlist,
        ChangeKind::LeftWaitlist,
    ];
    let kinds = payload["kinds"].as_array();
    let mut kinds = kinds.into_iter().flatten().filter_map(Value::as_str);
    kinds.any(|kind| of_waitlist.iter().any(|known| known.as_str() == kind))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use arrakis_db::NewNotification;
    use arrakis_domain::{AlertDelivery, AlertSettings, QuietHours};
    use serde_json::json;
    use time::OffsetDateTime;
    use time::macros::datetime;

    use super::*;

    const AT: OffsetDateTime = datetime!(2026-11-21 23:30 UTC);

    fn event(kind: NotificationKind, payload: Value) -> NotificationEvent {
        NotificationEvent {
            event: NewNotification {
                id: "snapshot:7".to_owned(),
                kind,
                user: UserId::new(7).ok(),
                payload,
            },
            created_at: AT,
        }
    }

    fn subscriber(settings: AlertSettings) -> Subscription {
        Subscription {
            user: UserId::new(7).unwrap(),
            settings,
            subscribed_at: AT,
            dm_channel: None,
            closed_at: None,
        }
    }

    #[test]
    fn events_have_the_kinds_that_members_subscribe_to() {
        let place = |rank: u32, held: &str| json!({"rank": rank, "held": held});
        for (kind, payload, wanted) in [
            (
                NotificationKind::Tier,
                json!({"before": null, "after": "usul"}),
                Some(AlertKind::Tier),
            ),
            (NotificationKind::Threshold, json!({}), Some(AlertKind::Threshold)),
            (
                NotificationKind::Rank,
                json!({"before": place(8, "1"), "after": place(7, "1")}),
                Some(AlertKind::Rank),
            ),
            (
                NotificationKind::Rank,
                json!({"before": null, "after": place(7, "1")}),
                Some(AlertKind::Rank),
            ),
            (
                NotificationKind::Rank,
                json!({"before": place(8, "1"), "after": place(8, "2")}),
                None,
            ),
            (NotificationKind::Zone, json!({"kinds": ["promoted_to_council"]}), None),
            (
                NotificationKind::Zone,
                json!({"kinds": ["added", "entered_waitlist"]}),
                Some(AlertKind::Waitlist),
            ),
        ] {
            assert_eq!(alert_kind(&event(kind, payload.clone())), wanted, "{kind:?} {payload}");
        }
    }

    #[test]
    fn alert_is_due_after_quiet_hours_and_only_where_its_kind_is_on() {
        let event = event(NotificationKind::Tier, json!({}));
        let settings = AlertSettings {
            kinds: BTreeSet::from([AlertKind::Tier]),
            delivery: AlertDelivery::AtOnce,
            quiet: QuietHours::new(22, 7),
            ..AlertSettings::default()
        };
        let subscribed = subscriber(settings.clone());
        let due = alert(&subscribed, &event, AlertKind::Tier).unwrap().due_at;
        assert_eq!(due, datetime!(2026-11-22 07:00 UTC));
        assert_eq!(alert(&subscribed, &event, AlertKind::Rank), None);
        let later = Subscription {
            subscribed_at: AT + time::Duration::SECOND,
            ..subscriber(settings)
        };
        assert_eq!(
            alert(&later, &event, AlertKind::Tier),
            None,
            "it happened before the subscription"
        );
    }
}
