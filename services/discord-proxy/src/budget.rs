//! The invalid-request budget: 401, 403 and 429 over ten minutes, counted by cause, so that the cause is slowed and stopped
//! long before Discord bans the address
//! (<https://discord.com/developers/docs/topics/rate-limits#invalid-request-limit-aka-cloudflare-bans>).
//!
//! A cause is caller, route and tenant. Counts are shared through Redis once a second; without Redis each replica counts for
//! itself against its share. Refuses to count `shared` 429s and 404s: Discord does not either.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrakis_runtime::fail_point;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::config::BudgetTuning;
use crate::limits::script::Script;
use crate::limits::{Redis, RedisTrouble};
use crate::metrics::Metrics;

/// Discord's window.
const WINDOW: Duration = Duration::from_secs(600);
/// How often replicas tell each other.
const SHARE: Duration = Duration::from_secs(1);
/// Time between two calls of a slowed cause, at one replica.
const SLOWED: Duration = Duration::from_secs(1);
/// When a stopped cause may ask again.
const COME_BACK: Duration = Duration::from_secs(60);
/// Causes told apart; more are counted together, so that memory is bounded.
const MOST_CAUSES: usize = 5_000;

/// What the budget says to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowance {
    /// Go.
    Free,
    /// Go, but not before that time.
    Slowed(Duration),
    /// Do not go.
    Stopped {
        /// When to come back.
        retry_after: Duration,
        /// Invalid requests of this cause.
        of_cause: u32,
        /// Invalid requests in all.
        in_all: u32,
    },
}

/// What is known of the other replicas' counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Knows {
    /// Redis tells.
    All,
    /// Redis is away, and as many replicas as there are seats share the budget.
    Seat,
    /// Redis is away, and this replica has no seat: ten such have what the seats leave.
    Nothing,
}

#[derive(Debug, Default)]
struct Ledger {
    /// Counted here and not told yet, or not to be told since Redis is away.
    own: VecDeque<(Instant, Arc<str>)>,
    /// As Redis told, by cause: when each count ends, and how many.
    told: HashMap<Arc<str>, Vec<(Instant, u32)>>,
    next: HashMap<Arc<str>, Instant>,
    own_counts: HashMap<Arc<str>, u32>,
}

impl Ledger {
    fn forget(&mut self, now: Instant) {
        while let Some((at, cause)) = self.own.front() {
            if now.saturating_duration_since(*at) < WINDOW {
                break;
            }
            if let Some(count) = self.own_counts.get_mut(cause) {
                *count -= 1;
                if *count == 0 {
                    self.own_counts.remove(cause);
                }
            }
            self.own.pop_front();
        }
        self.told.retain(|_, counts| {
            counts.retain(|(ends, _)| *ends > now);
            !counts.is_empty()
        });
        self.next.retain(|_, at| *at > now);
    }

    fn of(&self, cause: &str) -> u32 {
        let told: u32 = self
            .told
            .get(cause)
            .map_or(0, |counts| counts.iter().map(|(_, count)| count).sum());
        told + self.own_counts.get(cause).copied().unwrap_or(0)
    }

    fn all(&self) -> u32 {
        let told: u32 = self.told.values().flatten().map(|(_, count)| count).sum();
        told + u32::try_from(self.own.len()).unwrap_or(u32::MAX)
    }
}

/// Invalid requests of all replicas.
#[derive(Debug)]
pub(crate) struct Budget {
    tuning: BudgetTuning,
    replicas: u32,
    ledger: Mutex<Ledger>,
    redis: Redis,
    script: Script,
    metrics: Metrics,
}

impl Budget {
    /// Nothing counted yet.
    pub(crate) fn new(tuning: BudgetTuning, replicas: u32, redis: Redis, metrics: Metrics) -> Self {
        Self {
            tuning,
            replicas,
            ledger: Mutex::default(),
            redis,
            script: Script::new(include_str!("limits/budget.lua")),
            metrics,
        }
    }

    /// Counts an invalid request.
    pub(crate) fn count(&self, cause: &Arc<str>) {
        let mut ledger = self.ledger.lock();
        let known = ledger.own_counts.contains_key(cause) || ledger.own_counts.len() < MOST_CAUSES;
        let cause: Arc<str> = if known { Arc::clone(cause) } else { "all others".into() };
        *ledger.own_counts.entry(Arc::clone(&cause)).or_default() += 1;
        ledger.own.push_back((Instant::now(), cause));
        self.metrics.invalid.set(i64::from(ledger.all()));
    }

    /// What a call of this cause may do, by who knows what other replicas count.
    pub(crate) fn allowance(&self, cause: &Arc<str>, knows: Knows) -> Allowance {
        let parts = match knows {
            Knows::All => 1,
            Knows::Seat => self.replicas,
            Knows::Nothing => (self.replicas * 10).max(40),
        };
        let now = Instant::now();
        let mut ledger = self.ledger.lock();
        ledger.forget(now);
        let (of_cause, in_all) = (ledger.of(cause), ledger.all());
        match judge(self.tuning, parts, of_cause, in_all) {
            _ if fail_point::skips("proxy.guard.budget") => Allowance::Free,
            Step::Free => Allowance::Free,
            Step::Stop => Allowance::Stopped {
                retry_after: COME_BACK,
                of_cause,
                in_all,
            },
            Step::Slow => {
                let at = ledger.next.get(cause).copied().map_or(now, |next| next.max(now));
                ledger.next.insert(Arc::clone(cause), at + SLOWED);
                match at.saturating_duration_since(now) {
                    Duration::ZERO => Allowance::Free,
                    wait => Allowance::Slowed(wait),
                }
            }
        }
    }

    /// Tells the others and hears from them, until `stop`.
    pub(crate) async fn share(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(trouble) = self.share_once().await {
                tracing::debug!(%trouble, "counts of invalid requests are not shared");
            }
            self.show();
            tokio::select! {
                () = tokio::time::sleep(SHARE) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    async fn share_once(&self) -> Result<(), RedisTrouble> {
        let (telling, counts) = {
            let ledger = self.ledger.lock();
            (ledger.own.len(), ledger.own_counts.clone())
        };
        let arguments: Vec<String> = counts
            .iter()
            .flat_map(|(cause, count)| [cause.to_string(), count.to_string()])
            .collect();
        let answer: Vec<String> = self.redis.run(&self.script, &arguments).await?;
        let now = Instant::now();
        let mut told: HashMap<Arc<str>, Vec<(Instant, u32)>> = HashMap::new();
        for entry in answer.chunks_exact(3) {
            if let (Ok(age), Ok(count)) = (entry[0].parse::<u64>(), entry[2].parse()) {
                let ends = now + WINDOW.saturating_sub(Duration::from_secs(age.saturating_sub(1) * 60));
                told.entry(entry[1].as_str().into()).or_default().push((ends, count));
            }
        }
        let mut ledger = self.ledger.lock();
        ledger.told = told;
        // What was told is in the answer; what was counted meanwhile stays.
        for _ in 0..telling.min(ledger.own.len()) {
            ledger.own.pop_front();
        }
        let rest: Vec<_> = ledger.own.iter().map(|(_, cause)| Arc::clone(cause)).collect();
        ledger.own_counts.clear();
        for cause in rest {
            *ledger.own_counts.entry(cause).or_default() += 1;
        }
        Ok(())
    }

    fn show(&self) {
        let mut ledger = self.ledger.lock();
        ledger.forget(Instant::now());
        let all = ledger.all();
        self.metrics.invalid.set(i64::from(all));
        let stopped = ledger
            .told
            .keys()
            .filter(|cause| judge(self.tuning, 1, ledger.of(cause), all) == Step::Stop)
            .count();
        self.metrics.stopped.set(i64::try_from(stopped).unwrap_or(i64::MAX));
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Free,
    Slow,
    Stop,
}

fn judge(tuning: BudgetTuning, replicas: u32, of_cause: u32, in_all: u32) -> Step {
    let share = |figure: u32| (figure / replicas).max(1);
    if in_all >= share(tuning.end) {
        return Step::Stop;
    }
    let tighter = if in_all >= share(tuning.tight) { 5 } else { 1 };
    let stop = if in_all >= share(tuning.alarm) {
        1
    } else {
        (share(tuning.stop) / tighter).max(1)
    };
    if of_cause >= stop {
        Step::Stop
    } else if of_cause >= (share(tuning.slow) / tighter).max(1) {
        Step::Slow
    } else {
        Step::Free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(of_cause: u32, in_all: u32) -> Step {
        judge(BudgetTuning::default(), 1, of_cause, in_all)
    }

    #[test]
    fn a_cause_is_slowed_then_stopped_and_others_go_on() {
        assert_eq!(step(49, 49), Step::Free);
        assert_eq!(step(50, 50), Step::Slow);
        assert_eq!(step(250, 250), Step::Stop);
        assert_eq!(step(0, 250), Step::Free);
    }

    #[test]
    fn the_more_in_all_the_less_for_each() {
        assert_eq!(step(10, 2_500), Step::Slow);
        assert_eq!(step(50, 2_500), Step::Stop);
        assert_eq!(step(1, 6_000), Step::Stop);
        assert_eq!(step(0, 6_000), Step::Free);
        assert_eq!(step(0, 8_000), Step::Stop);
    }

    #[test]
    fn without_redis_each_replica_has_its_share() {
        assert_eq!(judge(BudgetTuning::default(), 4, 62, 62), Step::Stop);
        assert_eq!(judge(BudgetTuning::default(), 4, 0, 2_000), Step::Stop);
    }

    #[test]
    fn whatever_the_causes_the_ban_is_never_reached() {
        // A thousand causes that never stop asking, each answered 403.
        let mut counts = vec![0_u32; 1_000];
        let mut all = 0;
        loop {
            let before = all;
            for count in &mut counts {
                if step(*count, all) != Step::Stop {
                    *count += 1;
                    all += 1;
                }
            }
            if all == before {
                break;
            }
        }
        assert!(all < 9_000, "{all}");
    }

    #[test]
    fn what_is_ten_minutes_old_is_forgotten() {
        let mut ledger = Ledger::default();
        let now = Instant::now();
        ledger.own.push_back((now, "a".into()));
        ledger.own_counts.insert("a".into(), 1);
        ledger.told.insert("b".into(), vec![(now + WINDOW, 7)]);
        assert_eq!((ledger.all(), ledger.of("b")), (8, 7));
        ledger.forget(now + WINDOW);
        assert_eq!((ledger.all(), ledger.own_counts.len()), (0, 0));
    }
}
