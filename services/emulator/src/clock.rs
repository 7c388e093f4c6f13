//! The emulator's clock: real time plus an offset that the control API moves.
//!
//! Everything that compares times uses this clock, so that a test can skip fifteen minutes. It never goes backwards.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::sync::watch;

use crate::model::Timestamp;

/// A clock that can be moved forward. Clones share it.
#[derive(Clone, Debug)]
pub struct Clock {
    offset_ms: Arc<AtomicU64>,
    moved: watch::Sender<u64>,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            offset_ms: Arc::default(),
            moved: watch::Sender::new(0),
        }
    }
}

impl Clock {
    /// Unix milliseconds now.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        real_ms() + self.offset_ms.load(Ordering::SeqCst)
    }

    /// Now, in the form that JSON uses.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp(self.now_ms())
    }

    /// Milliseconds by which the clock is ahead of real time.
    #[must_use]
    pub fn offset_ms(&self) -> u64 {
        self.offset_ms.load(Ordering::SeqCst)
    }

    /// Moves the clock forward by this many milliseconds and wakes all tasks that wait for a time.
    pub fn advance(&self, ms: u64) {
        self.offset_ms.fetch_add(ms, Ordering::SeqCst);
        self.moved.send_modify(|count| *count += 1);
    }

    /// Moves the clock to a later time. Returns `false` and changes nothing when the time is in the past.
    #[must_use]
    pub fn set(&self, to: Timestamp) -> bool {
        let now = self.now_ms();
        if to.0 < now {
            return false;
        }
        self.advance(to.0 - now);
        true
    }

    /// Waits until the clock reaches this time (Unix milliseconds), whether real time passes or the clock is moved.
    pub async fn sleep_until(&self, deadline_ms: u64) {
        let mut moved = self.moved.subscribe();
        loop {
            let now = self.now_ms();
            if now >= deadline_ms {
                return;
            }
            let wait = Duration::from_millis(deadline_ms - now);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = moved.changed() => {}
            }
        }
    }
}

fn real_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn moved_clock_wakes_waiting_tasks() {
        let clock = Clock::default();
        let deadline = clock.now_ms() + 3_600_000;
        let waiting = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_until(deadline).await }
        });
        clock.advance(3_600_001);
        waiting.await.unwrap();
    }

    #[test]
    fn it_does_not_go_back() {
        let clock = Clock::default();
        assert!(!clock.set(Timestamp(1)));
        assert!(clock.now_ms() > 1_700_000_000_000);
    }
}
