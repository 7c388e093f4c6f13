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

/// An operator who sets the share to 0 while `canary drive` is between its read and its step has the last word.
#[tokio::test]
async fn share_that_was_changed_after_it_was_read_is_not_replaced() {
    let (test, database, _) = one_community().await;
    let admin = test.admin().await;
    let read = database.canary_share().await.unwrap();
    let mut tx = admin.database().global().await.unwrap();
    assert!(
        tx.replace_canary_share(&read, 10, "stilgar", "canary drive")
            .await
            .unwrap()
    );
    tx.commit().await.unwrap();
    let read = database.canary_share().await.unwrap();
    let mut tx = admin.database().global().await.unwrap();
    tx.set_canary_share(0, "chani", "it answers wrongly").await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = admin.database().global().await.unwrap();
    assert!(
        !tx.replace_canary_share(&read, 50, "stilgar", "canary drive")
            .await
            .unwrap()
    );
    tx.commit().await.unwrap();
    assert_eq!(database.canary_share().await.unwrap().percent, 0);
}

#[tokio::test]
async fn worker_cannot_change_the_share() {
    let (_test, database, _) = one_community().await;
    let mut tx = database.global().await.unwrap();
    tx.set_canary_share(100, "a worker", "by itself").await.unwrap_err();
    drop(tx);
    assert_eq!(database.canary_share().await.unwrap().percent, 0);
}
