//! Lets what may take its consumer down do so alone.
//!
//! When a process dies, the broker delivers all that it held again, the culprit and its neighbours alike, and counts a
//! delivery for each. Were they begun side by side again, the neighbours would reach the delivery limit together with the
//! culprit. So a message that came back several times is a suspect: it waits for a quiet moment and is begun with nothing else under
//! way in this process. Suspects go one by one, by how often they came back and by id: upwards when the most frequent of them
//! came back an even number of times, downwards after an odd one. With each death all counts grow by one, so whoever stood
//! behind the culprit in one round stands before it in the next, whether it came back more or less often: two rounds are enough
//! for those that are held together, and the limit leaves seven.
//!
//! A suspect is alone for a while at most, and waits for its quiet moment no longer than [`PATIENCE`], so that a slow message
//! is no worse than it was. The while is longer the more often a message came back: what is done in a second (a role that waits
//! for its turn at Discord) would else be taken down each time by the culprit that begins half a second after it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

/// What came back together is known together after this long.
const GATHER: Duration = Duration::from_millis(100);
/// How long a suspect waits until nothing else is under way.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a suspect is alone the first time, and how much longer each further time; one that takes longer to do harm is no
/// worse than before.
const ALONE: Duration = Duration::from_millis(500);
/// Longest time alone: members' commands wait as long, and have three seconds.
const LONGEST_ALONE: Duration = Duration::from_secs(2);
/// Returns from which on a message is a suspect. The first few are anybody's: workers leave and are killed, and nobody should
/// wait for that. The delivery limit of 10 leaves more rounds than the two that are needed.
const SUSPICIOUS: u32 = 4;

/// One for each process. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct Isolation(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    alone: bool,
    waiting: Vec<Suspect>,
    /// Which way the suspects that wait now go; decided when the first begins.
    upwards: Option<bool>,
}

impl State {
    /// Whether nobody who waits goes before this one.
    fn is_first(&mut self, suspect: &Suspect) -> bool {
        let most = self.waiting.iter().map(|waiting| waiting.returns).max().unwrap_or(0);
        let upwards = *self.upwards.get_or_insert(most.is_multiple_of(2));
        !self.waiting.iter().any(|other| {
            let order = other.cmp(suspect);
            if upwards { order.is_lt() } else { order.is_gt() }
        })
    }
}

/// A message that came back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Suspect {
    /// How often it came back.
    pub(crate) returns: u32,
    /// Its id.
    pub(crate) id: String,
}

impl Suspect {
    /// `None` for what is beyond suspicion.
    pub(crate) fn of(returns: u32, id: &str) -> Option<Self> {
        (returns >= SUSPICIOUS).then(|| Self {
            returns,
            id: id.to_owned(),
        })
    }

    fn alone_for(&self) -> Duration {
        let times = self.returns.saturating_sub(SUSPICIOUS).saturating_add(1);
        ALONE.saturating_mul(times).min(LONGEST_ALONE)
    }
}

impl Isolation {
    /// Does the work beside others, or alone for a suspect.
    pub(crate) async fn run<F: Future>(&self, suspect: Option<Suspect>, work: F) -> F::Output {
        let Some(suspect) = suspect else {
            let _running = self.beside_others().await;
            return work.await;
        };
        let limit = suspect.alone_for();
        let mut running = self.alone(suspect).await;
        let mut work = pin!(work);
        if let Ok(done) = timeout(limit, &mut work).await {
            return done;
        }
        running.no_longer_alone();
        work.await
    }

    async fn beside_others(&self) -> Running<'_> {
        loop {
            let changed = self.0.changed.notified();
            {
                let mut state = self.0.state.lock();
                if !state.alone {
                    state.running += 1;
                    return Running {
                        inner: &self.0,
                        alone: false,
                    };
                }
            }
            changed.await;
        }
    }

    async fn alone(&self, suspect: Suspect) -> Running<'_> {
        let came = Instant::now();
        let waiting = Waiting::new(&self.0, suspect);
        sleep_until(came + GATHER).await;
        loop {
            let changed = self.0.changed.notified();
            if let Some(running) = waiting.try_begin(came.elapsed() >= PATIENCE) {
                return running;
            }
            tokio::select! {
                () = changed => {}
                () = sleep_until(came + PATIENCE), if came.elapsed() < PATIENCE => {}
            }
        }
    }
}

/// A suspect in the list of those that wait; taken off it when its future is dropped, too.
struct Waiting<'a> {
    inner: &'a Inner,
    suspect: Suspect,
}

impl<'a> Waiting<'a> {
    fn new(inner: &'a Inner, suspect: Suspect) -> Self {
        inner.state.lock().waiting.push(suspect.clone());
        Self { inner, suspect }
    }

    fn try_begin(&self, out_of_patience: bool) -> Option<Running<'a>> {
        let mut state = self.inner.state.lock();
        let quiet = state.running == 0 || out_of_patience;
        if state.alone || !quiet || !state.is_first(&self.suspect) {
            return None;
        }
        state.alone = true;
        Some(Running {
            inner: self.inner,
            alone: true,
        })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.inner.state.lock();
        if let Some(place) = state.waiting.iter().position(|other| *other == self.suspect) {
            state.waiting.swap_remove(place);
        }
        if state.waiting.is_empty() {
            state.upwards = None;
        }
        drop(state);
        self.inner.changed.notify_waiters();
    }
}

struct Running<'a> {
    inner: &'a Inner,
    alone: bool,
}

impl Running<'_> {
    fn no_longer_alone(&mut self) {
        let mut state = self.inner.state.lock();
        state.alone = false;
        state.running += 1;
        self.alone = false;
        drop(state);
        self.inner.changed.notify_waiters();
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = self.inner.state.lock();
        if self.alone {
            state.alone = false;
        } else {
            state.running -= 1;
        }
        drop(state);
        self.inner.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order in which suspects begin, each noted by its id.
    async fn order(suspects: &[(u32, &str)]) -> Vec<String> {
        let isolation = Isolation::default();
        let begun = Mutex::new(Vec::new());
        let all = suspects.iter().map(|(returns, id)| {
            let (isolation, begun) = (&isolation, &begun);
            async move {
                let work = async { begun.lock().push((*id).to_owned()) };
                isolation.run(Suspect::of(*returns, id), work).await;
            }
        });
        futures_util::future::join_all(all).await;
        begun.into_inner()
    }

    #[tokio::test]
    async fn who_stood_behind_in_one_round_stands_before_in_the_next() {
        assert_eq!(order(&[(4, "b"), (4, "c"), (4, "a")]).await, ["a", "b", "c"]);
        assert_eq!(order(&[(5, "b"), (5, "c"), (5, "a")]).await, ["c", "b", "a"]);
        assert_eq!(order(&[(7, "a"), (4, "z"), (5, "m")]).await, ["a", "m", "z"]);
        assert_eq!(order(&[(8, "a"), (5, "z"), (6, "m")]).await, ["z", "m", "a"]);
    }

    /// A neighbour that had come back once before it met the culprit stands behind it, and then before it.
    #[tokio::test]
    async fn who_came_back_more_often_than_the_culprit_has_its_turn_too() {
        assert_eq!(order(&[(5, "neighbour"), (4, "poison")]).await, ["neighbour", "poison"]);
        assert_eq!(order(&[(6, "neighbour"), (5, "poison")]).await, ["poison", "neighbour"]);
    }

    #[tokio::test]
    async fn a_suspect_is_alone_and_the_others_wait_no_longer_than_they_must() {
        let isolation = Isolation::default();
        let hangs = isolation.clone();
        let (began, begun) = tokio::sync::oneshot::channel();
        let suspect = tokio::spawn(async move {
            let work = async move {
                let _ = began.send(());
                std::future::pending::<()>().await;
            };
            hangs.run(Suspect::of(4, "x"), work).await;
        });
        begun.await.unwrap();
        assert!(isolation.0.state.lock().alone);
        // It hangs for ever; after a while the next goes on beside it.
        isolation.run(None, async {}).await;
        suspect.abort();
        let _ = suspect.await;
        let state = isolation.0.state.lock();
        assert!(!state.alone && state.running == 0 && state.waiting.is_empty());
    }

    #[test]
    fn the_first_returns_are_beyond_suspicion() {
        assert!(Suspect::of(3, "a").is_none());
        assert!(Suspect::of(4, "a").is_some());
    }

    #[test]
    fn who_came_back_more_often_is_alone_for_longer() {
        let millis = |returns| Suspect::of(returns, "a").unwrap().alone_for().as_millis();
        assert_eq!(
            [4, 5, 6, 7, 10, u32::MAX].map(millis),
            [500, 1_000, 1_500, 2_000, 2_000, 2_000]
        );
    }
}
