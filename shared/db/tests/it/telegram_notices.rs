//! Notices for Telegram accounts.

use arrakis_db::NewTelegramNotice;
use arrakis_db::registry::TelegramUserId;
use arrakis_test_support::TestDatabase;
use serde_json::json;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

const START: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

fn second(second: i64) -> OffsetDateTime {
    START + Duration::seconds(second)
}

fn notice(number: u128, at: i64, until: i64) -> NewTelegramNotice {
    NewTelegramNotice {
        id: Uuid::from_u128(number),
        user: TelegramUserId::new(42).unwrap(),
        payload: json!({"kind": "separated"}),
        created_at: second(at),
        expires_at: second(until),
    }
}

#[tokio::test]
async fn notice_is_taken_by_one_process_until_its_lease_ends() {
    let test = TestDatabase::create().await;
    let (one, other) = (test.database().await, test.database().await);
    let mut tx = one.global().await.unwrap();
    let mut notices = tx.telegram_notices();
    assert!(notices.add(&notice(2, 2, 100)).await.unwrap());
    assert!(notices.add(&notice(1, 1, 100)).await.unwrap());
    assert!(!notices.add(&notice(1, 3, 200)).await.unwrap(), "its id exists");
    assert!(notices.add(&notice(3, 1, 4)).await.unwrap());
    tx.commit().await.unwrap();
    let take = async |database: &arrakis_db::Database, limit, now: i64| {
        let mut tx = database.global().await.unwrap();
        let taken = tx
            .telegram_notices()
            .take(limit, second(now), second(now + 60))
            .await
            .unwrap();
        tx.commit().await.unwrap();
        taken.iter().map(|taken| taken.id.as_u128()).collect::<Vec<_>>()
    };
    // The third one has expired.
    assert_eq!(take(&one, 1, 5).await, [1]);
    assert_eq!(take(&other, 10, 6).await, [2]);
    assert!(take(&one, 10, 7).await.is_empty());
    let mut tx = one.global().await.unwrap();
    assert!(tx.telegram_notices().delete(Uuid::from_u128(2)).await.unwrap());
    assert!(!tx.telegram_notices().delete(Uuid::from_u128(2)).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(take(&other, 10, 65).await, [1], "its lease has ended");
    assert!(take(&other, 10, 200).await.is_empty(), "it has expired");
}

#[tokio::test]
async fn later_notice_about_a_session_is_taken_after_the_earlier_one_was_deleted_or_has_expired() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let about = |notice: NewTelegramNotice, user, session: &str| NewTelegramNotice {
        user: TelegramUserId::new(user).unwrap(),
        payload: json!({"kind": "verified", "session": session}),
        ..notice
    };
    let mut tx = database.global().await.unwrap();
    let mut notices = tx.telegram_notices();
    for notice in [
        about(notice(1, 1, 200), 42, "a"),
        about(notice(2, 2, 400), 42, "a"),
        about(notice(3, 3, 400), 42, "a"),
        // Of another account, of another session, and without a session.
        about(notice(4, 4, 400), 43, "a"),
        about(notice(5, 5, 400), 42, "b"),
        notice(6, 6, 400),
        notice(7, 7, 400),
    ] {
        assert!(notices.add(&notice).await.unwrap());
    }
    tx.commit().await.unwrap();
    let take = async |now: i64| {
        let mut tx = database.global().await.unwrap();
        let taken = tx
            .telegram_notices()
            .take(10, second(now), second(now + 60))
            .await
            .unwrap();
        for notice in taken.iter().filter(|notice| notice.id.as_u128() > 1) {
            assert!(tx.telegram_notices().delete(notice.id).await.unwrap());
        }
        tx.commit().await.unwrap();
        taken.iter().map(|taken| taken.id.as_u128()).collect::<Vec<_>>()
    };
    assert_eq!(take(10).await, [1, 4, 5, 6, 7]);
    assert!(take(20).await.is_empty(), "the first one is leased");
    assert_eq!(take(80).await, [1], "it was not deleted, and is taken again");
    assert_eq!(take(200).await, [2], "the first one has expired");
    assert_eq!(take(201).await, [3], "the second one was deleted");
}

#[tokio::test]
async fn notice_of_a_transaction_that_is_not_committed_is_not_there() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let mut tx = database.global().await.unwrap();
    tx.telegram_notices().add(&notice(1, 1, 100)).await.unwrap();
    drop(tx);
    let mut tx = database.global().await.unwrap();
    assert!(
        tx.telegram_notices()
            .take(10, second(5), second(6))
            .await
            .unwrap()
            .is_empty()
    );
}
