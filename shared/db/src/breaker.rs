//! Stops asking a pool that gives no connections, and asks again by itself.
//!
//! Without it every handler waits the whole time that the pool allows, and holds a place in the consumer meanwhile: a command
//! that needs no database waits behind those that cannot have one. Open, it refuses at once, as a failure that passes; the
//! message waits in a retry queue. After a pause one caller is let through, and what becomes of it decides.

use std::future::Future;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Failures in a row, each of a caller of its own, that open it.
const FAILURES: u32 = 5;
/// Pause before the first caller is let through; doubles up to [`LONGEST`].
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(2);
/// How often a patient caller looks.
const LOOK: Duration = Duration::from_millis(20);
/// A caller that was let through and has said nothing for so long was cancelled.
const TRIES_WITHIN: Duration = Duration::from_secs(5);

tokio::task_local! {
    static PATIENCE: Duration;
}

/// Does work that nobody waits for: where the breaker would refuse it, it waits for its turn, this long at most. Such work
/// then stays where it is while Postgres is away, instead of using up its retries. All such work together has half of the
/// pool's connections (`background.rs`), so that what somebody waits for never waits behind it.
pub async fn patiently<F: Future>(limit: Duration, work: F) -> F::Output {
    PATIENCE.scope(limit, work).await
}

/// How long the work under way may wait; `None` where somebody waits for it.
pub(crate) fn patience() -> Option<Duration> {
    PATIENCE.try_with(|patience| *patience).ok()
}

/// Shared by all clones of a database.
#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// When the next caller is let through, and the pause after that.
    open: Option<(Instant, Duration)>,
    openings: u64,
}

impl Breaker {
    /// Whether a caller may ask for a connection now.
    pub(crate) fn permits(&self) -> bool {
        let mut state = self.0.lock();
        let Some((next, pause)) = state.open else { return true };
        if Instant::now() < next {
            return false;
        }
        // This caller tries; the others wait for what becomes of it.
        state.open = Some((Instant::now() + TRIES_WITHIN, pause));
        true
    }

    /// Waits until a caller may ask, for as long as it is [`patiently`] done; false when it may not.
    pub(crate) async fn admits(&self) -> bool {
        let deadline = Instant::now() + patience().unwrap_or_default();
        while !self.permits() {
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
        true
    }

    /// Notes what became of asking. Answers whether that opened it.
    pub(crate) fn note(&self, given: bool) -> bool {
        let mut state = self.0.lock();
        if given {
            state.failures = 0;
            state.open = None;
            return false;
        }
        state.failures += 1;
        match state.open {
            Some((_, pause)) => {
                let pause = (pause * 2).min(LONGEST);
                state.open = Some((Instant::now() + pause, pause));
                false
            }
            None if state.failures >= FAILURES => {
                state.open = Some((Instant::now() + PAUSE, PAUSE));
                state.openings += 1;
                true
            }
            None => false,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.0.lock().open.is_some()
    }

    pub(crate) fn openings(&self) -> u64 {
        self.0.lock().openings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_not_after_scattered_ones() {
        let breaker = Breaker::default();
        for _ in 0..FAILURES * 2 {
            assert!(breaker.permits());
            breaker.note(false);
            breaker.note(true);
        }
        assert!(!breaker.is_open());
        let opened: Vec<bool> = (0..FAILURES).map(|_| breaker.note(false)).collect();
        assert_eq!(opened.iter().filter(|opened| **opened).count(), 1);
        assert!(breaker.is_open() && !breaker.permits() && breaker.openings() == 1);
    }

    #[tokio::test]
    async fn who_is_patient_waits_and_who_is_not_is_refused_at_once() {
        let breaker = Breaker::default();
        (0..FAILURES).for_each(|_| assert!(breaker.permits() && breaker.note(false) == breaker.is_open()));
        assert!(!breaker.admits().await);
        assert!(patiently(Duration::from_secs(60), breaker.admits()).await);
    }

    #[tokio::test]
    async fn one_caller_tries_and_a_success_closes_it() {
        let breaker = Breaker::default();
        (0..FAILURES).for_each(|_| {
            assert!(breaker.permits());
            breaker.note(false);
        });
        tokio::time::sleep(PAUSE + Duration::from_millis(20)).await;
        assert!(breaker.permits());
        assert!(!breaker.permits(), "a second caller must wait for the first");
        assert!(!breaker.note(false), "it was open already");
        tokio::time::sleep(PAUSE * 2 + Duration::from_millis(20)).await;
        assert!(breaker.permits());
        breaker.note(true);
        assert!(breaker.permits() && breaker.permits() && !breaker.is_open());
    }
}
