use std::time::Duration;

use arrakis_cache::{Cooldown, Limit, Seen, Ttl};
use arrakis_test_support::{TestRedis, eventually};

use crate::{assert_every_key_ends, cache};

#[tokio::test]
async fn a_cooldown_is_one_member_s_of_one_command_in_one_tenant() {
    let redis = TestRedis::create();
    let cache = cache(&redis);
    let minute = Ttl::seconds(60);
    assert_eq!(cache.cooldown("a", "stats", 1, "first", minute).await, Cooldown::Open);
    let Cooldown::Wait(left) = cache.cooldown("a", "stats", 1, "second", minute).await else {
        panic!("open at once")
    };
    assert_eq!(
        cache.cooldown("a", "stats", 1, "first", minute).await,
        Cooldown::Open,
        "what began it came again"
    );
    assert!(left <= minute.length() && !left.is_zero());
    assert_eq!(cache.cooldown("a", "stats", 2, "other", minute).await, Cooldown::Open);
    assert_eq!(cache.cooldown("a", "profile", 1, "other", minute).await, Cooldown::Open);
    assert_eq!(cache.cooldown("b", "stats", 1, "other", minute).await, Cooldown::Open);
    assert_eq!(
        redis.keys(),
        ["cd:a:profile:1", "cd:a:stats:1", "cd:a:stats:2", "cd:b:stats:1"]
    );
    assert_every_key_ends(&redis);

    cache.end_cooldown("a", "stats", 1).await;
    assert!(cache.cooldown("a", "stats", 1, "other", minute).await.is_open());
}

#[tokio::test]
async fn of_many_who_ask_at_once_one_is_let_in_and_a_cooldown_ends_by_itself() {
    let redis = TestRedis::create();
    let cache = cache(&redis);
    let short = Ttl::of(Duration::from_millis(300));
    let asked = (0..8).map(|number| {
        let cache = cache.clone();
        tokio::spawn(async move { cache.cooldown("a", "stats", 1, &format!("event {number}"), short).await })
    });
    let mut open = 0;
    for answer in asked.collect::<Vec<_>>() {
        open += usize::from(answer.await.unwrap().is_open());
    }
    assert_eq!(open, 1);
    let again = async || cache.cooldown("a", "stats", 1, "other", short).await.is_open();
    eventually(again, "the cooldown to end").await;
}

#[tokio::test]
async fn a_limit_counts_to_its_end_and_begins_anew() {
    let redis = TestRedis::create();
    let cache = cache(&redis);
    let window = Ttl::seconds(60);
    assert_eq!(
        cache.limit("caller", "eligibility", 2, window).await,
        Limit::Within { left: 1 }
    );
    assert_eq!(
        cache.limit("caller", "eligibility", 2, window).await,
        Limit::Within { left: 0 }
    );
    let Limit::Exceeded { retry_after } = cache.limit("caller", "eligibility", 2, window).await else {
        panic!("within")
    };
    assert!(retry_after <= window.length() && !retry_after.is_zero());
    assert_eq!(
        cache.limit("caller", "users", 2, window).await,
        Limit::Within { left: 1 }
    );
    assert_eq!(redis.keys(), ["rl:caller:eligibility", "rl:caller:users"]);
    assert_every_key_ends(&redis);

    let short = Ttl::of(Duration::from_millis(50));
    cache.limit("caller", "short", 1, short).await;
    let anew = async || cache.limit("caller", "short", 1, short).await == Limit::Within { left: 0 };
    eventually(anew, "the window to end").await;
}

#[tokio::test]
async fn what_is_done_is_remembered() {
    let redis = TestRedis::create();
    let cache = cache(&redis);
    assert_eq!(cache.seen("77").await, Seen::New);
    cache.mark_done("77", Ttl::seconds(60)).await;
    assert_eq!(cache.seen("77").await, Seen::Done);
    assert_eq!(cache.seen("78").await, Seen::New);
    assert_eq!(redis.keys(), ["done:77"]);
    assert_every_key_ends(&redis);
}
