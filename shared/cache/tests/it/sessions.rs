use arrakis_cache::{SessionError, SessionName, Ttl};
use arrakis_test_support::TestRedis;
use serde::{Deserialize, Serialize};

use crate::{assert_every_key_has_a_ttl, cache};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Steps {
    chosen: Vec<String>,
}

const QUARTER: Ttl = Ttl::seconds(900);

fn name(user: u64) -> SessionName {
    SessionName::new("tenant", "wizard", user)
}

#[tokio::test]
async fn session_is_found_by_its_member_and_by_its_id() {
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
    assert_every_key_has_a_ttl(&redis);
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
async fn one_of_two_concurrent_updates_succeeds() {
    let redis = TestRedis::create();
    let cache = cache(&redis);
    let begun = cache
        .begin_session(name(1), Steps { chosen: vec![] }, QUARTER)
        .await
        .unwrap();
    let mut first = begun.clone();
    first.data.chosen.push("first".to_owned());
    let mut second = begun;
    second.data.chosen.push("second".to_owned());

    let updated = cache.update_session(first, QUARTER).await.unwrap();
    assert_eq!(updated.version, 2);
    assert_eq!(
        cache.update_session(second, QUARTER).await,
        Err(SessionError::Superseded)
    );
    assert_eq!(cache.session(name(1)).await.unwrap(), Some(updated));
    assert_every_key_has_a_ttl(&redis);
}

#[tokio::test]
async fn new_session_replaces_the_old_one() {
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
        cache.update_session(old.clone(), QUARTER).await,
        Err(SessionError::Superseded)
    );
    assert!(
        !cache.end_session(&old).await.unwrap(),
        "ending the old session must not end the new one"
    );
    assert_eq!(cache.session(name(1)).await.unwrap(), Some(new));
}

#[tokio::test]
async fn session_of_another_version_is_unreadable_and_not_absent() {
    let redis = TestRedis::create();
    let cache = cache(&redis);
    cache.begin_session(name(1), 5, QUARTER).await.unwrap();
    let error = cache.session::<Steps>(name(1)).await.unwrap_err();
    assert!(matches!(error, SessionError::Unreadable(_)), "{error:?}");
}

#[tokio::test]
async fn sessions_of_one_member_are_listed_and_ended() {
    let redis = TestRedis::create();
    let cache = cache(&redis);
    let names = [
        SessionName::new("tenant", "wizard", 1),
        SessionName::new("other:tenant", "wizard", 1),
        // Ids that end like the member's.
        SessionName::new("tenant", "wizard", 11),
        SessionName::new("tenant", "wizard", 21),
    ];
    for name in &names {
        let steps = Steps { chosen: vec![] };
        cache.begin_session(name.clone(), steps, QUARTER).await.unwrap();
    }
    let found = cache.sessions_of(1).await.unwrap();
    let tenants: Vec<&str> = found.iter().map(|session| session.tenant.as_str()).collect();
    assert_eq!(tenants, ["other%3Atenant", "tenant"]);
    assert!(found.iter().all(|session| session.kind == "wizard"));
    assert_eq!(cache.end_sessions_of(1).await.unwrap(), 2);
    assert_eq!(cache.end_sessions_of(1).await.unwrap(), 0);
    assert!(cache.session_by_id::<Steps>(found[0].id).await.unwrap().is_none());
    assert_eq!(cache.sessions_of(11).await.unwrap().len(), 1);
}
