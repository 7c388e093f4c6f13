//! `tb:{limit}:{id}`: a token bucket. It holds `burst` tokens and is refilled with one token each `refill`; a use takes one.
//!
//! The script is the generic cell rate algorithm: the key holds the time at which the bucket is full again, by Redis's clock, and
//! lives until then. A fixed window ([`Cache::check_rate_limit`]) allows twice its limit around its end; a bucket does not.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use deadpool_redis::redis::Script;
use parking_lot::Mutex;

use crate::Cache;
use crate::keys::Key;
use crate::rate_limit::RateLimit;

/// Most buckets of a [`LocalBuckets`].
const MAX_LOCAL: usize = 50_000;

/// The size of a token bucket and how fast it is refilled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Tokens of a full bucket: uses that may come at once.
    pub burst: u32,
    /// Time in which one token is added.
    pub refill: Duration,
}

impl Bucket {
    /// A bucket for so many uses a minute, of which `burst` may come at once.
    #[must_use]
    pub const fn per_minute(uses: u32, burst: u32) -> Self {
        let uses = if uses == 0 { 1 } else { uses };
        Self {
            burst,
            refill: Duration::from_micros(60_000_000 / uses as u64),
        }
    }

    /// Time in which an empty bucket becomes full.
    #[must_use]
    pub fn window(&self) -> Duration {
        self.refill.saturating_mul(self.burst)
    }

    /// The result of a use when the bucket is full again in `full_in` microseconds, before this use, and the time at which it is full
    /// after it; the same as in [`TAKE`].
    fn take(&self, full_in: u64) -> (RateLimit, u64) {
        let refill = microseconds(self.refill);
        let size = microseconds(self.window());
        let after = full_in.saturating_add(refill);
        if after > size {
            let retry_after = Duration::from_micros(after - size);
            return (RateLimit::Exceeded { retry_after }, full_in);
        }
        let left = u32::try_from((size - after) / refill).unwrap_or(self.burst);
        (RateLimit::Within { left }, after)
    }
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1)
}

/// Takes a token. Returns the tokens that are left and 0, or -1 and the microseconds until a token is free.
static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local clock = redis.call('TIME')
         local now = clock[1] * 1000000 + clock[2]
         local refill, size = tonumber(ARGV[1]), tonumber(ARGV[2])
         local full_in = math.max(0, (tonumber(redis.call('GET', KEYS[1])) or 0) - now)
         -- A bucket of an earlier build may be larger, and Redis's clock may have been set back.
         full_in = math.min(full_in, size)
         local after = full_in + refill
         if after > size then return {-1, after - size} end
         redis.call('SET', KEYS[1], string.format('%.0f', now + after), 'PX', math.ceil(after / 1000))
         return {math.floor((size - after) / refill), 0}",
    )
});

impl Cache {
    /// Takes a token from the bucket of `id` for this limit.
    pub async fn take_token(&self, limit: &str, id: impl Display, bucket: Bucket) -> RateLimit {
        let key = Key::new("tb", &[&limit, &id]);
        let mut take = TAKE.key(key.as_str());
        take.arg(microseconds(bucket.refill)).arg(microseconds(bucket.window()));
        match self.script::<(i64, u64)>("token_bucket.take", &take).await {
            Ok((left, _)) if left >= 0 => RateLimit::Within {
                left: u32::try_from(left).unwrap_or(bucket.burst),
            },
            Ok((_, wait)) => RateLimit::Exceeded {
                retry_after: Duration::from_micros(wait),
            },
            Err(_) => RateLimit::Uncounted,
        }
    }
}

/// The same buckets in the memory of one process, for the time in which Redis is unavailable. When 50,000 are not full, all
/// further ids share one.
#[derive(Debug, Default)]
pub struct LocalBuckets {
    /// When each bucket that is not full will be full.
    full_at: Mutex<HashMap<String, Instant>>,
}

impl LocalBuckets {
    /// Takes a token from the bucket of `id` for this limit.
    pub fn take_token(&self, limit: &str, id: impl Display, bucket: Bucket) -> RateLimit {
        self.take_at(Instant::now(), Key::new("tb", &[&limit, &id]).as_str(), bucket)
    }

    fn take_at(&self, now: Instant, key: &str, bucket: Bucket) -> RateLimit {
        let mut full_at = self.full_at.lock();
        if full_at.len() >= MAX_LOCAL {
            full_at.retain(|_, at| *at > now);
        }
        let is_crowded = full_at.len() >= MAX_LOCAL && !full_at.contains_key(key);
        let key = if is_crowded { "" } else { key };
        let full_in = full_at.get(key).map(|at| at.saturating_duration_since(now));
        let (result, after) =
            bucket.take(full_in.map_or(0, |time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX)));
        full_at.insert(key.to_owned(), now + Duration::from_micros(after));
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUCKET: Bucket = Bucket {
        burst: 3,
        refill: Duration::from_secs(2),
    };

    #[test]
    fn bucket_allows_its_burst_and_then_one_use_for_each_refill() {
        let buckets = LocalBuckets::default();
        let start = Instant::now();
        for left in [2, 1, 0] {
            assert_eq!(buckets.take_at(start, "a", BUCKET), RateLimit::Within { left });
        }
        let retry_after = Duration::from_secs(2);
        assert_eq!(buckets.take_at(start, "a", BUCKET), RateLimit::Exceeded { retry_after });
        assert_eq!(buckets.take_at(start, "b", BUCKET), RateLimit::Within { left: 2 });
        let later = start + retry_after;
        assert_eq!(buckets.take_at(later, "a", BUCKET), RateLimit::Within { left: 0 });
        assert!(matches!(
            buckets.take_at(later, "a", BUCKET),
            RateLimit::Exceeded { .. }
        ));
        let full = later + BUCKET.window();
        assert_eq!(buckets.take_at(full, "a", BUCKET), RateLimit::Within { left: 2 });
    }

    #[test]
    fn refused_uses_do_not_delay_the_next_token() {
        let buckets = LocalBuckets::default();
        let start = Instant::now();
        for _ in 0..100 {
            buckets.take_at(start, "a", BUCKET);
        }
        let later = start + BUCKET.refill;
        assert_eq!(buckets.take_at(later, "a", BUCKET), RateLimit::Within { left: 0 });
    }

    #[test]
    fn memory_of_local_buckets_is_bounded() {
        let buckets = LocalBuckets::default();
        let start = Instant::now();
        for id in 0..MAX_LOCAL {
            buckets.take_at(start, &format!("id {id}"), BUCKET);
        }
        for left in [2, 1, 0] {
            assert_eq!(
                buckets.take_at(start, &format!("new {left}"), BUCKET),
                RateLimit::Within { left }
            );
        }
        assert!(matches!(
            buckets.take_at(start, "new", BUCKET),
            RateLimit::Exceeded { .. }
        ));
        assert_eq!(buckets.take_at(start, "id 7", BUCKET), RateLimit::Within { left: 1 });
        assert!(buckets.full_at.lock().len() <= MAX_LOCAL + 1);
        let later = start + BUCKET.window();
        assert_eq!(buckets.take_at(later, "new", BUCKET), RateLimit::Within { left: 2 });
        assert_eq!(buckets.full_at.lock().len(), 1);
    }
}
