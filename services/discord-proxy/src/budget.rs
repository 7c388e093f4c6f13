//! The invalid-request budget: 401, 403 and 429 responses in ten minutes, counted by cause, so that a cause is slowed and stopped
//! long before Discord bans the address
//! (<https://discord.com/developers/docs/topics/rate-limits#invalid-request-limit-aka-cloudflare-bans>).
//!
//! A cause is caller, route and tenant. Replicas share their counts through Redis once a second; in degraded mode each replica counts
//! by itself against its share. 429s of the scope `shared` and 404s do not count, as at Discord.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrakis_runtime::fail_point;
use deadpool_redis::redis::Script;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::config::BudgetTuning;
use crate::metrics::Metrics;
use crate::redis::{Redis, RedisError};

/// Discord's window.
const WINDOW: Duration = Duration::from_secs(600);
/// Time between two exchanges of counts with Redis.
const SHARE_INTERVAL: Duration = Duration::from_secs(1);
/// Time between two calls of a slowed cause at one replica.
const SLOWED_INTERVAL: Duration = Duration::from_secs(1);
/// When a caller may retry a call of a stopped cause.
const STOPPED_RETRY: Duration = Duration::from_secs(60);
/// Causes that are counted separately; further ones are counted together, which bounds memory.
const MAX_CAUSES: usize = 5_000;

/// What the budget allows a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowance {
    /// The call may be sent.
    Allowed,
    /// The call may be sent after this time.
    Delayed(Duration),
    /// The call may not be sent.
    Stopped {
        /// When the caller may retry.
        retry_after: Duration,
        /// Invalid requests of the cause.
        of_cause: u32,
        /// Invalid requests of all causes.
        in_all: u32,
    },
}

/// Which part of all invalid requests the counts contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CountScope {
    /// Those of all replicas, from Redis.
    AllReplicas,
    /// Those of this replica, which has a seat: replicas with seats share the budget.
    Seat,
    /// Those of this replica without a seat: ten such replicas share what the seats leave.
    NoSeat,
}

#[derive(Debug, Default)]
struct Counts {
    /// Counted here and not in Redis yet.
    own: VecDeque<(Instant, Arc<str>)>,
    /// From Redis, by cause: when each count expires, and its value.
    shared: HashMap<Arc<str>, Vec<(Instant, u32)>>,
    /// By slowed cause, when the next call may be sent.
    next: HashMap<Arc<str>, Instant>,
    own_counts: HashMap<Arc<str>, u32>,
}

impl Counts {
    fn remove_expired(&mut self, now: Instant) {
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
        self.shared.retain(|_, counts| {
            counts.retain(|(expires, _)| *expires > now);
            !counts.is_empty()
        });
        self.next.retain(|_, at| *at > now);
    }

    fn of(&self, cause: &str) -> u32 {
        let shared: u32 = self
            .shared
            .get(cause)
            .map_or(0, |counts| counts.iter().map(|(_, count)| count).sum());
        shared + self.own_counts.get(cause).copied().unwrap_or(0)
    }

    fn all(&self) -> u32 {
        let shared: u32 = self.shared.values().flatten().map(|(_, count)| count).sum();
        shared + u32::try_from(self.own.len()).unwrap_or(u32::MAX)
    }
}

/// Invalid requests of all replicas.
#[derive(Debug)]
pub(crate) struct Budget {
    tuning: BudgetTuning,
    replicas: u32,
    counts: Mutex<Counts>,
    redis: Redis,
    script: Script,
    metrics: Metrics,
}

impl Budget {
    /// A budget without counts.
    pub(crate) fn new(tuning: BudgetTuning, replicas: u32, redis: Redis, metrics: Metrics) -> Self {
        Self {
            tuning,
            replicas,
            counts: Mutex::default(),
            redis,
            script: Script::new(include_str!("budget.lua")),
            metrics,
        }
    }

    /// Counts an invalid request.
    pub(crate) fn count(&self, cause: &Arc<str>) {
        let mut counts = self.counts.lock();
        let is_separate = counts.own_counts.contains_key(cause) || counts.own_counts.len() < MAX_CAUSES;
        let cause: Arc<str> = if is_separate {
            Arc::clone(cause)
        } else {
            "all others".into()
        };
        *counts.own_counts.entry(Arc::clone(&cause)).or_default() += 1;
        counts.own.push_back((Instant::now(), cause));
        self.metrics.invalid.set(i64::from(counts.all()));
    }

    /// What a call of this cause is allowed.
    pub(crate) fn allowance(&self, cause: &Arc<str>, scope: CountScope) -> Allowance {
        let parts = match scope {
            CountScope::AllReplicas => 1,
            CountScope::Seat => self.replicas,
            CountScope::NoSeat => (self.replicas * 10).max(40),
        };
        let now = Instant::now();
        let mut counts = self.counts.lock();
        counts.remove_expired(now);
        let (of_cause, in_all) = (counts.of(cause), counts.all());
        match level(self.tuning, parts, of_cause, in_all) {
            _ if fail_point::skips("proxy.guard.budget") => Allowance::Allowed,
            Level::Allowed => Allowance::Allowed,
            Level::Stopped => Allowance::Stopped {
                retry_after: STOPPED_RETRY,
                of_cause,
                in_all,
            },
            Level::Slowed => {
                let at = counts.next.get(cause).copied().map_or(now, |next| next.max(now));
                counts.next.insert(Arc::clone(cause), at + SLOWED_INTERVAL);
                match at.saturating_duration_since(now) {
                    Duration::ZERO => Allowance::Allowed,
                    wait => Allowance::Delayed(wait),
                }
            }
        }
    }

    /// Exchanges counts with Redis until `stop`.
    pub(crate) async fn run(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.share().await {
                tracing::debug!(%error, "counts of invalid requests are not shared through Redis");
            }
            self.update_metrics();
            tokio::select! {
                () = tokio::time::sleep(SHARE_INTERVAL) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    async fn share(&self) -> Result<(), RedisError> {
        let (sent, own_counts) = {
            let counts = self.counts.lock();
            (counts.own.len(), counts.own_counts.clone())
        };
        let arguments: Vec<String> = own_counts
            .iter()
            .flat_map(|(cause, count)| [cause.to_string(), count.to_string()])
            .collect();
        let reply: Vec<String> = self.redis.run(&self.script, &arguments).await?;
        let now = Instant::now();
        let mut shared: HashMap<Arc<str>, Vec<(Instant, u32)>> = HashMap::new();
        for entry in reply.chunks_exact(3) {
            if let (Ok(age), Ok(count)) = (entry[0].parse::<u64>(), entry[2].parse()) {
                let expires = now + WINDOW.saturating_sub(Duration::from_secs(age.saturating_sub(1) * 60));
                shared
                    .entry(entry[1].as_str().into())
                    .or_default()
                    .push((expires, count));
            }
        }
        let mut counts = self.counts.lock();
        counts.shared = shared;
        // The reply contains what was sent; what was counted meanwhile remains.
        for _ in 0..sent.min(counts.own.len()) {
            counts.own.pop_front();
        }
        let remaining: Vec<_> = counts.own.iter().map(|(_, cause)| Arc::clone(cause)).collect();
        counts.own_counts.clear();
        for cause in remaining {
            *counts.own_counts.entry(cause).or_default() += 1;
        }
        Ok(())
    }

    fn update_metrics(&self) {
        let mut counts = self.counts.lock();
        counts.remove_expired(Instant::now());
        let all = counts.all();
        self.metrics.invalid.set(i64::from(all));
        let stopped = counts
            .shared
            .keys()
            .filter(|cause| level(self.tuning, 1, counts.of(cause), all) == Level::Stopped)
            .count();
        self.metrics.stopped.set(i64::try_from(stopped).unwrap_or(i64::MAX));
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Allowed,
    Slowed,
    Stopped,
}

fn level(tuning: BudgetTuning, replicas: u32, of_cause: u32, in_all: u32) -> Level {
    let share = |figure: u32| (figure / replicas).max(1);
    if in_all >= share(tuning.end) {
        return Level::Stopped;
    }
    let tighter = if in_all >= share(tuning.tight) { 5 } else { 1 };
    let stop = if in_all >= share(tuning.alarm) {
        1
    } else {
        (share(tuning.stop) / tighter).max(1)
    };
    if of_cause >= stop {
        Level::Stopped
    } else if of_cause >= (share(tuning.slow) / tighter).max(1) {
        Level::Slowed
    } else {
        Level::Allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level_of(of_cause: u32, in_all: u32) -> Level {
        level(BudgetTuning::default(), 1, of_cause, in_all)
    }

    #[test]
    fn cause_is_slowed_and_then_stopped_and_others_are_allowed() {
        assert_eq!(level_of(49, 49), Level::Allowed);
        assert_eq!(level_of(50, 50), Level::Slowed);
        assert_eq!(level_of(250, 250), Level::Stopped);
        assert_eq!(level_of(0, 250), Level::Allowed);
    }

    #[test]
    fn figures_of_a_cause_shrink_with_the_total() {
        assert_eq!(level_of(10, 2_500), Level::Slowed);
        assert_eq!(level_of(50, 2_500), Level::Stopped);
        assert_eq!(level_of(1, 6_000), Level::Stopped);
        assert_eq!(level_of(0, 6_000), Level::Allowed);
        assert_eq!(level_of(0, 8_000), Level::Stopped);
    }

    #[test]
    fn replica_in_degraded_mode_has_its_share() {
        assert_eq!(level(BudgetTuning::default(), 4, 62, 62), Level::Stopped);
        assert_eq!(level(BudgetTuning::default(), 4, 0, 2_000), Level::Stopped);
    }

    #[test]
    fn ban_is_never_reached_whatever_the_causes() {
        // A thousand causes that send calls without end, each answered 403.
        let mut counts = vec![0_u32; 1_000];
        let mut all = 0;
        loop {
            let before = all;
            for count in &mut counts {
                if level_of(*count, all) != Level::Stopped {
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
    fn counts_expire_after_ten_minutes() {
        let mut counts = Counts::default();
        let now = Instant::now();
        counts.own.push_back((now, "a".into()));
        counts.own_counts.insert("a".into(), 1);
        counts.shared.insert("b".into(), vec![(now + WINDOW, 7)]);
        assert_eq!((counts.all(), counts.of("b")), (8, 7));
        counts.remove_expired(now + WINDOW);
        assert_eq!((counts.all(), counts.own_counts.len()), (0, 0));
    }
}
