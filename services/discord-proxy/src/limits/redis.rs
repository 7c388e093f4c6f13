//! The proxy's door to Redis: pooled, each exchange bounded in time, every kind of trouble told apart.
//!
//! All keys begin with one prefix that holds the token's fingerprint, so that two bots may share a Redis and a new token starts
//! clean, and a hash tag, so that a cluster keeps them in one slot. Every key has a time to live.

use std::fmt;
use std::time::Duration;

use arrakis_config::Secret;
use deadpool_redis::redis::{self, FromRedisValue, RedisError};
use deadpool_redis::{Config, Connection, Pool, PoolConfig, PoolError, Runtime, Timeouts};
use tokio::time::timeout;

use super::REDIS_PATIENCE;
use super::script::Script;

/// Connections of one replica: the limiter's two lanes, completions, the heartbeat, the budget.
const CONNECTIONS: usize = 8;

/// What is wrong with Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RedisTrouble {
    /// No answer in time: hung, overloaded, or the network swallows packets.
    Silent,
    /// No connection.
    Unreachable(String),
    /// An answer that refuses: read-only, out of memory, too few replicas, busy, loading.
    Refuses(String),
}

impl fmt::Display for RedisTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => write!(f, "no answer within {} ms", REDIS_PATIENCE.as_millis()),
            Self::Unreachable(why) => write!(f, "unreachable: {why}"),
            Self::Refuses(why) => write!(f, "refuses: {why}"),
        }
    }
}

impl From<RedisError> for RedisTrouble {
    fn from(error: RedisError) -> Self {
        if error.is_timeout() {
            return Self::Silent;
        }
        let words = match error.code() {
            Some("READONLY") => "read-only, this is a replica (READONLY)",
            Some("OOM") => "its memory is full (OOM)",
            Some("NOREPLICAS") => "too few replicas follow it (NOREPLICAS)",
            Some("BUSY") => "a script runs too long (BUSY)",
            Some("LOADING") => "it still loads its data (LOADING)",
            Some("MISCONF") => "it cannot save to disk (MISCONF)",
            Some("NOAUTH" | "WRONGPASS") => "the password is wrong (NOAUTH)",
            Some("NOPERM") => "the login may not do this (NOPERM)",
            Some(_) => return Self::Refuses(error.to_string()),
            None => return Self::Unreachable(error.to_string()),
        };
        Self::Refuses(words.to_owned())
    }
}

impl From<PoolError> for RedisTrouble {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Timeout(_) => Self::Silent,
            PoolError::Backend(error) => error.into(),
            other => Self::Unreachable(other.to_string()),
        }
    }
}

/// Redis, with one prefix.
#[derive(Clone)]
pub(crate) struct Redis {
    pool: Pool,
    prefix: String,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl Redis {
    /// A pool that connects when first used.
    ///
    /// # Errors
    /// The address is no Redis URL.
    pub(crate) fn new(url: &Secret, fingerprint: &str) -> Result<Self, String> {
        let mut config = Config::from_url(url.expose());
        config.pool = Some(PoolConfig {
            max_size: CONNECTIONS,
            timeouts: Timeouts {
                wait: Some(REDIS_PATIENCE),
                create: Some(REDIS_PATIENCE),
                recycle: Some(REDIS_PATIENCE),
            },
            ..PoolConfig::default()
        });
        let pool = config
            .create_pool(Some(Runtime::Tokio1))
            .map_err(|error| error.to_string())?;
        Ok(Self {
            pool,
            prefix: format!("{{arrakis:proxy:{fingerprint}}}:"),
        })
    }

    /// Runs a script over the prefix.
    pub(crate) async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        arguments: &[String],
    ) -> Result<T, RedisTrouble> {
        self.bounded(async |connection| Ok(script.run(connection, &self.prefix, arguments).await?))
            .await
    }

    /// Writes a mark that goes away by itself.
    pub(crate) async fn mark(&self, name: &str, value: &str, lives: Duration) -> Result<(), RedisTrouble> {
        let mut command = redis::cmd("SET");
        command
            .arg(format!("{}{name}", self.prefix))
            .arg(value)
            .arg("PX")
            .arg(lives.as_millis().to_string());
        self.bounded(async |connection| Ok(command.query_async::<()>(&mut **connection).await?))
            .await
    }

    /// Takes one name out of a sorted set and out of two hashes.
    pub(crate) async fn forget(&self, name: &str, [set, first, second]: [&str; 3]) -> Result<(), RedisTrouble> {
        let key = |what: &str| format!("{}{what}", self.prefix);
        let mut pipeline = redis::pipe();
        pipeline.zrem(key(set), name).ignore();
        pipeline.hdel(key(first), name).ignore();
        pipeline.hdel(key(second), name).ignore();
        self.bounded(async |connection| Ok(pipeline.query_async::<()>(&mut **connection).await?))
            .await
    }

    async fn bounded<T>(
        &self,
        exchange: impl AsyncFnOnce(&mut Connection) -> Result<T, RedisTrouble>,
    ) -> Result<T, RedisTrouble> {
        let whole = async {
            let mut connection = self.pool.get().await?;
            match timeout(REDIS_PATIENCE, exchange(&mut connection)).await {
                Ok(Ok(value)) => Ok(value),
                Ok(Err(trouble)) => Err(trouble),
                Err(_) => {
                    // Whatever this connection still owes us, nobody else shall wait behind it.
                    drop(Connection::take(connection));
                    Err(RedisTrouble::Silent)
                }
            }
        };
        timeout(REDIS_PATIENCE, whole)
            .await
            .unwrap_or(Err(RedisTrouble::Silent))
    }
}
