//! Whether the bot is in the server of a community.

use arrakis_db::BotAbsence;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use crate::fixtures::one_community;

const LEFT: OffsetDateTime = datetime!(2026-11-21 03:00 UTC);

#[tokio::test]
async fn absence_begins_once_and_ends_with_the_return() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    let mut presence = tx.bot_presence();
    assert_eq!(presence.absence().await.unwrap(), None);
    assert!(presence.record_absent(LEFT).await.unwrap());
    assert!(!presence.record_absent(LEFT).await.unwrap(), "the same event again");
    let later = LEFT + Duration::DAY;
    assert!(!presence.record_absent(later).await.unwrap());
    let absence = BotAbsence {
        since: LEFT,
        seen_at: later,
    };
    assert_eq!(presence.absence().await.unwrap(), Some(absence));
    presence.record_present(later + Duration::DAY).await.unwrap();
    assert_eq!(presence.absence().await.unwrap(), None);
    assert!(presence.record_absent(later + Duration::WEEK).await.unwrap());
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn older_event_changes_nothing() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    let mut presence = tx.bot_presence();
    presence.record_present(LEFT + Duration::MINUTE).await.unwrap();
    assert!(!presence.record_absent(LEFT).await.unwrap());
    assert_eq!(presence.absence().await.unwrap(), None);
    assert!(presence.record_absent(LEFT + Duration::HOUR).await.unwrap());
    presence.record_present(LEFT + Duration::MINUTE).await.unwrap();
    assert!(presence.absence().await.unwrap().is_some());
    tx.commit().await.unwrap();
}
