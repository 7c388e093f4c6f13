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
const BEHIND_FOR: Duration = Duration::from_secs(1);
/// From this age on an interaction has waited for a worker, whatever the way to it takes: events give way.
const HAS_WAITED: Duration = Duration::from_millis(400);
/// How long they do after the last one that had waited.
const GIVES_WAY_FOR: Duration = Duration::from_millis(500);
/// How often the log says how many were not answered.
const WORD_EVERY: Duration = Duration::from_secs(1);
/// How long one event waits for the commands at most, so that events go on, slowly, whatever the commands do.
const EVENTS_WAIT: Duration = Duration::from_secs(2);
/// How often a waiting event looks again.
const LOOK: Duration = Duration::from_millis(50);

/// Whether this worker is behind.
#[derive(Debug)]
pub struct Pressure {
    began: Instant,
    /// Milliseconds since `began`.
    behind_until: AtomicU64,
    /// As above.
    gives_way_until: AtomicU64,
    /// Interactions that were not answered and of which no word is in the log yet, and when the next word is due.
    unsaid: AtomicU64,
    word_due: AtomicU64,
}

impl Default for Pressure {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            behind_until: AtomicU64::new(0),
            gives_way_until: AtomicU64::new(0),
            unsaid: AtomicU64::new(0),
            word_due: AtomicU64::new(0),
        }
    }
}

impl Pressure {
    /// Whether an interaction of this age that nobody has begun with is to be left out. `late` says that it is too late for
    /// certain, which also tells that this worker is behind.
    pub fn leaves_out(&self, age: Duration, late: bool) -> bool {
        if age >= HAS_WAITED {
            self.gives_way_until
                .store(self.now_ms() + millis(GIVES_WAY_FOR), Ordering::Relaxed);
        }
        let out = late || (age >= NEARLY_LATE && self.is_behind());
        if out {
            self.behind();
        }
        out
    }

    /// Discord has found a first response too late.
    pub fn behind(&self) {
        self.behind_until
            .store(self.now_ms() + millis(BEHIND_FOR), Ordering::Relaxed);
    }

    /// Whether there was a sign of being behind a moment ago.
    pub fn is_behind(&self) -> bool {
        self.now_ms() < self.behind_until.load(Ordering::Relaxed)
    }

    /// Counts an interaction that is not answered; now and then answers how many there were since the last answer, for the log.
    /// In an overload there are thousands a second, and a line for each would cost more than passing it over does.
    pub fn expired(&self) -> Option<u64> {
        self.unsaid.fetch_add(1, Ordering::Relaxed);
        let (now, due) = (self.now_ms(), self.word_due.load(Ordering::Relaxed));
        if now < due {
            return None;
        }
        self.word_due.store(now + millis(WORD_EVERY), Ordering::Relaxed);
        Some(self.unsaid.swap(0, Ordering::Relaxed))
    }

    /// Whether an interaction that had waited came a moment ago.
    fn gives_way(&self) -> bool {
        self.now_ms() < self.gives_way_until.load(Ordering::Relaxed)
    }

    /// Lets commands go first while they wait for this worker.
    pub async fn let_commands_first(&self) {
        let until = Instant::now() + EVENTS_WAIT;
        while (self.gives_way() || self.is_behind()) && Instant::now() < until {
            tokio::time::sleep(LOOK).await;
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
        let pressure = Pressure::default();
        assert!(
            !pressure.leaves_out(NEARLY_LATE, false),
            "a worker that keeps up tries it"
        );
        assert!(pressure.leaves_out(4 * SECOND, true));
        assert!(pressure.leaves_out(NEARLY_LATE, false));
        assert!(
            !pressure.leaves_out(2 * SECOND, false),
            "what has time left is answered"
        );
        tokio::time::advance(BEHIND_FOR).await;
        assert!(
            !pressure.leaves_out(NEARLY_LATE, false),
            "and a second later it keeps up again"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_log_hears_of_all_who_expired_once_a_second() {
        let pressure = Pressure::default();
        assert_eq!(pressure.expired(), Some(1), "the first at once");
        assert_eq!((pressure.expired(), pressure.expired()), (None, None));
        tokio::time::advance(WORD_EVERY).await;
        assert_eq!(pressure.expired(), Some(3));
    }

    #[tokio::test(start_paused = true)]
    async fn events_give_way_to_commands_that_had_to_wait() {
        let pressure = Pressure::default();
        let began = Instant::now();
        assert!(!pressure.leaves_out(HAS_WAITED / 2, false));
        pressure.let_commands_first().await;
        assert_eq!(began.elapsed(), Duration::ZERO, "nobody has waited");
        assert!(!pressure.leaves_out(HAS_WAITED, false), "it is answered all the same");
        pressure.let_commands_first().await;
        assert!((GIVES_WAY_FOR..GIVES_WAY_FOR + 2 * LOOK).contains(&began.elapsed()));
    }

    #[tokio::test(start_paused = true)]
    async fn events_wait_for_commands_and_not_for_ever() {
        let pressure = Pressure::default();
        let began = Instant::now();
        pressure.let_commands_first().await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        pressure.behind();
        pressure.let_commands_first().await;
        assert!((BEHIND_FOR..BEHIND_FOR + 2 * LOOK).contains(&began.elapsed()));
        for _ in 0..40 {
            pressure.behind();
            tokio::time::advance(LOOK).await;
        }
        let began = Instant::now();
        let signs = async {
            loop {
                pressure.behind();
                tokio::time::sleep(SECOND / 2).await;
            }
        };
        tokio::select! {
            () = pressure.let_commands_first() => {}
            () = signs => {}
        }
        assert!(began.elapsed() >= EVENTS_WAIT);
    }
}
