//! `rl:{id}:{endpoint}`: at most so many uses in a window of time.

use std::fmt::Display;
use std::sync::LazyLock;
use std::time::Duration;

use deadpool_redis::redis::Script;

use crate::keys::Key;
use crate::{Cache, Ttl};

/// Whether a use is within its rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimit {
    /// The use is within the limit.
    Within {
        /// Uses left in this window.
        left: u32,
    },
    /// The limit is used up.
    Exceeded {
        /// Time until the window ends.
        retry_after: Duration,
    },
    /// Redis is unavailable, so uses are not counted. The caller decides.
    Uncounted,
}

/// Counts a use and, with the first use of a window, sets the window's end in the same step: a key without a time to live
/// would count for ever.
static COUNT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local used = redis.call('INCR', KEYS[1])
         if used == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
         return {used, redis.call('PTTL', KEYS[1])}",
    )
});

impl Cache {
    /// Counts a use of `endpoint` by `id` and returns whether it is within `allowed` uses in a window of this length.
    pub async fn check_rate_limit(&self, id: impl Display, endpoint: &str, allowed: u32, window: Ttl) -> RateLimit {
        let key = Key::new("rl", &[&id, &endpoint]);
        let mut count = COUNT.key(key.as_str());
        count.arg(window.milliseconds());
        match self.script::<(u64, i64)>("rate_limit.count", &count).await {
            Ok((used, left)) if used > u64::from(allowed) => RateLimit::Exceeded {
                retry_after: Duration::from_millis(u64::try_from(left).unwrap_or(0)),
            },
            Ok((used, _)) => RateLimit::Within {
                left: u32::try_from(u64::from(allowed).saturating_sub(used)).unwrap_or(allowed),
            },
            Err(_) => RateLimit::Uncounted,
        }
    }
}
