//! The refusal of the bot token in Redis: a mark that all replicas read, and claims by which one replica checks for all.

use std::time::Duration;

use deadpool_redis::redis::Script;

use crate::redis::{Redis, RedisError};
use crate::token::TokenRefusal;

/// Time to live of a mark after its last confirmation: longer than the longest time between two checks.
const MARK_TTL: Duration = Duration::from_secs(3_600);

/// The marks of one token.
#[derive(Debug)]
pub(crate) struct TokenMarks {
    redis: Redis,
    clear: Script,
}

impl TokenMarks {
    pub(crate) fn new(redis: Redis) -> Self {
        Self {
            redis,
            clear: Script::new(include_str!("clear_token_mark.lua")),
        }
    }

    /// Writes the mark.
    pub(crate) async fn share(&self, refusal: &TokenRefusal) -> Result<(), RedisError> {
        self.redis.set("dead", &format(refusal), MARK_TTL).await
    }

    /// Removes the mark, unless it was confirmed after `confirmed_ms`.
    pub(crate) async fn clear(&self, confirmed_ms: u64) -> Result<(), RedisError> {
        let arguments = [confirmed_ms.to_string()];
        self.redis.run::<i64>(&self.clear, &arguments).await.map(drop)
    }

    /// Claims the check `name`. Returns whether this replica is the one that may check in the time `every`; without Redis each replica
    /// is.
    pub(crate) async fn claim_check(&self, name: &str, replica: &str, every: Duration) -> bool {
        match self.redis.set_if_absent(name, replica, every).await {
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::debug!(%error, "the check is not coordinated through Redis: each replica runs its own");
                true
            }
        }
    }
}

fn format(refusal: &TokenRefusal) -> String {
    format!("{} {} {}", refusal.since_ms, refusal.confirmed_ms, refusal.found_by)
}

/// Parses a mark; an empty text is `None`.
pub(crate) fn parse(mark: &str) -> Option<TokenRefusal> {
    if mark.is_empty() {
        return None;
    }
    let mut fields = mark.splitn(3, ' ');
    let mut number = || fields.next().and_then(|field| field.parse().ok());
    let (since, confirmed) = (number(), number());
    // A replica of an earlier build writes its name only.
    let found_by = fields.next().unwrap_or(mark).to_owned();
    Some(TokenRefusal {
        since_ms: since.unwrap_or(1),
        confirmed_ms: confirmed.unwrap_or(1),
        found_by,
        next_check_ms: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mark_round_trips() {
        let refusal = TokenRefusal {
            since_ms: 5,
            confirmed_ms: 7,
            found_by: "0123abcd".to_owned(),
            next_check_ms: None,
        };
        assert_eq!(parse(&format(&refusal)), Some(refusal));
        assert_eq!(parse(""), None);
        assert_eq!(
            parse("0123abcd").map(|refusal| refusal.found_by).as_deref(),
            Some("0123abcd")
        );
    }
}
