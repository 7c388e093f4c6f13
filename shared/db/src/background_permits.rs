//! Limits the share of the pool that background work (events, jobs) may use.
//!
//! Events and jobs come in any number and keep connections busy as long as there are some. A command that came then would
//! wait behind them for a connection, although its first response is due within three seconds. So work within
//! [`crate::with_connection_wait`] acquires a permit before a connection, and there are half as many permits as
//! connections: the other half is reserved for interactive work. Waiting for a permit is no sign of an unavailable
//! PostgreSQL, so the circuit breaker does not count it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::circuit_breaker::connection_wait;

/// The permits. All clones of a [`crate::Database`] share them.
#[derive(Clone, Debug)]
pub(crate) struct BackgroundPermits(Arc<Semaphore>);

/// A permit, returned when dropped; `None` for interactive work, which needs none.
pub(crate) type BackgroundPermit = Option<OwnedSemaphorePermit>;

impl BackgroundPermits {
    /// Permits for half of this many connections, and at least one.
    pub(crate) fn for_connections(connections: u32) -> Self {
        let permits = usize::try_from(connections / 2).unwrap_or(usize::MAX).max(1);
        Self(Arc::new(Semaphore::new(permits)))
    }

    /// Waits for a permit: for the connection wait of the current work, and at least for `acquire_timeout`.
    ///
    /// # Errors
    /// [`sqlx::Error::PoolTimedOut`] when none became free in time.
    pub(crate) async fn acquire(&self, acquire_timeout: Duration) -> Result<BackgroundPermit, sqlx::Error> {
        let Some(wait) = connection_wait() else {
            return Ok(None);
        };
        let permit = self.0.clone().acquire_owned();
        match tokio::time::timeout(wait.max(acquire_timeout), permit).await {
            Ok(Ok(permit)) => Ok(Some(permit)),
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => Err(sqlx::Error::PoolTimedOut),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::with_connection_wait;

    #[tokio::test]
    async fn background_work_has_half_of_the_permits_and_interactive_work_needs_none() {
        let permits = BackgroundPermits::for_connections(4);
        let limit = Duration::from_millis(10);
        let background = |limit| with_connection_wait(Duration::from_millis(10), permits.acquire(limit));
        let first = background(limit).await.unwrap();
        let second = background(limit).await.unwrap();
        assert!(first.is_some() && second.is_some());
        assert!(background(limit).await.is_err(), "there is no third permit");
        assert!(
            permits.acquire(limit).await.unwrap().is_none(),
            "interactive work needs no permit"
        );
        drop(first);
        assert!(background(limit).await.is_ok());
    }
}
