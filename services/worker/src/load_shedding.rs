//! What a worker does when more comes than it can handle: commands first, and of those the ones that can still be answered.
//!
//! A queue that is served from its head gives, under lasting overload, every interaction at the age of just too late: all the
//! work is done and nobody is answered. So a worker that finds itself behind leaves out what is nearly too late, as it leaves
//! out what is too late, and counts it as expired; it then meets interactions with time left, and answers as many as it can.
//!
//! Member and server events give way long before that, as soon as an interaction has waited for longer than anybody should
//! notice: they lie in a queue that loses nothing, and nobody looks at a clock. Owns only this judgement; it is a moment's
//! memory, and a new worker begins without it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// From this age on a first response is too risky to begin for a worker that is behind: half a second is left of three.
const NEARLY_LATE: Duration = Duration::from_millis(2_500);
/// How long a worker takes itself for behind after the last sign of it.
const OVERLOADED_FOR: Duration = Duration::from_secs(1);
/// From this age on an interaction has waited for a worker, whatever the way to it takes: events give way.
const HAS_WAITED: Duration = Duration::from_millis(400);
/// How long they do after the last one that had waited.
const EVENTS_YIELD_FOR: Duration = Duration::from_millis(500);
/// How often the log says how many were not answered.
const LOG_INTERVAL: Duration = Duration::from_secs(1);
/// How long one event waits for the commands at most, so that events go on, slowly, whatever the commands do.
const EVENT_WAIT_LIMIT: Duration = Duration::from_secs(2);
/// How often a waiting event looks again.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Whether this worker is behind.
#[derive(Debug)]
pub struct LoadShedding {
    began: Instant,
    /// Milliseconds since `began`.
    overloaded_until: AtomicU64,
    /// As above.
    events_yield_until: AtomicU64,
    /// Interactions that were not answered and of which no word is in the log yet, and when the next word is due.
    unlogged: AtomicU64,
    log_due_at: AtomicU64,
}

impl Default for LoadShedding {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            overloaded_until: AtomicU64::new(0),
            events_yield_until: AtomicU64::new(0),
            unlogged: AtomicU64::new(0),
            log_due_at: AtomicU64::new(0),
        }
    }
}

impl LoadShedding {
    /// Whether an interaction of this age that nobody has begun with is to be left out. `late` says that it is too late for
    /// certain, which also tells that this worker is behind.
    pub fn sheds(&self, age: Duration, late: bool) -> bool {
        if age >= HAS_WAITED {
            self.events_yield_until
                .store(self.now_ms() + millis(EVENTS_YIELD_FOR), Ordering::Relaxed);
        }
        let out = late || (age >= NEARLY_LATE && self.is_overloaded());
        if out {
            self.note_late();
        }
        out
    }

    /// Discord has found a first response too late.
    pub fn note_late(&self) {
        self.overloaded_until
            .store(self.now_ms() + millis(OVERLOADED_FOR), Ordering::Relaxed);
    }

    /// Whether there was a sign of being behind a moment ago.
    pub fn is_overloaded(&self) -> bool {
        self.now_ms() < self.overloaded_until.load(Ordering::Relaxed)
    }

    /// Counts an interaction that is not answered; now and then answers how many there were since the last answer, for the log.
    /// In an overload there are thousands a second, and a line for each would cost more than passing it over does.
    pub fn count_expired(&self) -> Option<u64> {
        self.unlogged.fetch_add(1, Ordering::Relaxed);
        let (now, due) = (self.now_ms(), self.log_due_at.load(Ordering::Relaxed));
        if now < due {
            return None;
        }
        self.log_due_at.store(now + millis(LOG_INTERVAL), Ordering::Relaxed);
        Some(self.unlogged.swap(0, Ordering::Relaxed))
    }

    /// Whether an interaction that had waited came a moment ago.
    fn events_yield(&self) -> bool {
        self.now_ms() < self.events_yield_until.load(Ordering::Relaxed)
    }

    /// Lets commands go first while they wait for this worker.
    pub async fn yield_to_interactions(&self) {
        let until = Instant::now() + EVENT_WAIT_LIMIT;
        while (self.events_yield() || self.is_overloaded()) && Instant::now() < until {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    fn now_ms(&self) -> u64 {
        millis(self.began.elapsed())
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
    async fn what_is_nearly_late_is_left_out_only_by_a_worker_that_is_behind() {
        let load_shedding = LoadShedding::default();
        assert!(
            !load_shedding.sheds(NEARLY_LATE, false),
            "a worker that keeps up tries it"
        );
        assert!(load_shedding.sheds(4 * SECOND, true));
        assert!(load_shedding.sheds(NEARLY_LATE, false));
        assert!(
            !load_shedding.sheds(2 * SECOND, false),
            "what has time left is answered"
        );
        tokio::time::advance(OVERLOADED_FOR).await;
        assert!(
            !load_shedding.sheds(NEARLY_LATE, false),
            "and a second later it keeps up again"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_log_hears_of_all_who_expired_once_a_second() {
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
    async fn events_give_way_to_commands_that_had_to_wait() {
        let load_shedding = LoadShedding::default();
        let began = Instant::now();
        assert!(!load_shedding.sheds(HAS_WAITED / 2, false));
        load_shedding.yield_to_interactions().await;
        assert_eq!(began.elapsed(), Duration::ZERO, "nobody has waited");
        assert!(!load_shedding.sheds(HAS_WAITED, false), "it is answered all the same");
        load_shedding.yield_to_interactions().await;
        assert!((EVENTS_YIELD_FOR..EVENTS_YIELD_FOR + 2 * POLL_INTERVAL).contains(&began.elapsed()));
    }

    #[tokio::test(start_paused = true)]
    async fn events_wait_for_commands_and_not_for_ever() {
        let load_shedding = LoadShedding::default();
        let began = Instant::now();
        load_shedding.yield_to_interactions().await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        load_shedding.note_late();
        load_shedding.yield_to_interactions().await;
        assert!((OVERLOADED_FOR..OVERLOADED_FOR + 2 * POLL_INTERVAL).contains(&began.elapsed()));
        for _ in 0..40 {
            load_shedding.note_late();
            tokio::time::advance(POLL_INTERVAL).await;
        }
        let began = Instant::now();
        let signs = async {
            loop {
                load_shedding.note_late();
                tokio::time::sleep(SECOND / 2).await;
            }
        };
        tokio::select! {
            () = load_shedding.yield_to_interactions() => {}
            () = signs => {}
        }
        assert!(began.elapsed() >= EVENT_WAIT_LIMIT);
    }
}
