//! The proxy's door to Redis: each exchange bounded in time, every kind of trouble told apart. An exchange may run twice when
//! its connection was cut; each counts rather too much than too little then.
//!
//! All keys begin with one prefix that holds the token's fingerprint, so that two bots may share a Redis and a new token starts
//! clean, and a hash tag, so that a cluster keeps them in one slot. Every key has a time to live.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrakis_cache::{QueryError, RedisConnection};
use arrakis_config::Secret;
use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{self, FromRedisValue, RedisError, RedisResult};

use super::REDIS_PATIENCE;
use super::script::Script;

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

impl From<QueryError> for RedisTrouble {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::TimedOut(_) => Self::Silent,
            QueryError::Redis(error) => error.into(),
        }
    }
}

/// Redis, with one prefix.
#[derive(Clone)]
pub(crate) struct Redis {
    line: Arc<RedisConnection>,
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
    /// A line that connects when first used.
    ///
    /// # Errors
    /// The address is no Redis URL.
    pub(crate) fn new(url: &Secret, fingerprint: &str) -> Result<Self, String> {
        Ok(Self {
            // The driver's own text may quote the URL, which may hold a password.
            line: Arc::new(RedisConnection::new(url).map_err(|error| format!("{:?}", error.kind()))?),
            prefix: format!("{{arrakis:proxy:{fingerprint}}}:"),
        })
    }

    /// Runs a script over the prefix.
    pub(crate) async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        arguments: &[String],
    ) -> Result<T, RedisTrouble> {
        self.bounded(|mut connection| async move { script.run(&mut connection, &self.prefix, arguments).await })
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
        let command = &command;
        self.bounded(|mut connection| async move { command.query_async(&mut connection).await })
            .await
    }

    /// Writes a mark that goes away by itself, unless it is there already. Answers whether it was written.
    pub(crate) async fn claim(&self, name: &str, value: &str, lives: Duration) -> Result<bool, RedisTrouble> {
        let mut command = redis::cmd("SET");
        command
            .arg(format!("{}{name}", self.prefix))
            .arg(value)
            .arg("NX")
            .arg("PX")
            .arg(lives.as_millis().max(1).to_string());
        let command = &command;
        let written: Option<String> = self
            .bounded(|mut connection| async move { command.query_async(&mut connection).await })
            .await?;
        Ok(written.is_some())
    }

    /// Takes one name out of a sorted set and out of two hashes.
    pub(crate) async fn forget(&self, name: &str, [set, first, second]: [&str; 3]) -> Result<(), RedisTrouble> {
        let key = |what: &str| format!("{}{what}", self.prefix);
        let mut pipeline = redis::pipe();
        pipeline.zrem(key(set), name).ignore();
        pipeline.hdel(key(first), name).ignore();
        pipeline.hdel(key(second), name).ignore();
        let pipeline = &pipeline;
        self.bounded(|mut connection| async move { pipeline.query_async(&mut connection).await })
            .await
    }

    async fn bounded<T, F>(&self, exchange: impl Fn(MultiplexedConnection) -> F) -> Result<T, RedisTrouble>
    where
        F: Future<Output = RedisResult<T>>,
    {
        Ok(self.line.query(REDIS_PATIENCE, exchange).await?)
    }
}
