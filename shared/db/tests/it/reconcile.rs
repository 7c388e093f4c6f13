//! Reports of reconciles, and changes of the rule set.

use arrakis_db::{RuleChange, RuleChangeEnd};
use serde_json::json;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::fixtures::{one_community, user};

const NOON: OffsetDateTime = datetime!(2026-11-21 12:00 UTC);

fn change(number: u128, days: i64) -> RuleChange {
    RuleChange {
        id: Uuid::from_u128(number),
        rule_set: "ranked".parse().unwrap(),
        requested_by: user(7),
        requested_at: NOON,
        effective_at: NOON + Duration::days(days),
    }
}

#[tokio::test]
async fn report_of_a_later_attempt_replaces_the_earlier_one() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    let mut reports = tx.reconcile_reports();
    assert_eq!(reports.latest().await.unwrap(), None);
    reports.put("a", NOON, &json!({"members": 1})).await.unwrap();
    reports.put("a", NOON, &json!({"members": 2})).await.unwrap();
    reports
        .put("b", NOON + Duration::hours(6), &json!({"members": 3}))
        .await
        .unwrap();
    assert_eq!(reports.get("a").await.unwrap().unwrap().report, json!({"members": 2}));
    assert_eq!(reports.latest().await.unwrap().unwrap().job, "b");
    assert_eq!(reports.prune(NOON + Duration::hours(1)).await.unwrap(), 1);
    assert_eq!(reports.get("a").await.unwrap(), None);
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn one_change_is_pending_and_ends_once() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    let mut changes = tx.rule_changes();
    assert_eq!(changes.pending().await.unwrap(), None);
    changes.announce(&change(1, 7)).await.unwrap();
    // A second change replaces the first.
    changes.announce(&change(2, 0)).await.unwrap();
    assert_eq!(changes.pending().await.unwrap(), Some(change(2, 0)));
    assert!(!changes.end(Uuid::from_u128(1), RuleChangeEnd::Applied).await.unwrap());
    assert!(changes.end(Uuid::from_u128(2), RuleChangeEnd::Cancelled).await.unwrap());
    assert!(!changes.end(Uuid::from_u128(2), RuleChangeEnd::Applied).await.unwrap());
    assert_eq!(changes.pending().await.unwrap(), None);
    tx.commit().await.unwrap();
}
