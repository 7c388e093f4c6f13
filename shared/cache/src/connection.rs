//! One multiplexed Redis connection for a whole process: commands that are sent at the same time share packets.
//!
//! A pool costs more than it gives here: each use of a pooled connection begins with a `PING`, so that every command takes
//! two round trips. This connection is never checked. When it turns out to be closed, the command is sent once more on a
//! new one, so a command must be safe to repeat. Why not redis' `ConnectionManager`: `docs/decisions/0037`.

use std::fmt;
use std::time::Duration;

use arrakis_config::Secret;
use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{AsyncConnectionConfig, Client, RedisError, RedisResult};
use parking_lot::Mutex;

/// Why a command has no response.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// No response within the time limit: Redis hangs, is overloaded, or the network drops packets.
    #[error("no response within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// Redis refused the command, or the connection failed.
    #[error(transparent)]
    Redis(#[from] RedisError),
}

/// An open connection with its number, which distinguishes it from earlier and later ones.
#[derive(Clone)]
struct Open {
    number: u64,
    connection: MultiplexedConnection,
}

/// A Redis connection. It is opened when it is first used, and again after it was lost.
pub struct RedisConnection {
    client: Client,
    open: Mutex<Option<Open>>,
    /// Locked while a connection is opened; counts connections.
    opening: tokio::sync::Mutex<u64>,
}

impl fmt::Debug for RedisConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConnection")
            .field("open", &self.open.lock().is_some())
            .finish_non_exhaustive()
    }
}

impl RedisConnection {
    /// A connection to this URL; nothing is sent yet.
    ///
    /// # Errors
    /// When the address is not a Redis URL. The error may quote the URL with its password.
    pub fn new(url: &Secret) -> RedisResult<Self> {
        Ok(Self {
            client: Client::open(url.expose())?,
            open: Mutex::new(None),
            opening: tokio::sync::Mutex::new(0),
        })
    }

    /// Runs `query` on the connection within `limit`, connecting included. `query` runs a second time, on a new connection,
    /// when the connection turns out to be closed.
    ///
    /// # Errors
    /// When there is no response; the next query then opens a new connection.
    pub async fn query<T, F>(
        &self,
        limit: Duration,
        query: impl Fn(MultiplexedConnection) -> F,
    ) -> Result<T, QueryError>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let mut used = None;
        let responded = tokio::time::timeout(limit, async {
            loop {
                let (Open { number, connection }, is_new) = self.connection().await?;
                used = Some(number);
                match query(connection).await {
                    Err(error) if error.is_connection_dropped() && !is_new => self.discard(number),
                    response => return response,
                }
            }
        });
        let error = match responded.await {
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(error)) => error.into(),
            Err(_) => QueryError::TimedOut(limit),
        };
        // Pending responses on this connection would delay later commands. A server that refuses commands may be a replica
        // by now.
        if let Some(number) = used {
            self.discard(number);
        }
        Err(error)
    }

    fn current(&self) -> Option<Open> {
        self.open.lock().clone()
    }

    fn discard(&self, number: u64) {
        let mut open = self.open.lock();
        if open.as_ref().is_some_and(|open| open.number == number) {
            *open = None;
        }
    }

    /// The connection, and whether this call opened it.
    async fn connection(&self) -> RedisResult<(Open, bool)> {
        if let Some(open) = self.current() {
            return Ok((open, false));
        }
        let mut opened = self.opening.lock().await;
        if let Some(open) = self.current() {
            return Ok((open, false));
        }
        // `query` has one time limit around everything.
        let without_limits = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let connection = self
            .client
            .get_multiplexed_async_connection_with_config(&without_limits)
            .await?;
        *opened += 1;
        let open = Open {
            number: *opened,
            connection,
        };
        *self.open.lock() = Some(open.clone());
        Ok((open, true))
    }
}
