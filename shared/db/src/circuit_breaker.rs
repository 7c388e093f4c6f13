//! Circuit breaker of the pool: refuses callers at once while the pool has no connections, and tries again by itself.
//!
//! Without it every handler waits for the whole acquire timeout and occupies a slot of the consumer meanwhile: a command
//! that needs no database waits behind those that get no connection. While the circuit is open a query fails at once with a
//! transient error, and the message waits in a retry queue.
//!
//! It opens by the share of recent callers that got no connection, and not by failures in a row: an overloaded PostgreSQL
//! still serves a connection now and then, and each of those would restart such a row. After a pause a few callers are
//! admitted as probes (half-open). All of them must be served to close the circuit; one that is not served opens it again
//! for longer.

use std::collections::VecDeque;
use std::future::Future;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Outcomes that are considered: at most this many, and none that is older than [`WINDOW`].
const WINDOW_OUTCOMES: usize = 20;
const WINDOW: Duration = Duration::from_secs(10);
/// Fewer outcomes never open the circuit.
const MIN_OUTCOMES: usize = 5;
/// One failure among this many outcomes opens the circuit.
const FAILURE_DIVISOR: usize = 3;
/// Pause before probes are admitted; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Callers that are admitted after a pause, all of which must be served.
const PROBES: usize = 3;
/// A caller that was cancelled after this wait counts as not served: a pool with connections would have served it.
const MIN_WAIT: Duration = Duration::from_millis(200);
/// How often a waiting caller tries again.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

tokio::task_local! {
    static CONNECTION_WAIT: Duration;
}

/// Runs background work (an event, a job), in which a query waits up to `limit` where the circuit breaker would refuse it
/// at once.
///
/// The work then pauses while PostgreSQL is unavailable, instead of using up its retries. All background work together may
/// use half of the pool's connections, so that interactive work never waits behind it.
pub async fn with_connection_wait<F: Future>(limit: Duration, work: F) -> F::Output {
    CONNECTION_WAIT.scope(limit, work).await
}

/// How long the current work may wait for a connection; `None` for interactive work.
pub(crate) fn connection_wait() -> Option<Duration> {
    CONNECTION_WAIT.try_with(|limit| *limit).ok()
}

/// The circuit breaker. All clones of a [`crate::Database`] share it.
#[derive(Debug, Default)]
pub(crate) struct CircuitBreaker(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// When the last callers ended, and whether each was served.
    outcomes: VecDeque<(Instant, bool)>,
    state: State,
    openings: u64,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Closed,
    /// Every caller is refused until this time.
    Open { until: Instant, pause: Duration },
    /// Probes are admitted: so many are not sent yet, and so many are not served yet.
    HalfOpen {
        unsent: usize,
        unserved: usize,
        pause: Duration,
    },
}

/// An admitted caller. Dropped without [`Attempt::record`], it was cancelled; that counts as not served after [`MIN_WAIT`].
#[derive(Debug)]
#[must_use]
pub(crate) struct Attempt<'a> {
    breaker: &'a CircuitBreaker,
    begun: Instant,
    recorded: bool,
}

impl CircuitBreaker {
    /// Admits a caller to the pool, or refuses it with `None`.
    pub(crate) fn try_admit(&self) -> Option<Attempt<'_>> {
        let mut inner = self.0.lock();
        match &mut inner.state {
            State::Closed => {}
            State::Open { until, pause } => {
                if Instant::now() < *until {
                    return None;
                }
                inner.state = State::HalfOpen {
                    unsent: PROBES - 1,
                    unserved: PROBES,
                    pause: *pause,
                };
            }
            State::HalfOpen { unsent: 0, .. } => return None,
            State::HalfOpen { unsent, .. } => *unsent -= 1,
        }
        Some(Attempt {
            breaker: self,
            begun: Instant::now(),
            recorded: false,
        })
    }

    /// As [`CircuitBreaker::try_admit`]; within [`with_connection_wait`] it waits for admission.
    pub(crate) async fn admit(&self) -> Option<Attempt<'_>> {
        let deadline = Instant::now() + connection_wait().unwrap_or_default();
        loop {
            let attempt = self.try_admit();
            if attempt.is_some() || Instant::now() >= deadline {
                return attempt;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.0.lock().state, State::Closed)
    }

    pub(crate) fn openings(&self) -> u64 {
        self.0.lock().openings
    }
}

impl Attempt<'_> {
    /// Records whether the caller was served. True when that opened the circuit.
    pub(crate) fn record(mut self, served: bool) -> bool {
        self.recorded = true;
        self.breaker.0.lock().record(served)
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.recorded {
            return;
        }
        let mut inner = self.breaker.0.lock();
        if self.begun.elapsed() >= MIN_WAIT {
            inner.record(false);
        } else if let State::HalfOpen { unsent, .. } = &mut inner.state {
            // The outcome is unknown; another caller may be the probe instead.
            *unsent = (*unsent + 1).min(PROBES);
        }
    }
}

impl Inner {
    fn record(&mut self, served: bool) -> bool {
        let now = Instant::now();
        self.outcomes.push_back((now, served));
        let is_old = |(at, _): &(Instant, bool)| now.duration_since(*at) > WINDOW;
        while self.outcomes.len() > WINDOW_OUTCOMES || self.outcomes.front().is_some_and(is_old) {
            self.outcomes.pop_front();
        }
        let failing = !served && self.is_failing();
        match &mut self.state {
            State::Closed if failing => {
                self.openings += 1;
                self.open(now, FIRST_PAUSE);
                return true;
            }
            // A caller that was admitted before the circuit opened adds nothing.
            State::Closed | State::Open { .. } => {}
            State::HalfOpen { pause, .. } if !served => {
                let longer = (*pause * 2).min(LONGEST_PAUSE);
                self.open(now, longer);
            }
            // Earlier failures stay in the window: the next failure opens the circuit again at once.
            State::HalfOpen { unserved: 1, .. } => self.state = State::Closed,
            State::HalfOpen { unserved, .. } => *unserved -= 1,
        }
        false
    }

    fn is_failing(&self) -> bool {
        let all = self.outcomes.len();
        let failed = self.outcomes.iter().filter(|(_, served)| !served).count();
        all >= MIN_OUTCOMES && failed * FAILURE_DIVISOR >= all
    }

    fn open(&mut self, now: Instant, pause: Duration) {
        self.state = State::Open {
            until: now + pause,
            pause,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(20);

    fn attempt(breaker: &CircuitBreaker, served: bool) -> bool {
        breaker.try_admit().unwrap().record(served)
    }

    fn opened() -> CircuitBreaker {
        let breaker = CircuitBreaker::default();
        let openings = (0..MIN_OUTCOMES).filter(|_| attempt(&breaker, false)).count();
        assert_eq!(openings, 1);
        assert!(breaker.is_open() && breaker.try_admit().is_none() && breaker.openings() == 1);
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn some_served_callers_do_not_keep_the_circuit_closed() {
        let breaker = CircuitBreaker::default();
        let outcomes = [true, true, false].into_iter().cycle().take(MIN_OUTCOMES + 1);
        let openings = outcomes.filter(|served| attempt(&breaker, *served)).count();
        assert_eq!(openings, 1);
        assert!(breaker.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn few_or_old_failures_do_not_open_the_circuit() {
        let breaker = CircuitBreaker::default();
        for _ in 0..WINDOW_OUTCOMES {
            (0..FAILURE_DIVISOR).for_each(|_| assert!(!attempt(&breaker, true)));
            assert!(!attempt(&breaker, false));
        }
        tokio::time::advance(WINDOW + MOMENT).await;
        (1..MIN_OUTCOMES).for_each(|_| assert!(!attempt(&breaker, false)));
        tokio::time::advance(WINDOW + MOMENT).await;
        assert!(!attempt(&breaker, false));
        assert!(!breaker.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn background_work_waits_while_open_and_interactive_work_is_refused() {
        let breaker = opened();
        assert!(breaker.admit().await.is_none());
        assert!(
            with_connection_wait(Duration::from_secs(60), breaker.admit())
                .await
                .is_some()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn circuit_closes_only_when_all_probes_are_served() {
        let breaker = opened();
        tokio::time::advance(FIRST_PAUSE).await;
        let probes: Vec<_> = std::iter::from_fn(|| breaker.try_admit()).collect();
        assert_eq!(probes.len(), PROBES);
        let mut probes = probes.into_iter();
        probes.next().unwrap().record(true);
        assert!(!probes.next().unwrap().record(false), "the circuit was open already");
        drop(probes);
        tokio::time::advance(FIRST_PAUSE).await;
        assert!(breaker.try_admit().is_none(), "the pause has doubled");
        tokio::time::advance(FIRST_PAUSE).await;
        (0..PROBES).for_each(|_| assert!(breaker.is_open() && !attempt(&breaker, true)));
        assert!(!breaker.is_open());
        assert!(attempt(&breaker, false), "recent failures stay in the window");
        assert_eq!(breaker.openings(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn cancelled_caller_counts_as_not_served_if_it_waited() {
        let breaker = CircuitBreaker::default();
        (0..WINDOW_OUTCOMES).for_each(|_| drop(breaker.try_admit()));
        assert!(!breaker.is_open());
        for _ in 0..MIN_OUTCOMES {
            let attempt = breaker.try_admit();
            tokio::time::advance(MIN_WAIT).await;
            drop(attempt);
        }
        assert!(breaker.is_open());
        tokio::time::advance(FIRST_PAUSE).await;
        (0..WINDOW_OUTCOMES).for_each(|_| drop(breaker.try_admit().expect("a probe that was returned")));
    }
}
