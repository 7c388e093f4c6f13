//! The cache on a real Redis: available, stopped, hanging, and available again.

#![expect(clippy::unwrap_used, reason = "a test that cannot have what it needs has failed")]

mod cached;
mod cooldowns_and_limits;
mod kill_switch;
mod sessions;
mod unavailable;

use arrakis_cache::{Cache, CacheOptions};
use arrakis_config::Secret;
use arrakis_test_support::TestRedis;

fn cache(redis: &TestRedis) -> Cache {
    Cache::new(&Secret::new(redis.url()), CacheOptions::default()).unwrap()
}

/// Every key has a time to live: each test that writes keys ends with this assertion.
fn assert_every_key_has_a_ttl(redis: &TestRedis) {
    let mut connection = redis.connection();
    for key in redis.keys() {
        let left: i64 = deadpool_redis::redis::cmd("PTTL")
            .arg(&key)
            .query(&mut connection)
            .unwrap();
        assert!(left > 0, "{key} has no time to live");
    }
}
