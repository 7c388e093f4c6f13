//! Handles messages that may kill their worker (suspects) one at a time.
//!
//! When a worker dies, the broker redelivers all messages that it had received, the poison message and the others, and counts a
//! delivery for each. If they were handled together again, the others would reach the delivery limit together with the poison
//! message. So a message with several redeliveries is a suspect: it starts only when no other message is being handled in this
//! process.
//!
//! Suspects start one at a time, sorted by redeliveries and id: ascending when the highest count of redeliveries is even,
//! descending when it is odd. Each death of a worker raises all counts by one and so reverses the order. A message that was
//! behind the poison message in one round is before it in the next. Two rounds are enough for the messages of one worker, and
//! the delivery limit leaves seven.
//!
//! A suspect is alone only for a limited time, and waits at most [`MAX_WAIT`] for the other messages to end, so that a slow message
//! does not stop the process. The time alone grows with the redeliveries: a message that takes a second (a role change that waits
//! for a rate limit) would otherwise be killed each time by the poison message that starts half a second after it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

/// Time in which the suspects that were redelivered together arrive, before the first of them starts.
const GATHER: Duration = Duration::from_millis(100);
/// Longest time that a suspect waits for other messages to end.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// Time alone of a suspect with the fewest redeliveries; each further redelivery adds as much.
const ALONE_STEP: Duration = Duration::from_millis(500);
/// Longest time alone. Commands of members wait meanwhile, and expire after three seconds.
const MAX_ALONE: Duration = Duration::from_secs(2);
/// Number of redeliveries from which a message is a suspect. Fewer are normal: workers stop and are killed. The delivery limit of 10
/// leaves more rounds than the two that are needed.
const SUSPECT_REDELIVERIES: u32 = 4;

/// Handles each message that was redelivered several times, and so may have killed a worker, while no other message is handled.
/// One for each process; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Isolation(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Messages that are being handled, without a suspect that is alone.
    running: usize,
    /// Whether a suspect is alone.
    alone: bool,
    waiting: Vec<Suspect>,
    /// Order of the waiting suspects; set when the first of them starts.
    ascending: Option<bool>,
}

impl State {
    /// Whether this suspect is the next to start.
    fn is_first(&mut self, suspect: &Suspect) -> bool {
        let most = self
            .waiting
            .iter()
            .map(|waiting| waiting.redeliveries)
            .max()
            .unwrap_or(0);
        let ascending = *self.ascending.get_or_insert(most.is_multiple_of(2));
        !self.waiting.iter().any(|other| {
            let order = other.cmp(suspect);
            if ascending { order.is_lt() } else { order.is_gt() }
        })
    }
}

/// A message with several redeliveries.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Suspect {
    /// Number of its redeliveries.
    pub(crate) redeliveries: u32,
    /// Its message id.
    pub(crate) id: String,
}

impl Suspect {
    /// `None` for a message with fewer redeliveries than [`SUSPECT_REDELIVERIES`].
    pub(crate) fn of(redeliveries: u32, id: &str) -> Option<Self> {
        (redeliveries >= SUSPECT_REDELIVERIES).then(|| Self {
            redeliveries,
            id: id.to_owned(),
        })
    }

    fn alone_for(&self) -> Duration {
        let times = self.redeliveries.saturating_sub(SUSPECT_REDELIVERIES).saturating_add(1);
        ALONE_STEP.saturating_mul(times).min(MAX_ALONE)
    }
}

impl Isolation {
    /// Runs the work together with that of other messages, or alone for a suspect.
    pub(crate) async fn run<F: Future>(&self, suspect: Option<Suspect>, work: F) -> F::Output {
        let Some(suspect) = suspect else {
            let _running = self.together().await;
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

    async fn together(&self) -> Running<'_> {
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
        let arrived = Instant::now();
        let waiting = Waiting::new(&self.0, suspect);
        sleep_until(arrived + GATHER).await;
        loop {
            let changed = self.0.changed.notified();
            if let Some(running) = waiting.try_start(arrived.elapsed() >= MAX_WAIT) {
                return running;
            }
            tokio::select! {
                () = changed => {}
                () = sleep_until(arrived + MAX_WAIT), if arrived.elapsed() < MAX_WAIT => {}
            }
        }
    }
}

/// A waiting suspect. Dropping it removes the suspect from the list, also when its future is cancelled.
struct Waiting<'a> {
    inner: &'a Inner,
    suspect: Suspect,
}

impl<'a> Waiting<'a> {
    fn new(inner: &'a Inner, suspect: Suspect) -> Self {
        inner.state.lock().waiting.push(suspect.clone());
        Self { inner, suspect }
    }

    fn try_start(&self, waited_long_enough: bool) -> Option<Running<'a>> {
        let mut state = self.inner.state.lock();
        let may_start = state.running == 0 || waited_long_enough;
        if state.alone || !may_start || !state.is_first(&self.suspect) {
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
        if let Some(index) = state.waiting.iter().position(|other| *other == self.suspect) {
            state.waiting.swap_remove(index);
        }
        if state.waiting.is_empty() {
            state.ascending = None;
        }
        drop(state);
        self.inner.changed.notify_waiters();
    }
}

/// A message that is being handled.
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

    /// Ids of the suspects in the order in which they start.
    async fn order(suspects: &[(u32, &str)]) -> Vec<String> {
        let isolation = Isolation::default();
        let begun = Mutex::new(Vec::new());
        let all = suspects.iter().map(|(redeliveries, id)| {
            let (isolation, begun) = (&isolation, &begun);
            async move {
                let work = async { begun.lock().push((*id).to_owned()) };
                isolation.run(Suspect::of(*redeliveries, id), work).await;
            }
        });
        futures_util::future::join_all(all).await;
        begun.into_inner()
    }

    #[tokio::test]
    async fn order_of_suspects_is_reversed_with_each_redelivery() {
        assert_eq!(order(&[(4, "b"), (4, "c"), (4, "a")]).await, ["a", "b", "c"]);
        assert_eq!(order(&[(5, "b"), (5, "c"), (5, "a")]).await, ["c", "b", "a"]);
        assert_eq!(order(&[(7, "a"), (4, "z"), (5, "m")]).await, ["a", "m", "z"]);
        assert_eq!(order(&[(8, "a"), (5, "z"), (6, "m")]).await, ["z", "m", "a"]);
    }

    /// Another message with one redelivery more than the poison message starts after it, and in the next round before it.
    #[tokio::test]
    async fn message_with_more_redeliveries_than_the_poison_message_starts_before_it_in_one_round() {
        assert_eq!(order(&[(5, "other"), (4, "poison")]).await, ["other", "poison"]);
        assert_eq!(order(&[(6, "other"), (5, "poison")]).await, ["poison", "other"]);
    }

    #[tokio::test]
    async fn suspect_is_alone_for_a_limited_time() {
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
        // The suspect hangs for ever; other work starts when its time alone has passed.
        isolation.run(None, async {}).await;
        suspect.abort();
        let _ = suspect.await;
        let state = isolation.0.state.lock();
        assert!(!state.alone && state.running == 0 && state.waiting.is_empty());
    }

    #[test]
    fn message_with_three_redeliveries_is_not_a_suspect() {
        assert!(Suspect::of(3, "a").is_none());
        assert!(Suspect::of(4, "a").is_some());
    }

    #[test]
    fn time_alone_grows_with_redeliveries() {
        let millis = |redeliveries| Suspect::of(redeliveries, "a").unwrap().alone_for().as_millis();
        assert_eq!(
            [4, 5, 6, 7, 10, u32::MAX].map(millis),
            [500, 1_000, 1_500, 2_000, 2_000, 2_000]
        );
    }
}
