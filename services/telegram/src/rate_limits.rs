//! The limits of users and groups, in Redis. What an update has taken or begun belongs to that update: when Telegram delivers it again,
//! after a crash or during a handling, it takes nothing a second time and is not refused by what it began itself.

use std::time::Duration;

use arrakis_cache::{Bucket, Cache, CacheKey, Cooldown, LocalBuckets, MarkerClaim, RateLimit, Ttl};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::message_claims::UPDATE;

/// Messages and presses of one user: 30 a minute, of which 15 may come at once.
const PER_USER: Bucket = Bucket::per_minute(30, 15);
/// Time between two replies in one group.
const GROUP: Ttl = Ttl::seconds(60);
/// The same limit in the memory of this process, while Redis is unavailable.
const LOCAL_GROUP: Bucket = Bucket::per_minute(1, 1);
/// Name of the limit of groups.
const GROUP_LIMIT: &str = "telegram-group";
/// Interval at which exceeded limits are logged.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The limits of users and groups of one bot.
#[derive(Debug)]
pub(crate) struct RateLimits {
    cache: Cache,
    /// Id of the bot. Several bots may use one Redis.
    bot: String,
    local: LocalBuckets,
    log: Mutex<Log>,
}

/// Exceeded limits that were not logged.
#[derive(Debug, Default)]
struct Log {
    count: u64,
    logged_at: Option<Instant>,
}

impl Log {
    /// Counts an update; returns the count when it is to be logged.
    fn add(&mut self, now: Instant) -> Option<u64> {
        self.count += 1;
        let is_due = self
            .logged_at
            .is_none_or(|at| now.saturating_duration_since(at) >= LOG_INTERVAL);
        is_due.then(|| {
            self.logged_at = Some(now);
            std::mem::take(&mut self.count)
        })
    }
}

impl RateLimits {
    /// The limits of the bot with this id.
    pub(crate) fn new(cache: Cache, bot: &str) -> Self {
        Self {
            cache,
            bot: bot.to_owned(),
            local: LocalBuckets::default(),
            log: Mutex::default(),
        }
    }

    /// Takes a token of a user for an update, unless an earlier delivery of the update took one. False when the limit is exceeded; a
    /// later delivery then tries again. Without Redis, nothing is limited.
    pub(crate) async fn take(&self, user: i64, update: i64) -> bool {
        let charged = CacheKey::new("telegram-charged", &[&self.bot, &update]);
        if self.cache.claim_marker(&charged, UPDATE).await == MarkerClaim::Taken {
            return true;
        }
        let id = format!("{}-{user}", self.bot);
        let taken = self.cache.take_token("telegram-user", id, PER_USER).await;
        if !matches!(taken, RateLimit::Exceeded { .. }) {
            return true;
        }
        self.cache.clear_marker(&charged).await;
        let count = self.log.lock().add(Instant::now());
        if let Some(count) = count {
            tracing::warn!(
                user.id = user,
                count,
                "updates exceed the rate limit of their user (30 a minute, 15 at once), and are not answered; logged at most once a minute"
            );
        }
        false
    }

    /// Begins the minute in which a group gets no other reply; false when another update has begun it. Without Redis, this process
    /// limits the group.
    pub(crate) async fn begin_group(&self, chat: i64, update: i64) -> bool {
        let event = update.to_string();
        let begun = self.cache.cooldown(&self.bot, GROUP_LIMIT, chat, &event, GROUP);
        match begun.await {
            Cooldown::Allowed => true,
            Cooldown::Wait(_) => false,
            Cooldown::AllowedWithoutRedis => {
                let taken = self.local.take_token(GROUP_LIMIT, chat, LOCAL_GROUP);
                !matches!(taken, RateLimit::Exceeded { .. })
            }
        }
    }

    /// Ends the minute of a group whose reply was not sent.
    pub(crate) async fn end_group(&self, chat: i64) {
        self.cache.end_cooldown(&self.bot, GROUP_LIMIT, chat).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceeded_limits_are_logged_once_a_minute_with_their_number() {
        let (mut log, start) = (Log::default(), Instant::now());
        assert_eq!(log.add(start), Some(1));
        assert_eq!(log.add(start), None);
        assert_eq!(log.add(start + Duration::from_secs(59)), None);
        assert_eq!(log.add(start + LOG_INTERVAL), Some(3));
    }
}
