//! The switches in Redis, and the revocation of sessions.

use arrakis_cache::{SessionName, Ttl};
use arrakis_security::kill_switch::{KillSwitch, KillSwitchScope, REDIS_KEY};
use arrakis_test_support::{MERGE_CASES, TestRedis};

use crate::{assert_every_key_has_a_ttl, cache};

fn switch(is_on: bool, version: u64) -> KillSwitch {
    KillSwitch {
        scope: KillSwitchScope::Platform,
        is_on,
        version,
        by: "stilgar".to_owned(),
        reason: "a test".to_owned(),
    }
}

/// Stores this text as the entry of the platform.
fn forge(redis: &TestRedis, entry: &str) {
    let mut connection = redis.connection();
    let mut set = deadpool_redis::redis::cmd("HSET");
    let _: i64 = set
        .arg(REDIS_KEY)
        .arg("platform")
        .arg(entry)
        .query(&mut connection)
        .unwrap();
}

#[tokio::test]
async fn older_switch_does_not_replace_a_newer_one() {
    let redis = TestRedis::create();
    let cache = cache(&redis);
    assert_eq!(cache.kill_switches().await.unwrap().switches().count(), 0);
    let on = switch(true, 1_790_000_000_002);
    assert_eq!(cache.put_kill_switches([&on].into_iter()).await, Ok(1));
    let older = switch(false, 1_790_000_000_001);
    assert_eq!(cache.put_kill_switches([&older, &on].into_iter()).await, Ok(0));
    let stored = cache.kill_switches().await.unwrap();
    assert_eq!(stored.get(KillSwitchScope::Platform), Some(&on));
    let off = switch(false, 1_790_000_000_003);
    assert_eq!(cache.put_kill_switches([&off].into_iter()).await, Ok(1));
    assert!(!cache.kill_switches().await.unwrap().is_on(KillSwitchScope::Platform));
    assert_every_key_has_a_ttl(&redis);
}

#[tokio::test]
async fn script_merges_as_every_other_place() {
    let redis = TestRedis::create();
    let cache = cache(&redis);
    for (case, base) in MERGE_CASES.into_iter().zip((1_790_000_000_000..).step_by(10)) {
        let case = case.above(base);
        if let Some((is_on, version)) = case.stored {
            assert_eq!(
                cache.put_kill_switches([&switch(is_on, version)].into_iter()).await,
                Ok(1)
            );
        }
        let received = switch(case.received.0, case.received.1);
        let stored = cache.put_kill_switches([&received].into_iter()).await;
        assert_eq!(stored, Ok(u64::from(case.replaces)), "{case:?}");
        let present = cache.kill_switches().await.unwrap();
        let present = present
            .get(KillSwitchScope::Platform)
            .map(|entry| (entry.is_on, entry.version));
        assert_eq!(present, case.merged(), "{case:?}");
    }
}

#[tokio::test]
async fn entry_whose_version_is_far_in_the_future_is_left_out_and_replaced() {
    let redis = TestRedis::create();
    let cache = cache(&redis);
    let forged = serde_json::to_string(&switch(true, u64::MAX)).unwrap();
    forge(&redis, &forged);
    assert_eq!(cache.kill_switches().await.unwrap().switches().count(), 0);
    assert_eq!(cache.unreadable_kill_switches().await, Ok(vec!["platform".to_owned()]));
    let on = switch(true, 1_790_000_000_002);
    assert_eq!(cache.put_kill_switches([&on].into_iter()).await, Ok(1));
    let stored = cache.kill_switches().await.unwrap();
    assert_eq!(stored.get(KillSwitchScope::Platform), Some(&on));
    assert_eq!(cache.unreadable_kill_switches().await, Ok(Vec::new()));
}

#[tokio::test]
async fn entry_that_cannot_be_read_is_replaced() {
    let redis = TestRedis::create();
    let cache = cache(&redis);
    let on = switch(true, 1_790_000_000_002);
    for garbage in [
        "x",
        "",
        "[]",
        "7",
        r#"{"version":1e300}"#,
        r#"{"version":1790000000009}"#,
        r#"{"scope":"platform","is_on":true,"version":"1790000000009"}"#,
        r#"{"scope":"platform","is_on":1,"version":1790000000009}"#,
        r#"{"scope":"community:7","is_on":true,"version":1790000000009}"#,
        r#"{"scope":"platform","is_on":true,"version":1790000000009,"by":null}"#,
        r#"{"scope":"platform","is_on":true,"version":1790000000009.5}"#,
        r#"{"scope":"platform","is_on":true,"version":1790000000009.0}"#,
    ] {
        forge(&redis, garbage);
        assert_eq!(
            cache.unreadable_kill_switches().await,
            Ok(vec!["platform".to_owned()]),
            "{garbage}"
        );
        assert_eq!(cache.put_kill_switches([&on].into_iter()).await, Ok(1), "{garbage}");
        let stored = cache.kill_switches().await.unwrap();
        assert_eq!(stored.get(KillSwitchScope::Platform), Some(&on), "{garbage}");
    }
}

/// What is no entry of a scope is never replaced by one: it is removed, and the entries stay.
#[tokio::test]
async fn what_cannot_be_read_is_removed_and_hides_no_entry() {
    let redis = TestRedis::create();
    let cache = cache(&redis);
    let on = switch(true, 1_790_000_000_002);
    assert_eq!(cache.put_kill_switches([&on].into_iter()).await, Ok(1));
    let mut connection = redis.connection();
    let set: i64 = deadpool_redis::redis::cmd("HSET")
        .arg(REDIS_KEY)
        .arg("zzz")
        .arg("y")
        .arg(&[0xff_u8][..])
        .arg(&[0xfe_u8][..])
        .query(&mut connection)
        .unwrap();
    assert_eq!(set, 2);
    let stored = cache.kill_switches().await.unwrap();
    assert_eq!(stored.get(KillSwitchScope::Platform), Some(&on));
    assert_eq!(cache.unreadable_kill_switches().await.unwrap().len(), 2);
    assert_eq!(cache.remove_unreadable_kill_switches().await, Ok(2));
    assert_eq!(cache.unreadable_kill_switches().await, Ok(Vec::new()));
    assert!(cache.kill_switches().await.unwrap().is_on(KillSwitchScope::Platform));
    // A key of another type is no failure of Redis.
    let _: String = deadpool_redis::redis::cmd("SET")
        .arg(REDIS_KEY)
        .arg("x")
        .query(&mut connection)
        .unwrap();
    assert_eq!(cache.kill_switches().await.unwrap().switches().count(), 0);
    assert_eq!(cache.put_kill_switches([&on].into_iter()).await, Ok(1));
    assert!(cache.kill_switches().await.unwrap().is_on(KillSwitchScope::Platform));
}

#[tokio::test]
async fn sessions_are_revoked_of_one_tenant_or_of_all() {
    let redis = TestRedis::create();
    let cache = cache(&redis);
    let ttl = Ttl::seconds(60);
    let name = |tenant: &str, user: u32| SessionName::new(tenant, "wizard", user);
    for user in 0..1_500 {
        cache.begin_session(name("one", user), user, ttl).await.unwrap();
    }
    let other = cache.begin_session(name("one-more", 7), 7, ttl).await.unwrap();
    assert_eq!(cache.revoke_sessions_of("one").await, Ok(1_500));
    assert_eq!(cache.session::<u32>(name("one", 7)).await, Ok(None));
    assert_eq!(cache.session_by_id::<u32>(other.id).await, Ok(Some(other.clone())));
    assert!(cache.revoke_all_sessions().await.unwrap() >= 2);
    assert_eq!(cache.session_by_id::<u32>(other.id).await, Ok(None));
    assert_eq!(cache.session::<u32>(name("one-more", 7)).await, Ok(None));
    assert_eq!(cache.revoke_all_sessions().await, Ok(0));
}
