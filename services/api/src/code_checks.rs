//! Checks of codes: one at a time for each person, in one replica.
//!
//! PostgreSQL checks the codes of a person one after the other, by a lock of the row. Requests that wait there hold a connection each, and many at
//! once would open the circuit breaker for all requests. So they wait here, before they have one.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use arrakis_db::UserId;
use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// The persons whose codes are checked.
#[derive(Debug, Default)]
pub(crate) struct CodeChecks(Mutex<HashMap<UserId, Weak<AsyncMutex<()>>>>);

/// A check in progress; ends with its drop.
#[derive(Debug)]
pub(crate) struct CodeCheck {
    _turn: OwnedMutexGuard<()>,
}

impl CodeChecks {
    /// Waits until no other check of this person is in progress.
    pub(crate) async fn begin(&self, user: UserId) -> CodeCheck {
        let turn = self.turn_of(user);
        CodeCheck {
            _turn: turn.lock_owned().await,
        }
    }

    fn turn_of(&self, user: UserId) -> Arc<AsyncMutex<()>> {
        let mut turns = self.0.lock();
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(&user).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::new(AsyncMutex::new(()));
        turns.insert(user, Arc::downgrade(&turn));
        turn
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn checks_of_one_person_wait_for_each_other() {
        let checks = CodeChecks::default();
        let user = |id| UserId::new(id).unwrap();
        let first = checks.begin(user(7)).await;
        let mut second = Box::pin(checks.begin(user(7)));
        assert!(second.as_mut().now_or_never().is_none());
        // Of another person.
        drop(checks.begin(user(8)).await);
        drop(first);
        drop(second.await);
        drop(checks.begin(user(9)).await);
        assert_eq!(checks.0.lock().len(), 1, "ended ones are forgotten");
    }
}
