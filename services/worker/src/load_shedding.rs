//! Load shedding: which work a worker leaves out or delays when it receives more than it can handle.
//!
//! Under lasting overload, a queue that is consumed in order delivers each interaction just after its three seconds are over: all
//! work is done and no member is replied to. An overloaded worker therefore sheds interactions that are nearly too late, too, and
//! counts them as expired. It then receives interactions with time left and replies to as many as it can.
//!
//! Events of members and servers yield earlier, as soon as an interaction has waited for 400 ms: their queue loses no message, and
//! they have no deadline. The state is kept in the process, covers one second, and starts empty.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Age from which an overloaded worker sheds an interaction: half a second of the three is left.
const SHED_AGE: Duration = Duration::from_millis(2_500);
/// How long the worker counts as overloaded after an interaction was too late.
const OVERLOADED_FOR: Duration = Duration::from_secs(1);
/// Age from which an interaction has waited for a worker, beyond the time that its transport takes.
const WAITED_AGE: Duration = Duration::from_millis(400);
/// How long events yield after an interaction that had waited.
const EVENTS_YIELD_FOR: Duration = Duration::from_millis(500);
/// Interval of the log message about expired interactions.
const LOG_INTERVAL: Duration = Duration::from_secs(1);
/// Longest time that one event yields, so that events progress under any load.
const EVENT_WAIT_LIMIT: Duration = Duration::from_secs(2);
/// Interval at which a yielding event checks whether it may continue.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Decides which work is left out or delayed under overload. The consumers of a process share one.
#[derive(Debug)]
pub struct LoadShedding {
    started: Instant,
    /// Milliseconds since `started`.
    overloaded_until: AtomicU64,
    /// Milliseconds since `started`.
    events_yield_until: AtomicU64,
    /// Expired interactions since the last log message.
    unlogged: AtomicU64,
    /// When the next log message is due, in milliseconds since `started`.
    log_due_at: AtomicU64,
}

impl Default for LoadShedding {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            overloaded_until: AtomicU64::new(0),
            events_yield_until: AtomicU64::new(0),
            unlogged: AtomicU64::new(0),
            log_due_at: AtomicU64::new(0),
        }
    }
}

impl LoadShedding {
    /// Whether to leave out an interaction that no worker has started. `late` means that its three seconds are certainly over, which
    /// also means that this worker is overloaded.
    pub fn sheds(&self, age: Duration, late: bool) -> bool {
        if age >= WAITED_AGE {
            self.events_yield_until
                .store(self.now_ms() + millis(EVENTS_YIELD_FOR), Ordering::Relaxed);
        }
        let shed = late || (age >= SHED_AGE && self.is_overloaded());
        if shed {
            self.note_late();
        }
        shed
    }

    /// Records that a first response was too late, which means that this worker is overloaded.
    pub fn note_late(&self) {
        self.overloaded_until
            .store(self.now_ms() + millis(OVERLOADED_FOR), Ordering::Relaxed);
    }

    /// Whether an interaction was too late within the last second.
    pub fn is_overloaded(&self) -> bool {
        self.now_ms() < self.overloaded_until.load(Ordering::Relaxed)
    }

    /// Counts an expired interaction. At most once a second it returns the number since the last time, for the log: under overload
    /// there are thousands a second, and logging each would cost more than shedding it.
    pub fn count_expired(&self) -> Option<u64> {
        self.unlogged.fetch_add(1, Ordering::Relaxed);
        let (now, due) = (self.now_ms(), self.log_due_at.load(Ordering::Relaxed));
        if now < due {
            return None;
        }
        self.log_due_at.store(now + millis(LOG_INTERVAL), Ordering::Relaxed);
        Some(self.unlogged.swap(0, Ordering::Relaxed))
    }

    /// Whether an interaction that had waited was received within the last half second.
    fn events_yield(&self) -> bool {
        self.now_ms() < self.events_yield_until.load(Ordering::Relaxed)
    }

    /// Delays an event while interactions wait for this worker, for at most two seconds.
    pub async fn yield_to_interactions(&self) {
        let until = Instant::now() + EVENT_WAIT_LIMIT;
        while (self.events_yield() || self.is_overloaded()) && Instant::now() < until {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    fn now_ms(&self) -> u64 {
        millis(self.started.elapsed())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn nearly_late_interaction_is_shed_only_under_overload() {
        let load_shedding = LoadShedding::default();
        assert!(!load_shedding.sheds(SHED_AGE, false), "the worker is not overloaded");
        assert!(load_shedding.sheds(4 * SECOND, true));
        assert!(load_shedding.sheds(SHED_AGE, false));
        assert!(!load_shedding.sheds(2 * SECOND, false), "enough time is left");
        tokio::time::advance(OVERLOADED_FOR).await;
        assert!(
            !load_shedding.sheds(SHED_AGE, false),
            "the overload is over after a second"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn expired_interactions_are_logged_once_a_second() {
        let load_shedding = LoadShedding::default();
        assert_eq!(load_shedding.count_expired(), Some(1), "the first at once");
        assert_eq!(
            (load_shedding.count_expired(), load_shedding.count_expired()),
            (None, None)
        );
        tokio::time::advance(LOG_INTERVAL).await;
        assert_eq!(load_shedding.count_expired(), Some(3));
    }

    #[tokio::test(start_paused = true)]
    async fn event_yields_after_an_interaction_that_waited() {
        let load_shedding = LoadShedding::default();
        let started = Instant::now();
        assert!(!load_shedding.sheds(WAITED_AGE / 2, false));
        load_shedding.yield_to_interactions().await;
        assert_eq!(started.elapsed(), Duration::ZERO, "no interaction has waited");
        assert!(!load_shedding.sheds(WAITED_AGE, false), "it is still handled");
        load_shedding.yield_to_interactions().await;
        assert!((EVENTS_YIELD_FOR..EVENTS_YIELD_FOR + 2 * POLL_INTERVAL).contains(&started.elapsed()));
    }

    #[tokio::test(start_paused = true)]
    async fn event_yields_under_overload_for_at_most_two_seconds() {
        let load_shedding = LoadShedding::default();
        let started = Instant::now();
        load_shedding.yield_to_interactions().await;
        assert_eq!(started.elapsed(), Duration::ZERO);
        load_shedding.note_late();
        load_shedding.yield_to_interactions().await;
        assert!((OVERLOADED_FOR..OVERLOADED_FOR + 2 * POLL_INTERVAL).contains(&started.elapsed()));
        for _ in 0..40 {
            load_shedding.note_late();
            tokio::time::advance(POLL_INTERVAL).await;
        }
        let started = Instant::now();
        let late_interactions = async {
            loop {
                load_shedding.note_late();
                tokio::time::sleep(SECOND / 2).await;
            }
        };
        tokio::select! {
            () = load_shedding.yield_to_interactions() => {}
            () = late_interactions => {}
        }
        assert!(started.elapsed() >= EVENT_WAIT_LIMIT);
    }
}
