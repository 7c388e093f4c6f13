//! Subscriptions, alerts and their messages.

use std::collections::BTreeSet;

use arrakis_db::{AlertOutcome, Database, NewAlert, NewNotification, NotificationKind, TenantTx, UserId};
use arrakis_domain::{AlertDelivery, AlertKind, AlertSettings, QuietHours};
use serde_json::json;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::fixtures::{one_community, user};

fn settings(kinds: &[AlertKind]) -> AlertSettings {
    AlertSettings {
        kinds: kinds.iter().copied().collect(),
        ..AlertSettings::default()
    }
}

/// Members 1 to `members`.
async fn join(tx: &mut TenantTx, members: u64) {
    let now = OffsetDateTime::now_utc();
    for id in 1..=members {
        tx.profiles()
            .join(user(id), &format!("Fremen {id}"), now)
            .await
            .unwrap();
    }
}

fn of_member(id: &str, member: u64) -> NewNotification {
    NewNotification {
        id: id.to_owned(),
        kind: NotificationKind::Rank,
        user: Some(user(member)),
        payload: json!({"before": null, "after": {"rank": 7, "held": "1"}}),
    }
}

/// Adds events of member 1 as alerts that are due at these offsets from now, in seconds.
async fn add_alerts(tx: &mut TenantTx, events: &[(&str, i64)]) {
    let now = OffsetDateTime::now_utc();
    for (id, due) in events {
        tx.notifications().add(&[of_member(id, 1)]).await.unwrap();
        let alert = NewAlert {
            user: user(1),
            event: id,
            kind: AlertKind::Rank,
            due_at: now + Duration::seconds(*due),
        };
        assert_eq!(tx.alerts().add(std::slice::from_ref(&alert)).await.unwrap(), 1);
        assert_eq!(tx.alerts().add(&[alert]).await.unwrap(), 0, "one alert for an event");
    }
    let ids: Vec<String> = events.iter().map(|(id, _)| (*id).to_owned()).collect();
    tx.alerts().mark_dispatched(&ids).await.unwrap();
}

async fn outcomes(tx: &mut TenantTx, member: u64) -> Vec<Option<AlertOutcome>> {
    let found = tx.alerts().outcomes(user(member)).await.unwrap();
    found.into_iter().map(|(_, outcome)| outcome).collect()
}

#[tokio::test]
async fn settings_are_stored_and_read() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    join(&mut tx, 1).await;
    assert_eq!(tx.alerts().subscription(user(1)).await.unwrap(), None);
    let stored = AlertSettings {
        kinds: BTreeSet::from([AlertKind::Tier, AlertKind::Threshold]),
        delivery: AlertDelivery::Digest,
        quiet: QuietHours::new(22, 7),
        zone: "America/St_Johns".parse().unwrap(),
        digest_hour: 9,
    };
    tx.alerts().subscribe(user(1), &stored).await.unwrap();
    let found = tx.alerts().subscription(user(1)).await.unwrap().unwrap();
    assert_eq!(
        (found.settings, found.dm_channel, found.closed_at),
        (stored, None, None)
    );
    tx.alerts().set_channel(user(1), Some(55)).await.unwrap();
    tx.alerts().subscribe(user(1), &AlertSettings::default()).await.unwrap();
    let found = tx.alerts().subscription(user(1)).await.unwrap().unwrap();
    assert_eq!((found.settings, found.dm_channel), (AlertSettings::default(), Some(55)));
}

#[tokio::test]
async fn member_without_a_profile_cannot_subscribe() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    let error = tx
        .alerts()
        .subscribe(user(1), &settings(&[AlertKind::Rank]))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("subscriptions"), "{error}");
}

#[tokio::test]
async fn events_are_locked_while_their_alerts_are_created() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    join(&mut tx, 1).await;
    tx.notifications()
        .add(&[of_member("a", 1), of_member("b", 1)])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let mut one = database.tenant(community).await.unwrap();
    let events = one.alerts().undispatched(1).await.unwrap();
    assert_eq!(events.len(), 1);
    let mut other = database.tenant(community).await.unwrap();
    let left = other.alerts().undispatched(10).await.unwrap();
    assert_eq!(left.len(), 1, "the locked one is left out");
    assert_ne!(left[0].event.id, events[0].event.id);
    one.alerts()
        .mark_dispatched(&[events[0].event.id.clone()])
        .await
        .unwrap();
    one.commit().await.unwrap();
    // A dropped transaction would release its locks later.
    other.commit().await.unwrap();
    let mut tx = database.tenant(community).await.unwrap();
    assert_eq!(tx.alerts().undispatched(10).await.unwrap(), left);
}

#[tokio::test]
async fn subscribers_are_present_members_who_accept_messages() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    join(&mut tx, 5).await;
    for id in 1..=4 {
        tx.alerts()
            .subscribe(user(id), &settings(&[AlertKind::Rank]))
            .await
            .unwrap();
    }
    tx.alerts()
        .subscribe(user(5), &settings(&[AlertKind::Threshold]))
        .await
        .unwrap();
    tx.alerts().close(user(2)).await.unwrap();
    tx.profiles()
        .leave(user(3), OffsetDateTime::now_utc() + Duration::SECOND)
        .await
        .unwrap();
    let found = async |tx: &mut TenantTx, to_thresholds| -> Vec<u64> {
        let asked = [user(1), user(2), user(3)];
        let found = tx.alerts().subscribers(&asked, to_thresholds).await.unwrap();
        found.iter().map(|subscriber| subscriber.user.get()).collect()
    };
    assert_eq!(found(&mut tx, false).await, [1]);
    assert_eq!(found(&mut tx, true).await, [1, 5]);
    // The next use of the command opens the subscription again.
    tx.alerts()
        .subscribe(user(2), &settings(&[AlertKind::Rank]))
        .await
        .unwrap();
    assert_eq!(found(&mut tx, false).await, [1, 2]);
}

#[tokio::test]
async fn due_alerts_of_a_member_are_one_message_that_ends_once() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    join(&mut tx, 1).await;
    tx.alerts()
        .subscribe(user(1), &settings(&[AlertKind::Rank]))
        .await
        .unwrap();
    add_alerts(&mut tx, &[("a", -20), ("b", -10), ("later", 600)]).await;
    let now = OffsetDateTime::now_utc();
    let id = Uuid::now_v7();
    assert_eq!(tx.alerts().unfinished(now).await.unwrap(), None);
    assert!(tx.alerts().are_due(now).await.unwrap());
    let message = tx.alerts().compose(id, now).await.unwrap().unwrap();
    assert_eq!((message.id, message.user), (id, user(1)));
    assert_eq!(
        tx.alerts().compose(Uuid::now_v7(), now).await.unwrap(),
        None,
        "none is in two messages"
    );
    assert_eq!(tx.alerts().unfinished(now).await.unwrap(), Some(message));
    assert_eq!(tx.alerts().events_of(id).await.unwrap().len(), 2);
    assert!(tx.alerts().are_due(now).await.unwrap(), "the message has not ended");
    tx.alerts().finish(id, AlertOutcome::Sent).await.unwrap();
    tx.alerts().finish(id, AlertOutcome::Refused).await.unwrap();
    let sent = Some(AlertOutcome::Sent);
    assert_eq!(outcomes(&mut tx, 1).await, [sent, sent, None]);
    assert!(!tx.alerts().are_due(now).await.unwrap());
    let later = now + Duration::hours(1);
    assert!(tx.alerts().are_due(later).await.unwrap());
}

#[tokio::test]
async fn two_workers_compose_one_message() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    join(&mut tx, 1).await;
    tx.alerts()
        .subscribe(user(1), &settings(&[AlertKind::Rank]))
        .await
        .unwrap();
    add_alerts(&mut tx, &[("a", -20), ("b", -10)]).await;
    tx.commit().await.unwrap();
    let compose = async |database: &Database| {
        let mut tx = database.tenant(community).await.unwrap();
        let composed = tx
            .alerts()
            .compose(Uuid::now_v7(), OffsetDateTime::now_utc())
            .await
            .unwrap();
        tx.commit().await.unwrap();
        composed
    };
    let (one, other) = tokio::join!(compose(&database), compose(&database));
    assert!(one.is_some() != other.is_some(), "{one:?} {other:?}");
}

#[tokio::test]
async fn switched_off_kind_drops_alerts_that_no_message_contains() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    join(&mut tx, 1).await;
    let both = settings(&[AlertKind::Rank, AlertKind::Tier]);
    tx.alerts().subscribe(user(1), &both).await.unwrap();
    add_alerts(&mut tx, &[("a", -20)]).await;
    let now = OffsetDateTime::now_utc();
    tx.alerts().compose(Uuid::now_v7(), now).await.unwrap().unwrap();
    add_alerts(&mut tx, &[("b", -10)]).await;
    let before = tx.alerts().subscription(user(1)).await.unwrap().unwrap().subscribed_at;
    tx.alerts()
        .subscribe(user(1), &settings(&[AlertKind::Tier]))
        .await
        .unwrap();
    let mut found = outcomes(&mut tx, 1).await;
    found.sort_by_key(Option::is_some);
    assert_eq!(found, [None, Some(AlertOutcome::Dropped)]);
    let after = tx.alerts().subscription(user(1)).await.unwrap().unwrap().subscribed_at;
    assert_eq!(before, after, "something was on all the time");
}

#[tokio::test]
async fn closed_member_has_no_alert_that_is_due() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    join(&mut tx, 1).await;
    tx.alerts()
        .subscribe(user(1), &settings(&[AlertKind::Rank]))
        .await
        .unwrap();
    add_alerts(&mut tx, &[("a", -20), ("b", 600)]).await;
    tx.alerts().close(user(1)).await.unwrap();
    let refused = Some(AlertOutcome::Refused);
    assert_eq!(outcomes(&mut tx, 1).await, [refused, refused]);
    assert!(
        !tx.alerts()
            .are_due(OffsetDateTime::now_utc() + Duration::hours(1))
            .await
            .unwrap()
    );
    let closed = tx.alerts().subscription(user(1)).await.unwrap().unwrap();
    assert!(closed.closed_at.is_some());
}

#[tokio::test]
async fn job_that_waits_is_the_only_one() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    join(&mut tx, 1).await;
    tx.notifications().add(&[of_member("a", 1)]).await.unwrap();
    let now = OffsetDateTime::now_utc();
    assert!(tx.alerts().are_due(now).await.unwrap());
    let job = arrakis_db::NewJob {
        id: "notify:1",
        kind: "notify",
        payload: json!({}),
        due_at: now,
    };
    let post = arrakis_db::NewJob {
        id: "notify:digest:1",
        payload: json!({"post": "digest"}),
        ..job.clone()
    };
    assert!(tx.jobs().enqueue(&post).await.unwrap());
    assert!(tx.alerts().are_due(now).await.unwrap(), "a post does not delay alerts");
    assert!(tx.jobs().enqueue(&job).await.unwrap());
    assert!(!tx.alerts().are_due(now).await.unwrap());
}

#[tokio::test]
async fn postponed_message_keeps_its_alerts_and_one_that_is_taken_apart_loses_them() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    join(&mut tx, 1).await;
    tx.alerts()
        .subscribe(user(1), &settings(&[AlertKind::Rank]))
        .await
        .unwrap();
    add_alerts(&mut tx, &[("a", -20)]).await;
    let now = OffsetDateTime::now_utc();
    let (id, other, until) = (Uuid::now_v7(), Uuid::now_v7(), now + Duration::minutes(5));
    let message = tx.alerts().compose(id, now).await.unwrap();
    tx.alerts().postpone(id, until).await.unwrap();
    assert!(!tx.alerts().are_due(now).await.unwrap());
    assert_eq!(tx.alerts().unfinished(now).await.unwrap(), None);
    assert_eq!(tx.alerts().compose(other, until).await.unwrap(), None);
    assert_eq!(tx.alerts().unfinished(until).await.unwrap(), message);

    tx.alerts().take_apart(id, until).await.unwrap();
    assert_eq!(tx.alerts().unfinished(until).await.unwrap(), None);
    assert_eq!(tx.alerts().compose(other, now).await.unwrap(), None, "not due");
    assert_eq!(tx.alerts().compose(other, until).await.unwrap().unwrap().id, other);

    let later = until + Duration::minutes(5);
    tx.alerts().postpone_all(later).await.unwrap();
    assert_eq!(tx.alerts().unfinished(until).await.unwrap(), None);
    tx.alerts().postpone_all(now).await.unwrap();
    assert_eq!(tx.alerts().unfinished(until).await.unwrap(), None, "never earlier");
    assert_eq!(tx.alerts().unfinished(later).await.unwrap().unwrap().id, other);
}

#[tokio::test]
async fn waiting_alerts_are_due_by_the_new_settings() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    join(&mut tx, 1).await;
    let at_once = settings(&[AlertKind::Rank]);
    tx.alerts().subscribe(user(1), &at_once).await.unwrap();
    add_alerts(&mut tx, &[("a", -20)]).await;
    let now = OffsetDateTime::now_utc() + Duration::SECOND;
    let digest = AlertSettings {
        delivery: AlertDelivery::Digest,
        digest_hour: (now + Duration::hours(3)).hour(),
        ..at_once.clone()
    };
    tx.alerts().subscribe(user(1), &digest).await.unwrap();
    assert!(!tx.alerts().are_due(now).await.unwrap());
    assert!(tx.alerts().are_due(now + Duration::hours(4)).await.unwrap());
    tx.alerts().subscribe(user(1), &at_once).await.unwrap();
    assert!(tx.alerts().are_due(now).await.unwrap());
}

/// The user of a row is the member's own id.
#[tokio::test]
async fn alerts_of_another_member_are_not_shown() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    join(&mut tx, 2).await;
    for id in [1, 2] {
        tx.alerts()
            .subscribe(user(id), &settings(&[AlertKind::Rank]))
            .await
            .unwrap();
    }
    add_alerts(&mut tx, &[("a", -20)]).await;
    let other: UserId = user(2);
    assert!(tx.alerts().outcomes(other).await.unwrap().is_empty());
}
