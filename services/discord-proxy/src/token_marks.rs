//! What the replicas tell each other of a dead token, in Redis: one mark for all, and whose turn it is to check.

use std::time::Duration;

use crate::limits::script::Script;
use crate::limits::{Redis, RedisTrouble};
use crate::token::Death;

/// How long a mark outlives its last confirmation: longer than the longest time between two checks.
const LIVES: Duration = Duration::from_secs(3_600);

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
            clear: Script::new(include_str!("limits/clear_dead.lua")),
        }
    }

    /// Tells the others that the token is dead.
    pub(crate) async fn share(&self, death: &Death) -> Result<(), RedisTrouble> {
        self.redis.mark("dead", &written(death), LIVES).await
    }

    /// Takes away the mark, unless the token's death was confirmed after `confirmed_ms`.
    pub(crate) async fn clear(&self, confirmed_ms: u64) -> Result<(), RedisTrouble> {
        let arguments = [confirmed_ms.to_string()];
        self.redis.run::<i64>(&self.clear, &arguments).await.map(drop)
    }

    /// Whether this replica may check now: one replica in `every`. Without Redis each may.
    pub(crate) async fn may_check(&self, what: &str, replica: &str, every: Duration) -> bool {
        match self.redis.claim(what, replica, every).await {
            Ok(mine) => mine,
            Err(trouble) => {
                tracing::debug!(%trouble, "the replicas check the bot token each for itself");
                true
            }
        }
    }
}

fn written(death: &Death) -> String {
    format!("{} {} {}", death.since_ms, death.confirmed_ms, death.by)
}

/// Reads a mark; an empty text is none.
pub(crate) fn read(mark: &str) -> Option<Death> {
    if mark.is_empty() {
        return None;
    }
    let mut words = mark.splitn(3, ' ');
    let mut number = || words.next().and_then(|word| word.parse().ok());
    let (since, confirmed) = (number(), number());
    // A replica of an earlier build writes its name alone.
    let by = words.next().unwrap_or(mark).to_owned();
    Some(Death {
        since_ms: since.unwrap_or(1),
        confirmed_ms: confirmed.unwrap_or(1),
        by,
        next_check_ms: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        let death = Death {
            since_ms: 5,
            confirmed_ms: 7,
            by: "0123abcd".to_owned(),
            next_check_ms: None,
        };
        assert_eq!(read(&written(&death)), Some(death));
        assert_eq!(read(""), None);
        assert_eq!(read("0123abcd").map(|death| death.by).as_deref(), Some("0123abcd"));
    }
}
