//! The limits that one replica keeps by itself in degraded mode: a share of the global limit and of every bucket.
//!
//! The rules are those of `acquire.lua` and `complete.lua`, over the calls of this replica. The state is also updated while Redis
//! decides, so that buckets and pauses are known when Redis fails. Time is a parameter: tests run hours in a moment.

mod complete;
mod pauses;
mod reserved;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrakis_discord_http::Route;
use arrakis_runtime::fail_point;

use super::{
    BURST_PART, EVERY, GrantRequest, IN_FLIGHT_TTL, LimitDecision, TRANSIT, WINDOW, WaitReason, share_of_seat,
};

/// Wait for the response to another call of the bucket.
const RESPONSE_WAIT: Duration = Duration::from_millis(50);
/// Wait while Redis takes over, or stops deciding.
const HANDOVER_WAIT: Duration = Duration::from_millis(5);
/// Assumed length of a bucket's window until a response states it.
const ASSUMED_WINDOW: Duration = Duration::from_secs(10);

/// What is known about the bucket of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
enum KnownBucket {
    Named {
        hash: String,
        limit: u32,
        /// Whether its window is longer than [`ASSUMED_WINDOW`].
        long: bool,
    },
    None {
        until: Instant,
    },
}

#[derive(Debug, Default)]
struct BucketWindow {
    remaining: u32,
    reset: Option<Instant>,
    /// Whether `reset` is assumed.
    assumed: bool,
    /// Calls without an outcome, and until when they count.
    in_flight: HashMap<String, Instant>,
}

/// The limits of one replica.
#[derive(Debug)]
pub(super) struct LocalLimits {
    /// Whether this replica decides. Not while Redis does, or takes over: both must not grant at once.
    active: bool,
    /// Calls in a window with a seat.
    seat_share: u32,
    /// Calls in a window of this replica: `seat_share`, or one without a seat.
    share: u32,
    replicas: u32,
    /// Time of the next evenly spaced call that is not interactive.
    next_spaced: Option<Instant>,
    /// By class, how many more urgent calls were granted while it waited.
    bypassed: [u32; 3],
    /// Grants that count in the global limit, and until when.
    granted: HashMap<String, Instant>,
    /// By template.
    known_buckets: HashMap<Arc<str>, KnownBucket>,
    buckets: HashMap<String, BucketWindow>,
    route_pauses: HashMap<Route, Instant>,
    global_pause: Option<Instant>,
    edge_pause: Option<Instant>,
}

fn left(until: Option<Instant>, now: Instant) -> Option<Duration> {
    until
        .map(|until| until.saturating_duration_since(now))
        .filter(|left| !left.is_zero())
}

/// How a call counts in its bucket.
enum BucketUse {
    /// The route has no bucket.
    None,
    /// The call probes an unknown bucket.
    Probe(String),
    /// The call begins a window with so many calls.
    NewWindow(String, u32),
    /// The call counts in the present window.
    Present(String),
}

impl LocalLimits {
    pub(super) fn new(total: u32, replicas: u32) -> Self {
        Self {
            active: true,
            seat_share: share_of_seat(total, replicas),
            share: 1,
            replicas,
            next_spaced: None,
            bypassed: [0; 3],
            granted: HashMap::new(),
            known_buckets: HashMap::new(),
            buckets: HashMap::new(),
            route_pauses: HashMap::new(),
            global_pause: None,
            edge_pause: None,
        }
    }

    /// Sets whether this replica has a seat.
    pub(super) fn set_seat(&mut self, has_seat: bool) {
        self.share = if has_seat { self.seat_share } else { 1 };
    }

    /// Decides as `acquire.lua` does; within a class, in the order of `requests`. Bot calls wait until `quiet_until`.
    pub(super) fn acquire(
        &mut self,
        now: Instant,
        quiet_until: Instant,
        requests: &[GrantRequest],
    ) -> Vec<LimitDecision> {
        let handover = LimitDecision::Wait {
            reason: WaitReason::Response,
            wait: HANDOVER_WAIT,
        };
        if !self.active {
            return vec![handover; requests.len()];
        }
        self.granted.retain(|_, until| *until > now);
        let mut left: [VecDeque<usize>; 3] = Default::default();
        for (at, request) in requests.iter().enumerate() {
            left[usize::from(request.urgency).min(2)].push_back(at);
        }
        let mut decisions: Vec<Option<LimitDecision>> = requests.iter().map(|_| None).collect();
        while let Some(class) = self.next_class(&left) {
            let Some(at) = left[class].pop_front() else { break };
            let decision = self.decide(now, quiet_until, &requests[at]);
            if requests[at].bot && matches!(decision, LimitDecision::Granted { .. }) {
                self.count_bypassed(class, &left);
            }
            decisions[at] = Some(decision);
        }
        decisions
            .into_iter()
            .map(|decision| decision.unwrap_or_else(|| handover.clone()))
            .collect()
    }

    /// The most urgent class that waits, unless a less urgent one was bypassed often enough.
    fn next_class(&self, left: &[VecDeque<usize>; 3]) -> Option<usize> {
        let waits = |class: &usize| !left[*class].is_empty();
        let due = (1..3).filter(waits).filter(|class| self.bypassed[*class] + 1 >= EVERY);
        due.max_by_key(|class| self.bypassed[*class])
            .or_else(|| (0..3).find(waits))
    }

    fn count_bypassed(&mut self, class: usize, left: &[VecDeque<usize>; 3]) {
        self.bypassed[class] = 0;
        let less_urgent = self.bypassed.iter_mut().zip(left).skip(class + 1);
        for (bypassed, _) in less_urgent.filter(|(_, waiting)| !waiting.is_empty()) {
            *bypassed += 1;
        }
    }

    /// How long until a call that is not interactive may be sent: such calls are spaced evenly, but for a small burst.
    fn spacing(&self, now: Instant) -> Option<Duration> {
        let burst = (self.share / BURST_PART).max(1) - 1;
        let early = self.next_spaced?.checked_sub(WINDOW / self.share * burst)?;
        left(Some(early), now)
    }

    fn decide(&mut self, now: Instant, quiet_until: Instant, request: &GrantRequest) -> LimitDecision {
        let wait = |reason, wait| LimitDecision::Wait { reason, wait };
        let bucket_use = match self.bucket_use(now, &request.route) {
            Ok(bucket_use) => bucket_use,
            Err((reason, time)) => return wait(reason, time),
        };
        if let Some(time) = left(self.edge_pause, now) {
            return wait(WaitReason::Global, time);
        }
        if request.bot && !fail_point::skips("proxy.guard.share") {
            if let Some(time) = left(Some(quiet_until), now).max(left(self.global_pause, now)) {
                return wait(WaitReason::Global, time);
            }
            if self.granted.len() >= self.share as usize {
                let first = self.granted.values().min().copied();
                return wait(WaitReason::Global, left(first, now).unwrap_or(RESPONSE_WAIT));
            }
            if request.urgency > 0 {
                if let Some(time) = self.spacing(now) {
                    return wait(WaitReason::Global, time);
                }
                self.next_spaced = Some(self.next_spaced.map_or(now, |at| at.max(now)) + WINDOW / self.share);
            }
            self.granted.insert(request.id.clone(), now + WINDOW + TRANSIT);
        }
        LimitDecision::Granted {
            bucket: self.count_in_bucket(now, &request.id, bucket_use),
        }
    }

    fn bucket_use(&mut self, now: Instant, route: &Route) -> Result<BucketUse, (WaitReason, Duration)> {
        let pause = self.route_pauses.get(route).copied();
        if let Some(time) = left(pause, now) {
            return Err((WaitReason::Route, time));
        }
        let (name, limit) = match self.known_buckets.get(&route.template) {
            Some(KnownBucket::None { until }) if *until > now => return Ok(BucketUse::None),
            Some(KnownBucket::Named { hash, limit, .. }) => (format!("{hash}:{}", route.major), Some(*limit)),
            _ => (format!("?{}:{}", route.template, route.major), None),
        };
        let window = self.buckets.entry(name.clone()).or_default();
        window.in_flight.retain(|_, until| *until > now);
        let in_flight = u32::try_from(window.in_flight.len()).unwrap_or(u32::MAX);
        let Some(limit) = limit else {
            return if in_flight > 0 {
                Err((WaitReason::Response, RESPONSE_WAIT))
            } else {
                Ok(BucketUse::Probe(name))
            };
        };
        match left(window.reset, now) {
            Some(_) if window.remaining > 0 => Ok(BucketUse::Present(name)),
            Some(_) if window.assumed => Err((WaitReason::Response, RESPONSE_WAIT)),
            Some(time) => Err((WaitReason::Route, time)),
            None => match (limit / self.replicas).max(1).checked_sub(in_flight) {
                Some(calls) if calls > 0 => Ok(BucketUse::NewWindow(name, calls)),
                _ => Err((WaitReason::Response, RESPONSE_WAIT)),
            },
        }
    }

    /// Counts a granted call in its bucket, and returns the bucket's name.
    fn count_in_bucket(&mut self, now: Instant, id: &str, bucket_use: BucketUse) -> String {
        let (name, new_window) = match bucket_use {
            BucketUse::None => return String::new(),
            BucketUse::NewWindow(name, calls) => (name, Some(calls)),
            BucketUse::Probe(name) | BucketUse::Present(name) => (name, None),
        };
        let window = self.buckets.entry(name.clone()).or_default();
        window.in_flight.insert(id.to_owned(), now + IN_FLIGHT_TTL);
        if let Some(calls) = new_window {
            window.remaining = calls - 1;
            window.reset = Some(now + ASSUMED_WINDOW);
            window.assumed = true;
        } else {
            window.remaining = window.remaining.saturating_sub(1);
        }
        name
    }

    /// Stops granting, and returns how many grants still count in the global limit, and for how long: Redis must count them before
    /// it grants.
    pub(super) fn deactivate(&mut self, now: Instant) -> (usize, Duration) {
        self.active = false;
        self.granted.retain(|_, until| *until > now);
        let last = self.granted.values().max().copied();
        (self.granted.len(), left(last, now).unwrap_or_default())
    }

    /// Resumes granting: Redis does not decide.
    pub(super) fn activate(&mut self) {
        self.active = true;
    }

    /// How long the edge's pause still lasts.
    pub(super) fn edge_pause(&self, now: Instant) -> Option<Duration> {
        left(self.edge_pause, now)
    }

    /// Records a pause by the edge that another replica met.
    pub(super) fn extend_edge_pause(&mut self, until: Instant) {
        self.edge_pause = self.edge_pause.max(Some(until));
    }

    /// Removes expired pauses and windows. Called at each heartbeat.
    pub(super) fn remove_expired(&mut self, now: Instant) {
        self.route_pauses.retain(|_, until| *until > now);
        self.buckets.retain(|_, window| {
            window.in_flight.retain(|_, until| *until > now);
            !window.in_flight.is_empty() || left(window.reset, now).is_some()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrakis_discord_http::BucketState;

    use crate::limits::{CallOutcome, Grant, Pause, RateLimitUpdate};

    fn request(id: u32, template: &str, major: &str) -> GrantRequest {
        GrantRequest {
            id: id.to_string(),
            route: Route {
                template: template.into(),
                major: major.into(),
            },
            bot: true,
            urgency: 0,
            tenant: "1".into(),
        }
    }

    fn with_seat(replicas: u32) -> LocalLimits {
        let mut local = LocalLimits::new(50, replicas);
        local.set_seat(true);
        local
    }

    fn grant(request: &GrantRequest, bucket: &str) -> Grant {
        Grant {
            id: request.id.clone(),
            route: request.route.clone(),
            bucket: bucket.to_owned(),
            bot: request.bot,
            reserved: false,
        }
    }

    fn response(hash: &str, limit: u32, remaining: u32, reset: u64) -> CallOutcome {
        CallOutcome::Response(RateLimitUpdate {
            bucket: Some(BucketState {
                hash: hash.to_owned(),
                limit,
                remaining,
                reset_after: Duration::from_millis(reset),
            }),
            ..RateLimitUpdate::default()
        })
    }

    fn no_bucket() -> CallOutcome {
        CallOutcome::Response(RateLimitUpdate {
            no_bucket: true,
            ..RateLimitUpdate::default()
        })
    }

    fn bucket_of(decision: &LimitDecision) -> Option<&str> {
        match decision {
            LimitDecision::Granted { bucket } => Some(bucket),
            _ => None,
        }
    }

    #[test]
    fn share_is_never_exceeded_whatever_the_order_of_responses() {
        let start = Instant::now();
        let mut local = with_seat(4);
        let mut sent: Vec<u64> = Vec::new();
        let mut in_flight: Vec<(u64, Grant)> = Vec::new();
        let first = request(0, "r", "-");
        local.complete(start, &grant(&first, ""), &no_bucket());
        for ms in 0..20_000_u64 {
            let now = start + Duration::from_millis(ms);
            // Responses take between 0 and 300 ms, and the call arrives at Discord before.
            let (due, later) = in_flight.drain(..).partition(|(at, _)| *at <= ms);
            in_flight = later;
            for (_, grant) in due {
                local.complete(now, &grant, &no_bucket());
            }
            let next = request(u32::try_from(ms).unwrap() + 1, "r", "-");
            if let Some(bucket) = bucket_of(&local.acquire(now, start, std::slice::from_ref(&next))[0]) {
                let transit = ms * 7 % 200;
                sent.push(ms + transit);
                in_flight.push((ms + transit + ms % 100, grant(&next, bucket)));
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
    fn no_bot_call_is_granted_before_the_quiet_time_ends() {
        let start = Instant::now();
        let mut local = LocalLimits::new(50, 4);
        let quiet = start + Duration::from_secs(3);
        let decision = &local.acquire(start, quiet, &[request(1, "r", "-")])[0];
        assert!(
            matches!(decision, LimitDecision::Wait { reason: WaitReason::Global, wait } if *wait == Duration::from_secs(3))
        );
        assert!(bucket_of(&local.acquire(quiet, quiet, &[request(1, "r", "-")])[0]).is_some());
    }

    #[test]
    fn one_call_probes_an_unknown_bucket_and_then_a_share_is_granted() {
        let now = Instant::now();
        let mut local = with_seat(2);
        let requests: Vec<_> = (0..3).map(|id| request(id, "r", "guild:1")).collect();
        let decisions = local.acquire(now, now, &requests);
        let bucket = bucket_of(&decisions[0]).unwrap().to_owned();
        assert!(
            bucket_of(&decisions[1]).is_none() && bucket_of(&decisions[2]).is_none(),
            "{decisions:?}"
        );
        local.complete(now, &grant(&requests[0], &bucket), &response("h", 10, 9, 1_000));
        // Another guild has its own window, of which this replica has half.
        let others: Vec<_> = (10..20).map(|id| request(id, "r", "guild:2")).collect();
        let granted = local
            .acquire(now, now, &others)
            .iter()
            .filter(|decision| bucket_of(decision).is_some())
            .count();
        assert_eq!(granted, 5);
    }

    #[test]
    fn used_up_bucket_waits_for_its_reset() {
        let now = Instant::now();
        let mut local = with_seat(1);
        let first = request(1, "r", "guild:1");
        local.complete(now, &grant(&first, ""), &response("h", 5, 0, 2_000));
        let decision = &local.acquire(now, now, &[request(2, "r", "guild:1")])[0];
        assert!(
            matches!(decision, LimitDecision::Wait { reason: WaitReason::Route, wait } if wait.as_millis() == 2_000)
        );
        let later = now + Duration::from_millis(2_001);
        assert!(bucket_of(&local.acquire(later, now, &[request(2, "r", "guild:1")])[0]).is_some());
    }

    #[test]
    fn pause_applies_to_its_scope() {
        let now = Instant::now();
        let mut local = with_seat(1);
        let first = request(0, "r", "-");
        let paused = |pause| {
            CallOutcome::Response(RateLimitUpdate {
                pause: Some(pause),
                ..RateLimitUpdate::default()
            })
        };
        local.complete(now, &grant(&first, ""), &paused(Pause::Route(Duration::from_secs(5))));
        assert!(bucket_of(&local.acquire(now, now, &[request(1, "r", "-")])[0]).is_none());
        assert!(bucket_of(&local.acquire(now, now, &[request(2, "other", "-")])[0]).is_some());
        local.complete(now, &grant(&first, ""), &paused(Pause::Global(Duration::from_secs(5))));
        assert!(bucket_of(&local.acquire(now, now, &[request(3, "third", "-")])[0]).is_none());
        let free = GrantRequest {
            bot: false,
            ..request(4, "webhook", "-")
        };
        assert!(bucket_of(&local.acquire(now, now, std::slice::from_ref(&free))[0]).is_some());
        local.complete(now, &grant(&first, ""), &paused(Pause::Edge(Duration::from_secs(5))));
        assert!(bucket_of(&local.acquire(now, now, &[GrantRequest { id: "5".into(), ..free }])[0]).is_none());
        assert!(local.edge_pause(now).is_some());
    }
}
