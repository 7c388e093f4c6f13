//! Notices to operators, until they are sent.

use serde_json::json;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use crate::fixtures::one_community;

const NOW: OffsetDateTime = datetime!(2026-11-21 03:00 UTC);

#[tokio::test]
async fn notice_is_stored_and_taken_once_for_each_destination() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    let mut notices = tx.operator_notices();
    for destination in ["webhook", "sns"] {
        notices.put("a", destination, &json!({"n": 1}), NOW).await.unwrap();
        notices.put("a", destination, &json!({"n": 2}), NOW).await.unwrap();
    }
    notices
        .put("b", "webhook", &json!({"n": 3}), NOW + Duration::SECOND)
        .await
        .unwrap();
    let taken = notices.take("webhook", 1, NOW).await.unwrap();
    assert_eq!(
        (taken.len(), taken[0].id.as_str(), &taken[0].notice),
        (1, "a", &json!({"n": 1}))
    );
    let taken = notices.take("webhook", 10, NOW).await.unwrap();
    assert_eq!((taken.len(), taken[0].id.as_str()), (1, "b"));
    assert_eq!(notices.take("webhook", 10, NOW).await.unwrap(), []);
    notices.give_back("webhook", &["b".to_owned()]).await.unwrap();
    assert_eq!(notices.take("webhook", 10, NOW).await.unwrap().len(), 1);
    notices
        .delete("webhook", &["a".to_owned(), "b".to_owned()])
        .await
        .unwrap();
    assert_eq!(notices.take("sns", 10, NOW).await.unwrap().len(), 1);
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn old_and_abandoned_notices_are_deleted() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    let mut notices = tx.operator_notices();
    let later = NOW + Duration::HOUR;
    notices.put("taken", "webhook", &json!({}), later).await.unwrap();
    assert_eq!(notices.take("webhook", 10, later).await.unwrap().len(), 1);
    notices.put("old", "webhook", &json!({}), NOW).await.unwrap();
    notices.put("new", "webhook", &json!({}), later).await.unwrap();
    assert_eq!(notices.prune("webhook", NOW, later).await.unwrap(), []);
    let mut lost = notices.prune("webhook", later, later + Duration::SECOND).await.unwrap();
    lost.sort_by(|one, other| one.id.cmp(&other.id));
    let lost: Vec<_> = lost
        .iter()
        .map(|notice| (notice.id.as_str(), notice.was_taken))
        .collect();
    assert_eq!(lost, [("old", false), ("taken", true)]);
    assert_eq!(notices.take("webhook", 10, later).await.unwrap().len(), 1);
    tx.commit().await.unwrap();
}
