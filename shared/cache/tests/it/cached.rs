use std::sync::atomic::{AtomicU32, Ordering};

use arrakis_cache::{CacheKey, MarkerClaim, PROFILE_TTL};
use arrakis_test_support::TestRedis;
use deadpool_redis::redis::cmd;

use crate::{assert_every_key_has_a_ttl, cache};

#[tokio::test]
async fn second_read_is_answered_from_redis_until_the_key_is_invalidated() {
    let redis = TestRedis::create();
    let cache = cache(&redis);
    let key = CacheKey::profile("tenant", 7);
    let loads = AtomicU32::new(0);
    let load = async || Ok::<_, String>(format!("load {}", loads.fetch_add(1, Ordering::SeqCst) + 1));

    assert_eq!(cache.get_or_load(&key, PROFILE_TTL, load).await.unwrap(), "load 1");
    assert_eq!(cache.get_or_load(&key, PROFILE_TTL, load).await.unwrap(), "load 1");
    assert_eq!(redis.keys(), ["cache:profile:tenant:7"]);
    assert_every_key_has_a_ttl(&redis);

    assert!(cache.invalidate(&key).await);
    assert_eq!(cache.get_or_load(&key, PROFILE_TTL, load).await.unwrap(), "load 2");
    assert_every_key_has_a_ttl(&redis);
}

/// A reader queries PostgreSQL, a writer commits and invalidates, and only then the reader has its old result.
#[tokio::test]
async fn slow_reader_does_not_cache_its_old_value() {
    let redis = TestRedis::create();
    let cache = cache(&redis);
    let key = CacheKey::profile("tenant", 7);
    let slow = cache.get_or_load(&key, PROFILE_TTL, async || {
        assert!(cache.invalidate(&key).await);
        Ok::<_, String>("old".to_owned())
    });
    assert_eq!(slow.await.unwrap(), "old");
    let next = cache
        .get_or_load(&key, PROFILE_TTL, async || Ok::<_, String>("new".to_owned()))
        .await;
    assert_eq!(next.unwrap(), "new");
}

#[tokio::test]
async fn errors_are_not_cached_and_undecodable_values_are_loaded_again() {
    let redis = TestRedis::create();
    let cache = cache(&redis);
    let key = CacheKey::new("roles", &[&"tenant"]);
    let failed: Result<u32, _> = cache
        .get_or_load(&key, PROFILE_TTL, async || Err("PostgreSQL is unavailable"))
        .await;
    assert_eq!(failed, Err("PostgreSQL is unavailable"));
    assert!(redis.keys().is_empty());

    cmd("SET")
        .arg("cache:roles:tenant")
        .arg("{\"an\": \"older form\"}")
        .query::<()>(&mut redis.connection())
        .unwrap();
    let value: Result<u32, String> = cache.get_or_load(&key, PROFILE_TTL, async || Ok(5)).await;
    assert_eq!(value, Ok(5));
    assert_every_key_has_a_ttl(&redis);
}

#[tokio::test]
async fn stored_value_replaces_an_earlier_one() {
    let redis = TestRedis::create();
    let cache = cache(&redis);
    let key = CacheKey::new("score", &[&1, &"0xaa"]);
    assert_eq!(cache.stored::<u32>(&key).await, None);
    assert!(cache.store(&key, PROFILE_TTL, &1_u32).await);
    assert!(cache.store(&key, PROFILE_TTL, &2_u32).await);
    assert_eq!(cache.stored::<u32>(&key).await, Some(2));
    assert_every_key_has_a_ttl(&redis);
}

/// A cached value that was invalidated cannot be written again for some seconds; a marker can.
#[tokio::test]
async fn marker_is_set_again_immediately_after_it_was_cleared() {
    let redis = TestRedis::create();
    let cache = cache(&redis);
    let key = CacheKey::new("role-change", &[&"tenant", &7]);
    assert!(!cache.has_marker(&key).await);
    for _ in 0..2 {
        assert!(cache.set_marker(&key, PROFILE_TTL).await);
        assert!(cache.has_marker(&key).await);
        assert_every_key_has_a_ttl(&redis);
        assert!(cache.clear_marker(&key).await);
        assert!(!cache.has_marker(&key).await);
    }
}

#[tokio::test]
async fn marker_is_claimed_once() {
    let redis = TestRedis::create();
    let cache = cache(&redis);
    let key = CacheKey::new("telegram-update", &[&7]);
    assert_eq!(cache.claim_marker(&key, PROFILE_TTL).await, MarkerClaim::Claimed);
    assert_eq!(cache.claim_marker(&key, PROFILE_TTL).await, MarkerClaim::Taken);
    assert!(cache.has_marker(&key).await);
    assert_every_key_has_a_ttl(&redis);
}
