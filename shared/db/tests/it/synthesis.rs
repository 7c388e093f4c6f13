//! Manifests, states of servers, and slots.

use arrakis_db::{StateHold, StateHolder};
use serde_json::json;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use crate::fixtures::one_community;

const NOON: OffsetDateTime = datetime!(2026-11-21 12:00 UTC);

fn minute(minute: i64) -> OffsetDateTime {
    NOON + Duration::minutes(minute)
}

const fn holder(job: &str, attempt: u32) -> StateHolder<'_> {
    StateHolder { job, attempt }
}

#[tokio::test]
async fn equal_manifest_is_no_new_version() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    assert_eq!(tx.manifests().latest().await.unwrap(), None);
    let basic = json!({"theme": "basic"});
    assert_eq!(tx.manifests().put(&basic, "7").await.unwrap(), 1);
    assert_eq!(tx.manifests().put(&basic, "8").await.unwrap(), 1);
    assert_eq!(tx.manifests().put(&json!({"theme": "sietch"}), "8").await.unwrap(), 2);
    let latest = tx.manifests().latest().await.unwrap().unwrap();
    assert_eq!((latest.version, latest.created_by.as_str()), (2, "8"));
    assert_eq!(latest.manifest, json!({"theme": "sietch"}));
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn state_is_written_by_the_attempt_that_holds_it() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    let mut states = tx.server_state();
    let (first, second) = (holder("a", 1), holder("a", 2));
    assert_eq!(states.get().await.unwrap(), None);
    assert_eq!(
        states.hold(first, minute(0), minute(1)).await.unwrap(),
        StateHold::Held(None)
    );
    assert!(states.write(first, &json!({"serial": 1}), minute(1)).await.unwrap());
    // Another job waits until the hold has ended.
    let other = holder("b", 1);
    assert_eq!(
        states.hold(other, minute(0), minute(1)).await.unwrap(),
        StateHold::HeldByAnother
    );
    // A later attempt of the same job takes it over, and the earlier one changes nothing any more.
    let held = states.hold(second, minute(0), minute(1)).await.unwrap();
    assert_eq!(held, StateHold::Held(Some(json!({"serial": 1}))));
    assert!(!states.write(first, &json!({"serial": 9}), minute(9)).await.unwrap());
    assert!(!states.renew(first, minute(9)).await.unwrap());
    assert_eq!(
        states.hold(first, minute(0), minute(1)).await.unwrap(),
        StateHold::HeldByAnother
    );
    assert!(!states.release(first).await.unwrap());
    assert_eq!(
        states.hold(other, minute(0), minute(1)).await.unwrap(),
        StateHold::HeldByAnother
    );
    assert!(states.renew(second, minute(2)).await.unwrap());
    let held = states.hold(other, minute(2), minute(3)).await.unwrap();
    assert_eq!(held, StateHold::Held(Some(json!({"serial": 1}))));
    assert!(states.release(other).await.unwrap());
    assert_eq!(states.get().await.unwrap(), Some(json!({"serial": 1})));
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn five_holders_have_a_slot_and_a_sixth_waits() {
    let (_test, database, _) = one_community().await;
    let mut tx = database.global().await.unwrap();
    let mut slots = tx.synthesis_slots();
    for number in 1..=5 {
        assert!(
            slots
                .take(&format!("job {number}"), minute(0), minute(1))
                .await
                .unwrap()
        );
    }
    assert!(!slots.take("job 6", minute(0), minute(1)).await.unwrap());
    // A holder keeps its slot and does not take a second one.
    assert!(slots.take("job 5", minute(0), minute(3)).await.unwrap());
    assert!(!slots.take("job 6", minute(0), minute(1)).await.unwrap());
    slots.free("job 2").await.unwrap();
    assert!(slots.take("job 6", minute(0), minute(3)).await.unwrap());
    // The slots of processes that died are free again.
    for number in 7..=9 {
        assert!(
            slots
                .take(&format!("job {number}"), minute(2), minute(3))
                .await
                .unwrap()
        );
    }
    assert!(!slots.take("job 10", minute(2), minute(3)).await.unwrap());
    tx.commit().await.unwrap();
}
