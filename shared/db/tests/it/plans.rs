//! Changes of a community's plan.

use std::sync::Arc;

use arrakis_db::{Actor, PlanChange, THEME_GRACE};
use arrakis_domain::{Plan, Theme};
use arrakis_themes::Registry;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use crate::fixtures::one_community;

const NOON: OffsetDateTime = datetime!(2026-11-21 12:00 UTC);

/// A theme of the plan premium.
fn sietch() -> Arc<Theme> {
    Registry::load(None).unwrap().theme("sietch").unwrap().clone()
}

fn to(plan: Plan, theme: &Theme, grace: Option<Duration>, now: OffsetDateTime) -> PlanChange<'_> {
    PlanChange {
        plan,
        theme,
        grace,
        actor: Actor::Operator("stilgar".to_owned()),
        reason: Some("the invoice is not paid"),
        now,
    }
}

#[tokio::test]
async fn theme_that_the_plan_does_not_include_gets_one_grace_period() {
    let (_test, database, community) = one_community().await;
    let theme = sietch();
    let mut tx = database.tenant(community).await.unwrap();
    let first = tx.change_plan(to(Plan::Free, &theme, None, NOON)).await.unwrap();
    assert_eq!(
        (first.before, first.theme_until),
        (Plan::Premium, Some(NOON + THEME_GRACE))
    );
    // Repeated, it does not extend the time; an operator may.
    let later = NOON + Duration::days(3);
    let second = tx.change_plan(to(Plan::Free, &theme, None, later)).await.unwrap();
    assert_eq!(
        (second.before, second.theme_until),
        (Plan::Free, Some(NOON + THEME_GRACE))
    );
    let day = Some(Duration::days(1));
    let third = tx.change_plan(to(Plan::Free, &theme, day, later)).await.unwrap();
    assert_eq!(third.theme_until, Some(later + Duration::days(1)));
    let back = tx.change_plan(to(Plan::Premium, &theme, None, later)).await.unwrap();
    assert_eq!((back.before, back.theme_until), (Plan::Free, None));
    let record = tx.communities().get().await.unwrap().unwrap();
    assert_eq!((record.plan, record.theme_grace_until), (Plan::Premium, None));
    let entries = tx.audit_entries(10).await.unwrap();
    assert_eq!(entries.len(), 4);
    assert!(entries.iter().all(|entry| entry.action == "community.plan"));
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn plan_of_a_missing_community_is_an_error() {
    let (_test, database, _) = one_community().await;
    let theme = sietch();
    let mut tx = database.tenant(arrakis_db::CommunityId::new()).await.unwrap();
    tx.change_plan(to(Plan::Free, &theme, None, NOON)).await.unwrap_err();
}
