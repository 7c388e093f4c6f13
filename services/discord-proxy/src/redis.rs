//! Access to the Redis that all replicas share: each query has a deadline, and errors are distinguished by their cause.
//!
//! A query may run twice when its connection was cut; every script then counts too much rather than too little.
//!
//! All keys but the kill switch's have one prefix. It contains the token's fingerprint, so that two bots may share a Redis and a new token starts without
//! old data, and a hash tag, so that a cluster keeps the keys in one slot. Every key has a time to live.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrakis_cache::{QueryError, RedisConnection};
use arrakis_config::Secret;
use arrakis_runtime::fail_point;
use arrakis_security::kill_switch::REDIS_KEY;
use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{self, FromRedisValue, RedisResult, Script};

/// Deadline of one query.
const QUERY_TIMEOUT: Duration = Duration::from_millis(150);

/// Why a query failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RedisError {
    /// No response in time: Redis hangs or is overloaded, or the network drops packets.
    #[error("no response within {} ms", QUERY_TIMEOUT.as_millis())]
    Timeout,
    /// No connection.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// An error reply: read-only, out of memory, too few replicas, busy, loading.
    #[error("error reply: {0}")]
    ErrorReply(String),
}

impl From<redis::RedisError> for RedisError {
    fn from(error: redis::RedisError) -> Self {
        if error.is_timeout() {
            return Self::Timeout;
        }
        let text = match error.code() {
            Some("READONLY") => "read-only, the server is a replica (READONLY)",
            Some("OOM") => "out of memory (OOM)",
            Some("NOREPLICAS") => "too few replicas (NOREPLICAS)",
            Some("BUSY") => "a script exceeds its time (BUSY)",
            Some("LOADING") => "the data is being loaded (LOADING)",
            Some("MISCONF") => "the data cannot be saved to disk (MISCONF)",
            Some("NOAUTH" | "WRONGPASS") => "wrong password (NOAUTH)",
            Some("NOPERM") => "the user has no permission for the command (NOPERM)",
            Some(_) => return Self::ErrorReply(error.to_string()),
            None => return Self::Unreachable(error.to_string()),
        };
        Self::ErrorReply(text.to_owned())
    }
}

impl From<QueryError> for RedisError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::TimedOut(_) => Self::Timeout,
            QueryError::Redis(error) => error.into(),
        }
    }
}

/// The keys of one bot token in Redis.
#[derive(Clone)]
pub(crate) struct Redis {
    connection: Arc<RedisConnection>,
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
    /// Connects at the first query.
    ///
    /// # Errors
    /// The address is not a Redis URL.
    pub(crate) fn new(url: &Secret, fingerprint: &str) -> Result<Self, String> {
        Ok(Self {
            // The driver's error text may contain the URL, which may contain a password.
            connection: Arc::new(RedisConnection::new(url).map_err(|error| format!("{:?}", error.kind()))?),
            prefix: format!("{{arrakis:proxy:{fingerprint}}}:"),
        })
    }

    /// Runs a script whose only key is the prefix. A script that Redis lost (restart, failover, `SCRIPT FLUSH`) is loaded again.
    pub(crate) async fn run<T: FromRedisValue>(&self, script: &Script, arguments: &[String]) -> Result<T, RedisError> {
        self.query(|mut connection| async move {
            if fail_point::skips("proxy.guard.script") {
                let mut command = redis::cmd("EVALSHA");
                command.arg(script.get_hash()).arg(1).arg(&self.prefix).arg(arguments);
                return command.query_async(&mut connection).await;
            }
            let mut invocation = script.key(&self.prefix);
            invocation.arg(arguments);
            invocation.invoke_async(&mut connection).await
        })
        .await
    }

    /// Sets a key with a time to live.
    pub(crate) async fn set(&self, name: &str, value: &str, ttl: Duration) -> Result<(), RedisError> {
        let mut command = redis::cmd("SET");
        command
            .arg(format!("{}{name}", self.prefix))
            .arg(value)
            .arg("PX")
            .arg(ttl.as_millis().to_string());
        let command = &command;
        self.query(|mut connection| async move { command.query_async(&mut connection).await })
            .await
    }

    /// Sets a key with a time to live unless it exists. Returns whether it was set.
    pub(crate) async fn set_if_absent(&self, name: &str, value: &str, ttl: Duration) -> Result<bool, RedisError> {
        let mut command = redis::cmd("SET");
        command
            .arg(format!("{}{name}", self.prefix))
            .arg(value)
            .arg("NX")
            .arg("PX")
            .arg(ttl.as_millis().max(1).to_string());
        let command = &command;
        let reply: Option<String> = self
            .query(|mut connection| async move { command.query_async(&mut connection).await })
            .await?;
        Ok(reply.is_some())
    }

    /// Removes `member` from a sorted set and from two hashes.
    pub(crate) async fn remove_member(&self, member: &str, [set, first, second]: [&str; 3]) -> Result<(), RedisError> {
        let key = |name: &str| format!("{}{name}", self.prefix);
        let mut pipeline = redis::pipe();
        pipeline.zrem(key(set), member).ignore();
        pipeline.hdel(key(first), member).ignore();
        pipeline.hdel(key(second), member).ignore();
        let pipeline = &pipeline;
        self.query(|mut connection| async move { pipeline.query_async(&mut connection).await })
            .await
    }

    /// The entries of the kill switch, by scope, as bytes: one that is not UTF-8 must not hide the others. They are of the platform, not of a bot token.
    pub(crate) async fn kill_switches(&self) -> Result<HashMap<Vec<u8>, Vec<u8>>, RedisError> {
        let mut command = redis::cmd("HGETALL");
        command.arg(REDIS_KEY);
        let command = &command;
        self.query(|mut connection| async move { command.query_async(&mut connection).await })
            .await
    }

    async fn query<T, F>(&self, query: impl Fn(MultiplexedConnection) -> F) -> Result<T, RedisError>
    where
        F: Future<Output = RedisResult<T>>,
    {
        Ok(self.connection.query(QUERY_TIMEOUT, query).await?)
    }
}
