//! `rl:{id}:{endpoint}`: so many uses in a window of time.

use std::fmt::Display;
use std::sync::LazyLock;
use std::time::Duration;

use deadpool_redis::redis::Script;

use crate::keys::Key;
use crate::{Cache, Ttl};

/// Whether a use is within its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// It is; so many are left in this window.
    Within {
        /// Uses left.
        left: u32,
    },
    /// It is not; again after this.
    Exceeded {
        /// Until the window ends.
        retry_after: Duration,
    },
    /// Redis is away, so nobody counts. The caller knows whether to let it pass.
    Uncounted,
}

/// Counts and gives the first use of a window its end, in one step: a key without an end would count for ever.
static COUNT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local used = redis.call('INCR', KEYS[1])
         if used == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
         return {used, redis.call('PTTL', KEYS[1])}",
    )
});

impl Cache {
    /// Counts a use of `endpoint` by `id` and says whether it is within `allowed` in a window of this length.
    pub async fn limit(&self, id: impl Display, endpoint: &str, allowed: u32, window: Ttl) -> Limit {
        let key = Key::new("rl", &[&id, &endpoint]);
        let mut count = COUNT.key(key.as_str());
        count.arg(window.milliseconds());
        match self.script::<(u64, i64)>("limit.count", &count).await {
            Ok((used, left)) if used > u64::from(allowed) => Limit::Exceeded {
                retry_after: Duration::from_millis(u64::try_from(left).unwrap_or(0)),
            },
            Ok((used, _)) => Limit::Within {
                left: u32::try_from(u64::from(allowed).saturating_sub(used)).unwrap_or(allowed),
            },
            Err(_) => Limit::Uncounted,
        }
    }
}
