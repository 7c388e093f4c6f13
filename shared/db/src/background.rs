//! The share of the pool that work has for which nobody waits.
//!
//! Jobs and events come in any number and keep connections busy for as long as there are some; a command that came then would
//! wait behind them for a connection, and its member has three seconds. So what is done [`crate::patiently`] takes a place
//! here first, and there are half as many places as connections: the other half is the commands' alone. To wait for a place
//! says nothing about Postgres, so the breaker hears nothing of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::breaker::patience;

/// The places. Shared by all clones of a database.
#[derive(Clone, Debug)]
pub(crate) struct Background(Arc<Semaphore>);

/// A place, for as long as it is kept; nothing for what somebody waits for.
pub(crate) type Place = Option<OwnedSemaphorePermit>;

impl Background {
    /// Half of this many connections, and one at least.
    pub(crate) fn of(connections: u32) -> Self {
        let places = usize::try_from(connections / 2).unwrap_or(usize::MAX).max(1);
        Self(Arc::new(Semaphore::new(places)))
    }

    /// Waits for a place, as long as the work under way is patient and a pool would wait at least.
    ///
    /// # Errors
    /// When none came free, as a pool says it.
    pub(crate) async fn place(&self, acquire_timeout: Duration) -> Result<Place, sqlx::Error> {
        let Some(patience) = patience() else { return Ok(None) };
        let place = self.0.clone().acquire_owned();
        match tokio::time::timeout(patience.max(acquire_timeout), place).await {
            Ok(Ok(place)) => Ok(Some(place)),
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => Err(sqlx::Error::PoolTimedOut),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patiently;

    #[tokio::test]
    async fn patient_work_has_half_and_what_is_waited_for_needs_no_place() {
        let background = Background::of(4);
        let limit = Duration::from_millis(10);
        let patient = |limit| patiently(Duration::from_millis(10), background.place(limit));
        let first = patient(limit).await.unwrap();
        let second = patient(limit).await.unwrap();
        assert!(first.is_some() && second.is_some());
        assert!(patient(limit).await.is_err(), "a third has no place");
        assert!(
            background.place(limit).await.unwrap().is_none(),
            "who is waited for asks for none"
        );
        drop(first);
        assert!(patient(limit).await.is_ok());
    }
}
