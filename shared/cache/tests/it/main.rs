//! The cache on a real Redis: there, stopped, hung, and back again.

#![expect(clippy::unwrap_used, reason = "a test that cannot have what it needs has failed")]

mod away;
mod cached;
mod cooldowns_and_limits;
mod sessions;

use arrakis_cache::{Cache, CacheOptions};
use arrakis_config::Secret;
use arrakis_test_support::TestRedis;

fn cache(redis: &TestRedis) -> Cache {
    Cache::new(&Secret::new(redis.url()), CacheOptions::default()).unwrap()
}

/// Every key has an end: a test of a use of Redis closes with this.
fn assert_every_key_ends(redis: &TestRedis) {
    let mut connection = redis.connection();
    for key in redis.keys() {
        let left: i64 = deadpool_redis::redis::cmd("PTTL")
            .arg(&key)
            .query(&mut connection)
            .unwrap();
        assert!(left > 0, "{key} has no end");
    }
}
