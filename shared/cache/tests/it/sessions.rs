use arrakis_cache::{SessionError, SessionName, Ttl};
use arrakis_test_support::TestRedis;
use serde::{Deserialize, Serialize};

use crate::{assert_every_key_ends, cache};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Steps {
    chosen: Vec<String>,
}

const QUARTER: Ttl = Ttl::seconds(900);

fn name(user: u64) -> SessionName {
    SessionName::new("tenant", "wizard", user)
}

#[tokio::test]
async fn a_session_is_found_by_its_member_and_by_its_id() {
    let redis = TestRedis::create();
    let cache = cache(&redis);
    let begun = cache
        .begin_session(name(1), Steps { chosen: vec![] }, QUARTER)
        .await
        .unwrap();
    assert_eq!(
        redis.keys(),
        [format!("sess:id:{}", begun.id), "sess:tenant:wizard:1".to_owned()]
    );
    assert_every_key_ends(&redis);
    assert_eq!(cache.session::<Steps>(name(1)).await.unwrap(), Some(begun.clone()));
    assert_eq!(
        cache.session_by_id::<Steps>(begun.id).await.unwrap(),
        Some(begun.clone())
    );
    assert_eq!(cache.session::<Steps>(name(2)).await.unwrap(), None);

    assert!(cache.end_session(&begun).await.unwrap());
    assert!(!cache.end_session(&begun).await.unwrap());
    assert_eq!(cache.session_by_id::<Steps>(begun.id).await.unwrap(), None);
    assert!(redis.keys().is_empty());
}

#[tokio::test]
async fn of_two_presses_of_one_button_one_goes_on() {
    let redis = TestRedis::create();
    let cache = cache(&redis);
    let begun = cache
        .begin_session(name(1), Steps { chosen: vec![] }, QUARTER)
        .await
        .unwrap();
    let mut pressed = begun.clone();
    pressed.data.chosen.push("first".to_owned());
    let mut pressed_too = begun;
    pressed_too.data.chosen.push("second".to_owned());

    let stepped = cache.step_session(pressed, QUARTER).await.unwrap();
    assert_eq!(stepped.version, 2);
    assert_eq!(
        cache.step_session(pressed_too, QUARTER).await,
        Err(SessionError::MovedOn)
    );
    assert_eq!(cache.session(name(1)).await.unwrap(), Some(stepped));
    assert_every_key_ends(&redis);
}

#[tokio::test]
async fn a_new_session_takes_the_place_of_the_old_one() {
    let redis = TestRedis::create();
    let cache = cache(&redis);
    let old = cache
        .begin_session(
            name(1),
            Steps {
                chosen: vec!["old".into()],
            },
            QUARTER,
        )
        .await
        .unwrap();
    let new = cache
        .begin_session(name(1), Steps { chosen: vec![] }, QUARTER)
        .await
        .unwrap();
    assert_eq!(cache.session_by_id::<Steps>(old.id).await.unwrap(), None);
    assert_eq!(
        cache.step_session(old.clone(), QUARTER).await,
        Err(SessionError::MovedOn)
    );
    assert!(
        !cache.end_session(&old).await.unwrap(),
        "ending the old one must leave the new one"
    );
    assert_eq!(cache.session(name(1)).await.unwrap(), Some(new));
}

#[tokio::test]
async fn a_session_of_another_version_is_told_from_none() {
    let redis = TestRedis::create();
    let cache = cache(&redis);
    cache.begin_session(name(1), 5, QUARTER).await.unwrap();
    let error = cache.session::<Steps>(name(1)).await.unwrap_err();
    assert!(matches!(error, SessionError::Unreadable(_)), "{error:?}");
}
