//! The line to Redis: one connection for a whole process, on which what is asked at one moment leaves in one packet.
//!
//! A pool costs more than it gives here: each use of a pooled connection begins with a ping, so that every question takes two
//! round trips and three commands. One connection is never checked; when it turns out to be cut, the question is asked once
//! more on a new one. So a question must be one that may be asked twice.

use std::fmt;
use std::time::Duration;

use arrakis_config::Secret;
use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{AsyncConnectionConfig, Client, RedisError, RedisResult};
use parking_lot::Mutex;

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// Not within the time: hung, overloaded, or the network swallows packets.
    Silent,
    /// Redis, or the way to it, says why.
    Error(RedisError),
}

/// A connection, told apart from those before and after it.
#[derive(Clone)]
struct Open {
    number: u64,
    connection: MultiplexedConnection,
}

/// The line. Connects when it is first used, and again when the connection is lost.
pub struct Line {
    client: Client,
    open: Mutex<Option<Open>>,
    /// Held by the one who connects; counts connections.
    opening: tokio::sync::Mutex<u64>,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("open", &self.open.lock().is_some())
            .finish_non_exhaustive()
    }
}

impl Line {
    /// A line to this address.
    ///
    /// # Errors
    /// The address is no Redis URL; the error may quote it, with its password.
    pub fn new(url: &Secret) -> RedisResult<Self> {
        Ok(Self {
            client: Client::open(url.expose())?,
            open: Mutex::new(None),
            opening: tokio::sync::Mutex::new(0),
        })
    }

    /// Asks within `limit`, connecting included. `ask` may run twice: a second time when the connection had been cut.
    ///
    /// # Errors
    /// Why there is no answer; then the next question is asked on a new connection.
    pub async fn ask<T, F>(&self, limit: Duration, ask: impl Fn(MultiplexedConnection) -> F) -> Result<T, NoAnswer>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let mut used = None;
        let asked = tokio::time::timeout(limit, async {
            loop {
                let (Open { number, connection }, is_new) = self.connection().await?;
                used = Some(number);
                match ask(connection).await {
                    Err(error) if error.is_connection_dropped() && !is_new => self.let_go(number),
                    answer => return answer,
                }
            }
        });
        let answer = match asked.await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => NoAnswer::Error(error),
            Err(_) => NoAnswer::Silent,
        };
        // Whatever it still owes, nobody else shall wait behind it. One that refuses may be a replica by now.
        if let Some(number) = used {
            self.let_go(number);
        }
        Err(answer)
    }

    fn current(&self) -> Option<Open> {
        self.open.lock().clone()
    }

    fn let_go(&self, number: u64) {
        let mut open = self.open.lock();
        if open.as_ref().is_some_and(|open| open.number == number) {
            *open = None;
        }
    }

    /// The connection, and whether it was made just now.
    async fn connection(&self) -> RedisResult<(Open, bool)> {
        if let Some(open) = self.current() {
            return Ok((open, false));
        }
        let mut opened = self.opening.lock().await;
        if let Some(open) = self.current() {
            return Ok((open, false));
        }
        // Time is bounded once, around everything.
        let unbounded = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let connection = self
            .client
            .get_multiplexed_async_connection_with_config(&unbounded)
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
