//! Limits of backups, restores and snapshots on request.

use arrakis_db::{BackupUseOutcome, CommunityId, Database, NewBackupUse};
use arrakis_domain::{BackupUse, Plan};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::fixtures::one_community;

const NOON: OffsetDateTime = datetime!(2026-11-21 12:00 UTC);

async fn use_once(
    database: &Database,
    community: CommunityId,
    kind: BackupUse,
    id: u128,
    now: OffsetDateTime,
) -> Option<BackupUseOutcome> {
    let new = NewBackupUse {
        kind,
        id: Uuid::from_u128(id),
        by: "stilgar",
    };
    let mut tx = database.tenant(community).await.unwrap();
    let outcome = tx.backup_usage().count(&new, now).await.unwrap();
    tx.commit().await.unwrap();
    outcome
}

async fn set_plan(database: &Database, community: CommunityId, plan: Plan) {
    let mut tx = database.tenant(community).await.unwrap();
    tx.communities()
        .set_plan(plan, Plan::Premium, Some(NOON + Duration::days(14)))
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

fn left(left: u32) -> Option<BackupUseOutcome> {
    Some(BackupUseOutcome::Counted { left: Some(left) })
}

fn until(frees_at: OffsetDateTime) -> Option<BackupUseOutcome> {
    Some(BackupUseOutcome::Exhausted { frees_at })
}

#[tokio::test]
async fn free_plan_is_refused_beyond_its_limit_until_the_oldest_use_is_over() {
    let (_test, database, community) = one_community().await;
    set_plan(&database, community, Plan::Free).await;
    let at = |hours| NOON + Duration::hours(hours);
    let restore = async |id, hours| use_once(&database, community, BackupUse::Restore, id, at(hours)).await;
    assert_eq!(restore(1, 0).await, left(2));
    assert_eq!(restore(2, 1).await, left(1));
    // A repeated request counts once.
    assert_eq!(restore(2, 2).await, left(1));
    assert_eq!(restore(3, 3).await, left(0));
    assert_eq!(restore(3, 3).await, left(0));
    assert_eq!(restore(4, 4).await, until(at(24)));
    // Other kinds have limits of their own.
    assert_eq!(
        use_once(&database, community, BackupUse::Backup, 1, at(4)).await,
        left(0)
    );
    assert_eq!(restore(4, 24).await, left(0));
    assert_eq!(restore(5, 24).await, until(at(25)));
    let mut tx = database.tenant(community).await.unwrap();
    let states = tx.backup_usage().states(Plan::Free, at(24)).await.unwrap();
    let of_restore = states.iter().find(|state| state.kind == BackupUse::Restore).unwrap();
    assert_eq!((of_restore.used, of_restore.frees_at), (3, Some(at(25))));
    let mut usage = tx.backup_usage();
    let fourth = Uuid::from_u128(4);
    assert!(
        !usage.give_back(BackupUse::Restore, fourth, at(24)).await.unwrap(),
        "too old"
    );
    assert!(usage.give_back(BackupUse::Restore, fourth, at(23)).await.unwrap());
    assert!(!usage.give_back(BackupUse::Restore, fourth, at(23)).await.unwrap());
    assert_eq!(usage.prune(at(2)).await.unwrap(), 2);
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn repeated_id_counts_again_after_the_time_of_the_limit() {
    let (_test, database, community) = one_community().await;
    set_plan(&database, community, Plan::Free).await;
    let at = |hours| NOON + Duration::hours(hours);
    let backup = async |id, hours| use_once(&database, community, BackupUse::Backup, id, at(hours)).await;
    assert_eq!(backup(1, 0).await, left(0));
    assert_eq!(backup(1, 24).await, left(0));
    assert_eq!(backup(2, 25).await, until(at(48)));
    // The same, while another use has reached the limit.
    assert_eq!(backup(2, 48).await, left(0));
    assert_eq!(backup(1, 49).await, until(at(72)));
}

#[tokio::test]
async fn premium_plan_has_no_limit_and_a_missing_community_no_use() {
    let (_test, database, community) = one_community().await;
    for id in 0..20 {
        let outcome = use_once(&database, community, BackupUse::Snapshot, id, NOON).await;
        assert_eq!(outcome, Some(BackupUseOutcome::Counted { left: None }));
    }
    assert_eq!(
        use_once(&database, CommunityId::new(), BackupUse::Backup, 1, NOON).await,
        None
    );
}

#[tokio::test]
async fn concurrent_requests_take_the_last_use_once() {
    let (_test, database, community) = one_community().await;
    set_plan(&database, community, Plan::Free).await;
    let backup = async |id| use_once(&database, community, BackupUse::Backup, id, NOON).await;
    let (first, second, third) = tokio::join!(backup(1), backup(2), backup(3));
    let outcomes = [first, second, third];
    let counted = outcomes.iter().filter(|outcome| **outcome == left(0)).count();
    assert_eq!(counted, 1, "{outcomes:?}");
    assert!(outcomes.contains(&until(NOON + Duration::days(1))), "{outcomes:?}");
}
