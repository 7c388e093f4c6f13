//! Stops asking a pool that gives too few connections, and asks again by itself.
//!
//! Without it every handler waits the whole time that the pool allows, and holds a place in the consumer meanwhile: a command
//! that needs no database waits behind those that cannot have one. Open, it refuses at once, as a failure that passes; the
//! message waits in a retry queue.
//!
//! It looks at the share of callers that got none, among the last ones of the last seconds, and not at failures in a row: a
//! Postgres at its limit still gives a connection now and then, and each of those would begin the row anew. After a pause a
//! few callers are let through: all of them must be served to close it, and one that is not opens it again for longer.

use std::collections::VecDeque;
use std::future::Future;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Outcomes that are looked at: so many at most, and none that is older.
const LAST: usize = 20;
const LATELY: Duration = Duration::from_secs(10);
/// Fewer outcomes tell nothing.
const FEWEST: usize = 5;
/// One failure among so many outcomes opens it.
const ONE_IN: usize = 3;
/// Pause before callers are let through; doubles up to [`LONGEST`].
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(2);
/// How many are let through after a pause, and must be served.
const TRIES: usize = 3;
/// Who waited so long before it gave up would have been served by a pool that has connections.
const LONG_ENOUGH: Duration = Duration::from_millis(200);
/// How often a patient caller looks.
const LOOK: Duration = Duration::from_millis(20);

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
pub(crate) struct Breaker(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// When each of the last callers was served, or was not.
    outcomes: VecDeque<(Instant, bool)>,
    state: State,
    openings: u64,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Closed,
    /// Nobody is let through until then.
    Open { until: Instant, pause: Duration },
    /// A few are let through: so many still may, and so many must still be served.
    Trying { may: usize, must: usize, pause: Duration },
}

/// A caller that was let through. Dropped without a word, it gave up: that counts against the pool if it had waited.
#[derive(Debug)]
#[must_use]
pub(crate) struct Attempt<'a> {
    breaker: &'a Breaker,
    begun: Instant,
    told: bool,
}

impl Breaker {
    /// Lets a caller ask for a connection now; `None` refuses it.
    pub(crate) fn permit(&self) -> Option<Attempt<'_>> {
        let mut inner = self.0.lock();
        match &mut inner.state {
            State::Closed => {}
            State::Open { until, pause } => {
                if Instant::now() < *until {
                    return None;
                }
                inner.state = State::Trying {
                    may: TRIES - 1,
                    must: TRIES,
                    pause: *pause,
                };
            }
            State::Trying { may: 0, .. } => return None,
            State::Trying { may, .. } => *may -= 1,
        }
        Some(Attempt {
            breaker: self,
            begun: Instant::now(),
            told: false,
        })
    }

    /// As [`Breaker::permit`], waiting for as long as the work is done [`patiently`].
    pub(crate) async fn admit(&self) -> Option<Attempt<'_>> {
        let deadline = Instant::now() + patience().unwrap_or_default();
        loop {
            let attempt = self.permit();
            if attempt.is_some() || Instant::now() >= deadline {
                return attempt;
            }
            tokio::time::sleep(LOOK).await;
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
    /// Notes whether a connection was given. Answers whether that opened the breaker.
    pub(crate) fn tell(mut self, given: bool) -> bool {
        self.told = true;
        self.breaker.0.lock().note(given)
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.told {
            return;
        }
        let mut inner = self.breaker.0.lock();
        if self.begun.elapsed() >= LONG_ENOUGH {
            inner.note(false);
        } else if let State::Trying { may, .. } = &mut inner.state {
            // Nobody knows; another may try in its place.
            *may = (*may + 1).min(TRIES);
        }
    }
}

impl Inner {
    fn note(&mut self, given: bool) -> bool {
        let now = Instant::now();
        self.outcomes.push_back((now, given));
        let is_past = |(at, _): &(Instant, bool)| now.duration_since(*at) > LATELY;
        while self.outcomes.len() > LAST || self.outcomes.front().is_some_and(is_past) {
            self.outcomes.pop_front();
        }
        let failing = !given && self.is_failing();
        match &mut self.state {
            State::Closed if failing => {
                self.openings += 1;
                self.open(now, PAUSE);
                return true;
            }
            // Who was let through before it opened says nothing new.
            State::Closed | State::Open { .. } => {}
            State::Trying { pause, .. } if !given => {
                let longer = (*pause * 2).min(LONGEST);
                self.open(now, longer);
            }
            // What failed before stays in view: the next failure opens it again at once.
            State::Trying { must: 1, .. } => self.state = State::Closed,
            State::Trying { must, .. } => *must -= 1,
        }
        false
    }

    fn is_failing(&self) -> bool {
        let all = self.outcomes.len();
        let failed = self.outcomes.iter().filter(|(_, given)| !given).count();
        all >= FEWEST && failed * ONE_IN >= all
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

    fn ask(breaker: &Breaker, given: bool) -> bool {
        breaker.permit().unwrap().tell(given)
    }

    fn opened() -> Breaker {
        let breaker = Breaker::default();
        let openings = (0..FEWEST).filter(|_| ask(&breaker, false)).count();
        assert_eq!(openings, 1);
        assert!(breaker.is_open() && breaker.permit().is_none() && breaker.openings() == 1);
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_now_and_then_does_not_keep_it_closed() {
        let breaker = Breaker::default();
        let outcomes = [true, true, false].into_iter().cycle().take(FEWEST + 1);
        let openings = outcomes.filter(|given| ask(&breaker, *given)).count();
        assert_eq!(openings, 1);
        assert!(breaker.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn few_failures_and_old_ones_do_not_open_it() {
        let breaker = Breaker::default();
        for _ in 0..LAST {
            (0..ONE_IN).for_each(|_| assert!(!ask(&breaker, true)));
            assert!(!ask(&breaker, false));
        }
        tokio::time::advance(LATELY + MOMENT).await;
        (1..FEWEST).for_each(|_| assert!(!ask(&breaker, false)));
        tokio::time::advance(LATELY + MOMENT).await;
        assert!(!ask(&breaker, false));
        assert!(!breaker.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_patient_waits_and_who_is_not_is_refused_at_once() {
        let breaker = opened();
        assert!(breaker.admit().await.is_none());
        assert!(patiently(Duration::from_secs(60), breaker.admit()).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_try_and_all_of_them_must_be_served() {
        let breaker = opened();
        tokio::time::advance(PAUSE).await;
        let tries: Vec<_> = std::iter::from_fn(|| breaker.permit()).collect();
        assert_eq!(tries.len(), TRIES);
        let mut tries = tries.into_iter();
        tries.next().unwrap().tell(true);
        assert!(!tries.next().unwrap().tell(false), "it was open already");
        drop(tries);
        tokio::time::advance(PAUSE).await;
        assert!(breaker.permit().is_none(), "the pause has doubled");
        tokio::time::advance(PAUSE).await;
        (0..TRIES).for_each(|_| assert!(breaker.is_open() && !ask(&breaker, true)));
        assert!(!breaker.is_open());
        assert!(ask(&breaker, false), "what failed a moment ago is not forgotten");
        assert_eq!(breaker.openings(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_counts_if_it_had_waited() {
        let breaker = Breaker::default();
        (0..LAST).for_each(|_| drop(breaker.permit()));
        assert!(!breaker.is_open());
        for _ in 0..FEWEST {
            let attempt = breaker.permit();
            tokio::time::advance(LONG_ENOUGH).await;
            drop(attempt);
        }
        assert!(breaker.is_open());
        tokio::time::advance(PAUSE).await;
        (0..LAST).for_each(|_| drop(breaker.permit().expect("a try that was given back")));
    }
}
