//! Limits as one replica keeps them by itself while Redis is away: a share of the global limit and of every bucket.
//!
//! The same rules as `acquire.lua` and `complete.lua`, over its own calls alone. It also listens while Redis decides, so that it
//! knows buckets and pauses when it must decide. Time is given, never read: tests run hours in a moment.

mod learn;
mod own;
mod pauses;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrakis_runtime::fail_point;

use super::{Ask, BURST_PART, EVERY, LEASE, Reason, TRANSIT, Verdict, WINDOW, share_of_a_seat};

/// How long to wait for an answer that will tell more.
const SOON: Duration = Duration::from_millis(50);
/// When to ask again while it is being settled who decides.
const ONCE_MORE: Duration = Duration::from_millis(5);
/// How long the end of a window is taken to be away until an answer tells.
const GUESS: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Known {
    Hash {
        hash: String,
        limit: u32,
        /// Its window is longer than [`GUESS`].
        long: bool,
    },
    None {
        until: Instant,
    },
}

#[derive(Debug, Default)]
struct Window {
    remaining: u32,
    reset: Option<Instant>,
    guess: bool,
    flying: HashMap<String, Instant>,
}

/// One replica's own limits.
#[derive(Debug)]
pub(super) struct Local {
    /// Closed while Redis decides, and while places go over to it: no place is given behind its back.
    open: bool,
    /// What a seat is worth.
    seat: u32,
    /// What this replica may give: a seat, or one place without one.
    share: u32,
    replicas: u32,
    /// When the next call that is not interactive has its time.
    paced: Option<Instant>,
    /// How many more urgent calls went while a class waited.
    passed: [u32; 3],
    held: HashMap<String, Instant>,
    routes: HashMap<Arc<str>, Known>,
    buckets: HashMap<String, Window>,
    pauses: HashMap<(Arc<str>, Arc<str>), Instant>,
    pause: Option<Instant>,
    edge: Option<Instant>,
}

fn left(until: Option<Instant>, now: Instant) -> Option<Duration> {
    until
        .map(|until| until.saturating_duration_since(now))
        .filter(|left| !left.is_zero())
}

/// How a bucket lets a call through.
enum Through {
    Free,
    Probe(String),
    Opens(String, u32),
    Runs(String),
}

impl Local {
    pub(super) fn new(total: u32, replicas: u32) -> Self {
        Self {
            open: true,
            seat: share_of_a_seat(total, replicas),
            share: 1,
            replicas,
            paced: None,
            passed: [0; 3],
            held: HashMap::new(),
            routes: HashMap::new(),
            buckets: HashMap::new(),
            pauses: HashMap::new(),
            pause: None,
            edge: None,
        }
    }

    /// Redis gave this replica a seat, or took it.
    pub(super) fn seat(&mut self, has: bool) {
        self.share = if has { self.seat } else { 1 };
    }

    /// Decides as `acquire.lua` does; within a class, in this order. Bot calls wait until `quiet` is over.
    pub(super) fn acquire(&mut self, now: Instant, quiet: Instant, asks: &[Ask]) -> Vec<Verdict> {
        if !self.open {
            let (reason, wait) = (Reason::Answer, ONCE_MORE);
            return asks.iter().map(|_| Verdict::Wait { reason, wait }).collect();
        }
        self.held.retain(|_, until| *until > now);
        let mut left: [VecDeque<usize>; 3] = Default::default();
        for (at, ask) in asks.iter().enumerate() {
            left[usize::from(ask.urgency).min(2)].push_back(at);
        }
        let mut verdicts: Vec<Option<Verdict>> = asks.iter().map(|_| None).collect();
        while let Some(class) = self.next_class(&left) {
            let Some(at) = left[class].pop_front() else { break };
            let verdict = self.decide(now, quiet, &asks[at]);
            if asks[at].bot && matches!(verdict, Verdict::Granted { .. }) {
                self.note_passed(class, &left);
            }
            verdicts[at] = Some(verdict);
        }
        let unreached = Verdict::Wait {
            reason: Reason::Answer,
            wait: ONCE_MORE,
        };
        verdicts
            .into_iter()
            .map(|verdict| verdict.unwrap_or_else(|| unreached.clone()))
            .collect()
    }

    /// The most urgent class that has something, unless a less urgent one has been passed over often enough.
    fn next_class(&self, left: &[VecDeque<usize>; 3]) -> Option<usize> {
        let waits = |class: &usize| !left[*class].is_empty();
        let due = (1..3).filter(waits).filter(|class| self.passed[*class] + 1 >= EVERY);
        due.max_by_key(|class| self.passed[*class])
            .or_else(|| (0..3).find(waits))
    }

    fn note_passed(&mut self, class: usize, left: &[VecDeque<usize>; 3]) {
        self.passed[class] = 0;
        let less_urgent = self.passed.iter_mut().zip(left).skip(class + 1);
        for (passed, _) in less_urgent.filter(|(_, waiting)| !waiting.is_empty()) {
            *passed += 1;
        }
    }

    /// How long until a call that is not interactive has its time: such calls leave evenly spaced but for a few.
    fn pacing(&self, now: Instant) -> Option<Duration> {
        let burst = (self.share / BURST_PART).max(1) - 1;
        let early = self.paced?.checked_sub(WINDOW / self.share * burst)?;
        left(Some(early), now)
    }

    fn decide(&mut self, now: Instant, quiet: Instant, ask: &Ask) -> Verdict {
        let wait = |reason, wait| Verdict::Wait { reason, wait };
        let through = match self.bucket_of(now, ask) {
            Ok(through) => through,
            Err((reason, time)) => return wait(reason, time),
        };
        if let Some(time) = left(self.edge, now) {
            return wait(Reason::Global, time);
        }
        if ask.bot && !fail_point::skips("proxy.guard.share") {
            if let Some(time) = left(Some(quiet), now).max(left(self.pause, now)) {
                return wait(Reason::Global, time);
            }
            if self.held.len() >= self.share as usize {
                let first = self.held.values().min().copied();
                return wait(Reason::Global, left(first, now).unwrap_or(SOON));
            }
            if ask.urgency > 0 {
                if let Some(time) = self.pacing(now) {
                    return wait(Reason::Global, time);
                }
                self.paced = Some(self.paced.map_or(now, |at| at.max(now)) + WINDOW / self.share);
            }
            self.held.insert(ask.id.clone(), now + WINDOW + TRANSIT);
        }
        Verdict::Granted {
            bucket: self.charge(now, ask, through),
        }
    }

    fn bucket_of(&mut self, now: Instant, ask: &Ask) -> Result<Through, (Reason, Duration)> {
        let pause = self
            .pauses
            .get(&(Arc::clone(&ask.route), Arc::clone(&ask.major)))
            .copied();
        if let Some(time) = left(pause, now) {
            return Err((Reason::Route, time));
        }
        let known = self.routes.get(&ask.route);
        let (name, limit) = match known {
            Some(Known::None { until }) if *until > now => return Ok(Through::Free),
            Some(Known::Hash { hash, limit, .. }) => (format!("{hash}:{}", ask.major), Some(*limit)),
            _ => (format!("?{}:{}", ask.route, ask.major), None),
        };
        let window = self.buckets.entry(name.clone()).or_default();
        window.flying.retain(|_, until| *until > now);
        let flying = u32::try_from(window.flying.len()).unwrap_or(u32::MAX);
        let Some(limit) = limit else {
            return if flying > 0 {
                Err((Reason::Answer, SOON))
            } else {
                Ok(Through::Probe(name))
            };
        };
        match left(window.reset, now) {
            Some(_) if window.remaining > 0 => Ok(Through::Runs(name)),
            Some(_) if window.guess => Err((Reason::Answer, SOON)),
            Some(time) => Err((Reason::Route, time)),
            None => match (limit / self.replicas).max(1).checked_sub(flying) {
                Some(places) if places > 0 => Ok(Through::Opens(name, places)),
                _ => Err((Reason::Answer, SOON)),
            },
        }
    }

    fn charge(&mut self, now: Instant, ask: &Ask, through: Through) -> String {
        let (name, places) = match through {
            Through::Free => return String::new(),
            Through::Probe(name) => (name, None),
            Through::Opens(name, places) => (name, Some(places)),
            Through::Runs(name) => (name, None),
        };
        let window = self.buckets.entry(name.clone()).or_default();
        window.flying.insert(ask.id.clone(), now + LEASE);
        if let Some(places) = places {
            window.remaining = places - 1;
            window.reset = Some(now + GUESS);
            window.guess = true;
        } else {
            window.remaining = window.remaining.saturating_sub(1);
        }
        name
    }

    /// Gives no more places, and tells those that still count and for how long: Redis must know before it decides.
    pub(super) fn close(&mut self, now: Instant) -> (usize, Duration) {
        self.open = false;
        self.held.retain(|_, until| *until > now);
        let last = self.held.values().max().copied();
        (self.held.len(), left(last, now).unwrap_or_default())
    }

    /// Redis does not decide after all.
    pub(super) fn open(&mut self) {
        self.open = true;
    }

    /// Time until the edge lets anything through again.
    pub(super) fn edge_pause(&self, now: Instant) -> Option<Duration> {
        left(self.edge, now)
    }

    /// Another replica was told by the edge to wait.
    pub(super) fn learn_edge(&mut self, until: Instant) {
        self.edge = self.edge.max(Some(until));
    }

    /// Forgets what is over. Called now and then.
    pub(super) fn tidy(&mut self, now: Instant) {
        self.pauses.retain(|_, until| *until > now);
        self.buckets.retain(|_, window| {
            window.flying.retain(|_, until| *until > now);
            !window.flying.is_empty() || left(window.reset, now).is_some()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{Bucket, Fate, Learned, Pause, Slot};

    fn ask(id: u32, route: &str, major: &str) -> Ask {
        Ask {
            id: id.to_string(),
            route: route.into(),
            major: major.into(),
            bot: true,
            urgency: 0,
            tenant: "1".into(),
        }
    }

    fn seated(replicas: u32) -> Local {
        let mut local = Local::new(50, replicas);
        local.seat(true);
        local
    }

    fn slot(ask: &Ask, bucket: &str) -> Slot {
        Slot {
            id: ask.id.clone(),
            route: Arc::clone(&ask.route),
            major: Arc::clone(&ask.major),
            bucket: bucket.to_owned(),
            bot: ask.bot,
            own: false,
        }
    }

    fn answered(hash: &str, limit: u32, remaining: u32, reset: u64) -> Fate {
        Fate::Answered(Learned {
            bucket: Some(Bucket {
                hash: hash.to_owned(),
                limit,
                remaining,
                reset_after: Duration::from_millis(reset),
            }),
            ..Learned::default()
        })
    }

    fn bucketless() -> Fate {
        Fate::Answered(Learned {
            bucketless: true,
            ..Learned::default()
        })
    }

    fn go(verdict: &Verdict) -> Option<&str> {
        match verdict {
            Verdict::Granted { bucket } => Some(bucket),
            _ => None,
        }
    }

    #[test]
    fn a_share_is_never_passed_in_any_window_however_answers_come() {
        let start = Instant::now();
        let mut local = Local::new(50, 4);
        local.seat(true);
        let mut sent: Vec<u64> = Vec::new();
        let mut on_the_way: Vec<(u64, Slot)> = Vec::new();
        let teach = ask(0, "r", "-");
        local.complete(start, &slot(&teach, ""), &bucketless());
        for ms in 0..20_000_u64 {
            let now = start + Duration::from_millis(ms);
            // Answers take between 0 and 300 ms, the arrival at Discord somewhere before.
            let (due, later) = on_the_way.drain(..).partition(|(at, _)| *at <= ms);
            on_the_way = later;
            for (_, slot) in due {
                local.complete(now, &slot, &bucketless());
            }
            let asking = ask(u32::try_from(ms).unwrap() + 1, "r", "-");
            if let Some(bucket) = go(&local.acquire(now, start, std::slice::from_ref(&asking))[0]) {
                let transit = ms * 7 % 200;
                sent.push(ms + transit);
                on_the_way.push((ms + transit + ms % 100, slot(&asking, bucket)));
            }
        }
        sent.sort_unstable();
        let worst = sent
            .iter()
            .map(|at| sent.iter().filter(|other| (*at..at + 1_100).contains(other)).count())
            .max();
        assert_eq!(worst, Some(10));
        assert!(sent.len() > 130, "the share is used: {}", sent.len());
    }

    #[test]
    fn nothing_leaves_before_the_quiet_is_over() {
        let start = Instant::now();
        let mut local = Local::new(50, 4);
        let quiet = start + Duration::from_secs(3);
        let verdict = &local.acquire(start, quiet, &[ask(1, "r", "-")])[0];
        assert!(matches!(verdict, Verdict::Wait { reason: Reason::Global, wait } if *wait == Duration::from_secs(3)));
        assert!(go(&local.acquire(quiet, quiet, &[ask(1, "r", "-")])[0]).is_some());
    }

    #[test]
    fn one_call_asks_for_all_and_then_a_share_of_the_bucket_goes() {
        let now = Instant::now();
        let mut local = seated(2);
        let asks: Vec<_> = (0..3).map(|id| ask(id, "r", "guild:1")).collect();
        let verdicts = local.acquire(now, now, &asks);
        let bucket = go(&verdicts[0]).unwrap().to_owned();
        assert!(go(&verdicts[1]).is_none() && go(&verdicts[2]).is_none(), "{verdicts:?}");
        local.complete(now, &slot(&asks[0], &bucket), &answered("h", 10, 9, 1_000));
        // Another guild has a window of its own, of which half is ours.
        let others: Vec<_> = (10..20).map(|id| ask(id, "r", "guild:2")).collect();
        let passed = local
            .acquire(now, now, &others)
            .iter()
            .filter(|verdict| go(verdict).is_some())
            .count();
        assert_eq!(passed, 5);
    }

    #[test]
    fn a_used_up_bucket_waits_for_its_reset() {
        let now = Instant::now();
        let mut local = seated(1);
        let first = ask(1, "r", "guild:1");
        local.complete(now, &slot(&first, ""), &answered("h", 5, 0, 2_000));
        let verdict = &local.acquire(now, now, &[ask(2, "r", "guild:1")])[0];
        assert!(matches!(verdict, Verdict::Wait { reason: Reason::Route, wait } if wait.as_millis() == 2_000));
        let later = now + Duration::from_millis(2_001);
        assert!(go(&local.acquire(later, now, &[ask(2, "r", "guild:1")])[0]).is_some());
    }

    #[test]
    fn pauses_stop_what_they_name() {
        let now = Instant::now();
        let mut local = seated(1);
        let teach = ask(0, "r", "-");
        let paused = |pause| {
            Fate::Answered(Learned {
                pause: Some(pause),
                ..Learned::default()
            })
        };
        local.complete(now, &slot(&teach, ""), &paused(Pause::Route(Duration::from_secs(5))));
        assert!(go(&local.acquire(now, now, &[ask(1, "r", "-")])[0]).is_none());
        assert!(go(&local.acquire(now, now, &[ask(2, "other", "-")])[0]).is_some());
        local.complete(now, &slot(&teach, ""), &paused(Pause::Global(Duration::from_secs(5))));
        assert!(go(&local.acquire(now, now, &[ask(3, "third", "-")])[0]).is_none());
        let free = Ask {
            bot: false,
            ..ask(4, "webhook", "-")
        };
        assert!(go(&local.acquire(now, now, std::slice::from_ref(&free))[0]).is_some());
        local.complete(now, &slot(&teach, ""), &paused(Pause::Edge(Duration::from_secs(5))));
        assert!(go(&local.acquire(now, now, &[Ask { id: "5".into(), ..free }])[0]).is_none());
        assert!(local.edge_pause(now).is_some());
    }
}
