use std::time::Duration;

use arrakis_cache::{Bucket, Cooldown, DoneState, RateLimit, Ttl};
use arrakis_test_support::{TestRedis, eventually};

use crate::{assert_every_key_has_a_ttl, cache};

#[tokio::test]
async fn cooldown_applies_to_one_member_and_one_command_of_one_tenant() {
    let redis = TestRedis::create();
    let cache = cache(&redis);
    let minute = Ttl::seconds(60);
    assert_eq!(
        cache.cooldown("a", "stats", 1, "first", minute).await,
        Cooldown::Allowed
    );
    let Cooldown::Wait(left) = cache.cooldown("a", "stats", 1, "second", minute).await else {
        panic!("allowed at once")
    };
    assert_eq!(
        cache.cooldown("a", "stats", 1, "first", minute).await,
        Cooldown::Allowed,
        "the event that began the cooldown is redelivered"
    );
    assert!(left <= minute.length() && !left.is_zero());
    assert_eq!(
        cache.cooldown("a", "stats", 2, "other", minute).await,
        Cooldown::Allowed
    );
    assert_eq!(
        cache.cooldown("a", "profile", 1, "other", minute).await,
        Cooldown::Allowed
    );
    assert_eq!(
        cache.cooldown("b", "stats", 1, "other", minute).await,
        Cooldown::Allowed
    );
    assert_eq!(
        redis.keys(),
        ["cd:a:profile:1", "cd:a:stats:1", "cd:a:stats:2", "cd:b:stats:1"]
    );
    assert_every_key_has_a_ttl(&redis);

    cache.end_cooldown("a", "stats", 1).await;
    assert!(cache.cooldown("a", "stats", 1, "other", minute).await.is_allowed());
}

#[tokio::test]
async fn one_of_many_concurrent_calls_is_allowed_and_the_cooldown_ends() {
    let redis = TestRedis::create();
    let cache = cache(&redis);
    let short = Ttl::of(Duration::from_millis(300));
    let calls = (0..8).map(|number| {
        let cache = cache.clone();
        tokio::spawn(async move { cache.cooldown("a", "stats", 1, &format!("event {number}"), short).await })
    });
    let mut allowed = 0;
    for result in calls.collect::<Vec<_>>() {
        allowed += usize::from(result.await.unwrap().is_allowed());
    }
    assert_eq!(allowed, 1);
    let again = async || cache.cooldown("a", "stats", 1, "other", short).await.is_allowed();
    eventually(again, "the cooldown to end").await;
}

#[tokio::test]
async fn rate_limit_counts_within_its_window_and_starts_again_after_it() {
    let redis = TestRedis::create();
    let cache = cache(&redis);
    let window = Ttl::seconds(60);
    assert_eq!(
        cache.check_rate_limit("caller", "eligibility", 2, window).await,
        RateLimit::Within { left: 1 }
    );
    assert_eq!(
        cache.check_rate_limit("caller", "eligibility", 2, window).await,
        RateLimit::Within { left: 0 }
    );
    let RateLimit::Exceeded { retry_after } = cache.check_rate_limit("caller", "eligibility", 2, window).await else {
        panic!("within")
    };
    assert!(retry_after <= window.length() && !retry_after.is_zero());
    assert_eq!(
        cache.check_rate_limit("caller", "users", 2, window).await,
        RateLimit::Within { left: 1 }
    );
    assert_eq!(redis.keys(), ["rl:caller:eligibility", "rl:caller:users"]);
    assert_every_key_has_a_ttl(&redis);

    let short = Ttl::of(Duration::from_millis(50));
    cache.check_rate_limit("caller", "short", 1, short).await;
    let anew = async || cache.check_rate_limit("caller", "short", 1, short).await == RateLimit::Within { left: 0 };
    eventually(anew, "the window to end").await;
}

#[tokio::test]
async fn marked_event_is_done() {
    let redis = TestRedis::create();
    let cache = cache(&redis);
    assert_eq!(cache.done_state("77").await, DoneState::NotDone);
    cache.mark_done("77", Ttl::seconds(60)).await;
    assert_eq!(cache.done_state("77").await, DoneState::Done);
    assert_eq!(cache.done_state("78").await, DoneState::NotDone);
    assert_eq!(redis.keys(), ["done:77"]);
    assert_every_key_has_a_ttl(&redis);
}

#[tokio::test]
async fn token_bucket_allows_its_burst_and_then_one_use_for_each_refill() {
    let redis = TestRedis::create();
    let cache = cache(&redis);
    let slow = Bucket::per_minute(1, 3);
    for left in [2, 1, 0] {
        assert_eq!(
            cache.take_token("address", "::1", slow).await,
            RateLimit::Within { left }
        );
    }
    for _ in 0..3 {
        let RateLimit::Exceeded { retry_after } = cache.take_token("address", "::1", slow).await else {
            panic!("within")
        };
        assert!(
            retry_after <= slow.refill && retry_after > slow.refill / 2,
            "{retry_after:?}"
        );
    }
    assert_eq!(
        cache.take_token("key", "::1", slow).await,
        RateLimit::Within { left: 2 }
    );
    assert_eq!(redis.keys(), ["tb:address:%3A%3A1", "tb:key:%3A%3A1"]);
    assert_every_key_has_a_ttl(&redis);

    let fast = Bucket {
        burst: 1,
        refill: Duration::from_millis(50),
    };
    cache.take_token("fast", "a", fast).await;
    let again = async || cache.take_token("fast", "a", fast).await == RateLimit::Within { left: 0 };
    eventually(again, "the bucket to be refilled").await;
}

#[tokio::test]
async fn concurrent_uses_of_a_bucket_are_all_counted() {
    let redis = TestRedis::create();
    let cache = cache(&redis);
    let bucket = Bucket::per_minute(1, 5);
    let uses = (0..20).map(|_| {
        let cache = cache.clone();
        tokio::spawn(async move { cache.take_token("address", 1, bucket).await })
    });
    let mut allowed = 0;
    for result in uses.collect::<Vec<_>>() {
        allowed += usize::from(matches!(result.await.unwrap(), RateLimit::Within { .. }));
    }
    assert_eq!(allowed, 5);
}
