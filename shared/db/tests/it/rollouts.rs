//! The share of servers that the canary workers serve.

use crate::fixtures::one_community;

#[tokio::test]
async fn share_is_set_by_operators_and_reported_on_by_workers() {
    let (test, database, _) = one_community().await;
    let share = database.canary_share().await.unwrap();
    assert_eq!((share.percent, share.is_served), (0, false));
    database.report_canary().await.unwrap();
    let mut tx = test.admin().await.database().global().await.unwrap();
    tx.set_canary_share(50, "stilgar", "a new build").await.unwrap();
    tx.commit().await.unwrap();
    let share = database.canary_share().await.unwrap();
    assert_eq!((share.percent, share.is_served), (50, true));
    assert_eq!(
        (share.changed_by.as_str(), share.reason.as_str()),
        ("stilgar", "a new build")
    );
    let mut tx = test.admin().await.database().global().await.unwrap();
    tx.set_canary_share(101, "stilgar", "too many").await.unwrap_err();
}

#[tokio::test]
async fn worker_cannot_change_the_share() {
    let (_test, database, _) = one_community().await;
    let mut tx = database.global().await.unwrap();
    tx.set_canary_share(100, "a worker", "by itself").await.unwrap_err();
    drop(tx);
    assert_eq!(database.canary_share().await.unwrap().percent, 0);
}
