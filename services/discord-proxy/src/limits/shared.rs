//! The limiter of a replica: Redis decides, or in degraded mode this replica.
//!
//! One error reply, or two consecutive queries without a reply, begin degraded mode: the replica decides by itself, bot calls after
//! [`QUIET`]. A heartbeat that succeeds ends it; the grants of this replica are then counted in Redis before Redis grants new ones.
//!
//! How much a replica may grant by itself depends on its *seat*. Redis gives as many seats as there may be replicas. A replica without
//! a seat, because there are more replicas, or because it has not reached Redis yet, sends one call in a window. So replicas that
//! lose Redis together stay below the limit, however many they are.

mod pauses;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arrakis_discord_http::Route;
use arrakis_runtime::HealthComponent;
use deadpool_redis::redis::Script;
use parking_lot::Mutex;
use prometheus::IntGauge;
use tokio_util::sync::CancellationToken;

use self::pauses::SharedPauses;
use super::local::LocalLimits;
use super::{
    CallOutcome, Decisions, Grant, GrantRequest, HEARTBEAT, IN_FLIGHT_TTL, LimitDecision, Pause, QUIET,
    RateLimitUpdate, SILENCE, ServedCounts, TRANSIT, WINDOW, WaitReason, share_of_seat,
};
use crate::redis::{Redis, RedisError};
use crate::token::BotToken;
use crate::token_marks;

/// Wait before another query when Redis did not reply once.
const QUERY_RETRY_WAIT: Duration = Duration::from_millis(5);

/// Configuration of the limiter.
#[derive(Debug, Clone)]
pub(crate) struct LimitsConfig {
    /// Identifies this replica; differs at each start.
    pub replica: String,
    /// Calls that the bot may send in one window of the global limit.
    pub total: u32,
    /// Largest number of replicas, which is the number of seats.
    pub max_replicas: u32,
    /// As [`crate::config::Tuning::reserved_after`].
    pub reserved_after: Duration,
    /// Another replica with the same identity has ended (see `instance_identity.rs`); empty when the system does not expose it.
    pub instance_identity: String,
}

#[derive(Debug)]
struct State {
    /// Whether Redis decides.
    is_shared: bool,
    /// When the last successful query was sent.
    last_success: Instant,
    /// Consecutive queries without a reply. Those that were in flight together count once.
    timeouts: u32,
    /// When the last of them timed out.
    last_timeout: Option<Instant>,
    /// Identifies the data in Redis, as of the last reply.
    epoch: String,
    /// Whether Redis gave this replica a seat.
    has_seat: bool,
    /// When every window has ended that began before Redis reserved calls for this replica.
    reserved_from: Instant,
    /// Time of the last end of all pauses, as Redis has it; `None` before the first reply.
    cleared: Option<String>,
    /// The same for the pauses of all calls.
    resumed: Option<String>,
}

impl State {
    /// Counts a query that was sent at `sent` and timed out. Returns whether there were two consecutive ones: queries that were in
    /// flight together meet the same moment in which Redis does not reply, and count once.
    fn is_second_timeout(&mut self, sent: Instant) -> bool {
        if self.last_timeout.is_none_or(|at| sent >= at) {
            self.timeouts += 1;
            self.last_timeout = Some(Instant::now());
        }
        self.timeouts >= 2
    }
}

/// Discord's rate limits for this replica.
#[derive(Debug)]
pub(crate) struct Limits {
    config: LimitsConfig,
    redis: Redis,
    acquire: Script,
    complete: Script,
    end_pauses: Script,
    state: Mutex<State>,
    local: Mutex<LocalLimits>,
    token: Arc<BotToken>,
    health: HealthComponent,
    /// `arrakis_proxy_limits_apart`.
    degraded: IntGauge,
    /// `arrakis_proxy_limit_in_force`.
    effective_limit: IntGauge,
    /// Whether there may be a pause by the edge.
    edge_paused: AtomicBool,
}

impl Limits {
    /// A limiter in degraded mode, until the first heartbeat.
    pub(crate) fn new(
        config: LimitsConfig,
        redis: Redis,
        token: Arc<BotToken>,
        health: HealthComponent,
        (degraded, effective_limit): (IntGauge, IntGauge),
    ) -> Self {
        degraded.set(1);
        effective_limit.set(1);
        Self {
            local: Mutex::new(LocalLimits::new(config.total, config.max_replicas)),
            config,
            redis,
            acquire: Script::new(include_str!("acquire.lua")),
            complete: Script::new(include_str!("complete.lua")),
            end_pauses: Script::new(include_str!("end_pauses.lua")),
            state: Mutex::new(State {
                is_shared: false,
                last_success: Instant::now(),
                timeouts: 0,
                last_timeout: None,
                epoch: String::new(),
                has_seat: false,
                reserved_from: Instant::now(),
                cleared: None,
                resumed: None,
            }),
            token,
            health,
            degraded,
            effective_limit,
            edge_paused: AtomicBool::new(false),
        }
    }

    /// Whether Redis decides.
    pub(crate) fn is_shared(&self) -> bool {
        self.state.lock().is_shared
    }

    /// Whether Redis gave this replica a seat.
    pub(crate) fn has_seat(&self) -> bool {
        self.state.lock().has_seat
    }

    /// Decides which of `requests` may be sent now.
    pub(crate) async fn acquire(&self, requests: &[GrantRequest]) -> Decisions {
        if self.is_shared() {
            let sent = Instant::now();
            match self.acquire_from_redis(requests, (0, Duration::ZERO)).await {
                Ok(decisions) => return decisions,
                Err(error) => self.record_error(&error, sent),
            }
            if self.is_shared() {
                return Decisions {
                    decisions: vec![wait(WaitReason::Response, QUERY_RETRY_WAIT); requests.len()],
                    served: None,
                };
            }
        }
        Decisions {
            decisions: self.acquire_locally(requests),
            served: None,
        }
    }

    fn acquire_locally(&self, requests: &[GrantRequest]) -> Vec<LimitDecision> {
        let quiet_until = self.state.lock().last_success + QUIET;
        let is_refused = self.token.is_refused();
        let mut decisions = self.local.lock().acquire(Instant::now(), quiet_until, requests);
        for (_, decision) in requests
            .iter()
            .zip(&mut decisions)
            .filter(|(request, _)| request.bot && is_refused)
        {
            *decision = LimitDecision::TokenRefused;
        }
        decisions
    }

    /// Grants a call with a webhook's token from the reserved part of its bucket, without a query to Redis, if possible. Most
    /// interactions are answered by one call, each with its own token: a query for each would cost more than the call.
    pub(crate) fn take_reserved(&self, id: &str, route: &Route) -> Option<Grant> {
        {
            let state = self.state.lock();
            // Redis reserves calls for replicas with a seat. In degraded mode `acquire` grants the whole share.
            if !state.is_shared || !state.has_seat || Instant::now() < state.reserved_from {
                return None;
            }
        }
        let bucket = self.local.lock().take_reserved(Instant::now(), id, route)?;
        Some(Grant {
            id: id.to_owned(),
            route: route.clone(),
            bucket,
            bot: false,
            reserved: true,
        })
    }

    /// Completes a grant with the outcome of its call.
    pub(crate) async fn complete(&self, grant: &Grant, outcome: &CallOutcome) {
        if self.complete_locally(grant, outcome) {
            self.complete_in_redis(grant, outcome).await;
        }
    }

    /// Completes a grant in this replica. Returns whether it must also be completed in Redis.
    pub(crate) fn complete_locally(&self, grant: &Grant, outcome: &CallOutcome) -> bool {
        let is_new = self.local.lock().complete(Instant::now(), grant, outcome);
        if let CallOutcome::Response(RateLimitUpdate {
            pause: Some(Pause::Edge(_)),
            ..
        }) = outcome
        {
            self.edge_paused.store(true, Ordering::Release);
        }
        (is_new || !grant.reserved) && self.is_shared()
    }

    /// Completes a grant in Redis.
    pub(crate) async fn complete_in_redis(&self, grant: &Grant, outcome: &CallOutcome) {
        let arguments = complete_arguments(grant, outcome, self.config.max_replicas);
        let sent = Instant::now();
        if let Err(error) = self.redis.run::<i64>(&self.complete, &arguments).await {
            self.record_error(&error, sent);
        }
    }

    /// How long the edge's pause of this address still lasts. Without a pause no lock is taken.
    pub(crate) fn edge_pause(&self) -> Option<Duration> {
        if !self.edge_paused.load(Ordering::Acquire) {
            return None;
        }
        let left = self.local.lock().edge_pause(Instant::now());
        if left.is_none() {
            self.edge_paused.store(false, Ordering::Release);
        }
        left
    }

    /// Sends heartbeats to Redis until `stop`.
    pub(crate) async fn run_heartbeat(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            self.heartbeat().await;
            tokio::select! {
                () = tokio::time::sleep(HEARTBEAT) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Sends one heartbeat; in degraded mode, a success makes Redis decide again.
    pub(crate) async fn heartbeat(&self) {
        self.local.lock().remove_expired(Instant::now());
        if self.is_shared() {
            let sent = Instant::now();
            if let Err(error) = self.acquire_from_redis(&[], (0, Duration::ZERO)).await {
                self.record_error(&error, sent);
            }
            return;
        }
        let granted = self.local.lock().deactivate(Instant::now());
        match self.acquire_from_redis(&[], granted).await {
            Ok(_) => {
                {
                    let mut state = self.state.lock();
                    state.is_shared = true;
                    state.reserved_from = Instant::now() + self.config.reserved_after;
                }
                self.degraded.set(0);
                self.health.up();
                tracing::info!(seat = self.has_seat(), "rate limits are shared through Redis");
            }
            Err(error) => {
                self.local.lock().activate();
                self.report_degraded(&error);
            }
        }
    }

    /// Removes this replica from Redis, so that its share is free at once. Called last, when no call is in flight.
    pub(crate) async fn deregister(&self) {
        let keys = ["members", "who", "want"];
        if let Err(error) = self.redis.remove_member(&self.config.replica, keys).await {
            tracing::warn!(%error, "this replica could not be removed from Redis; its share stays reserved for one minute");
        }
    }

    /// Records a failed query that was sent at `sent`, and begins degraded mode where the failure requires it. No lock is held while
    /// health is updated, since `/health` reads this state under a lock of its own.
    fn record_error(&self, error: &RedisError, sent: Instant) {
        {
            let mut state = self.state.lock();
            if !state.is_shared || (*error == RedisError::Timeout && !state.is_second_timeout(sent)) {
                return;
            }
            state.is_shared = false;
        }
        self.local.lock().activate();
        self.degraded.set(1);
        self.report_degraded(error);
    }

    fn report_degraded(&self, error: &RedisError) {
        let total = self.config.total;
        let (share, seat) = if self.has_seat() {
            (share_of_seat(total, self.config.max_replicas), "")
        } else {
            (1, ", since it has no seat from Redis")
        };
        self.effective_limit.set(share.into());
        self.health.degraded(format!(
            "{error}; degraded mode: this replica is limited to {share} of {total} calls in 1.1 s{seat}"
        ));
    }

    /// Runs `acquire.lua`. `granted`: how many grants of this replica still count, and for how long.
    async fn acquire_from_redis(
        &self,
        requests: &[GrantRequest],
        granted: (usize, Duration),
    ) -> Result<Decisions, RedisError> {
        let sent = Instant::now();
        let (epoch, had_seat) = {
            let state = self.state.lock();
            (state.epoch.clone(), state.has_seat)
        };
        let arguments = self.acquire_arguments(requests, granted, epoch, had_seat);
        let reply: Vec<String> = self.redis.run(&self.acquire, &arguments).await?;
        let malformed = || RedisError::ErrorReply("the reply of acquire.lua is malformed".to_owned());
        let (head, rest) = reply.split_at_checked(12).ok_or_else(malformed)?;
        let decisions: Option<Vec<(LimitDecision, u64)>> = rest.chunks(4).map(decision).collect();
        let decisions = decisions
            .filter(|decisions| decisions.len() == requests.len())
            .ok_or_else(malformed)?;
        let level = |at: usize| head[at].parse::<u64>().unwrap_or(0);
        let levels = [level(6), level(7), level(8)];
        let has_seat = head[5] == "1";
        {
            let mut state = self.state.lock();
            state.last_success = sent;
            state.timeouts = 0;
            state.last_timeout = None;
            state.epoch.clone_from(&head[0]);
            if state.has_seat != has_seat {
                state.has_seat = has_seat;
                state.reserved_from = Instant::now() + self.config.reserved_after;
                self.local.lock().set_seat(has_seat);
            }
        }
        self.effective_limit.set(head[3].parse().unwrap_or(0));
        self.token.apply_mark(token_marks::parse(&head[1]), sent);
        self.apply_pauses(&SharedPauses {
            edge_ms: &head[2],
            global_ms: &head[9],
            cleared: &head[10],
            resumed: &head[11],
        });
        let (decisions, tenants) = decisions.into_iter().unzip();
        Ok(Decisions {
            decisions,
            served: Some(ServedCounts { levels, tenants }),
        })
    }

    fn acquire_arguments(
        &self,
        requests: &[GrantRequest],
        (granted, granted_for): (usize, Duration),
        epoch: String,
        had_seat: bool,
    ) -> Vec<String> {
        let ms = |duration: Duration| duration.as_millis().to_string();
        let mut arguments = vec![
            self.config.replica.clone(),
            epoch,
            format!("{:016x}", rand::random::<u64>()),
            self.config.total.to_string(),
            ms(WINDOW),
            ms(TRANSIT),
            ms(SILENCE),
            self.config.max_replicas.to_string(),
            ms(IN_FLIGHT_TTL),
            granted.to_string(),
            ms(granted_for),
            share_of_seat(self.config.total, self.config.max_replicas).to_string(),
            flag(had_seat),
            self.config.instance_identity.clone(),
            requests.len().to_string(),
        ];
        for request in requests {
            arguments.extend([
                request.id.clone(),
                request.route.template.to_string(),
                request.route.major.to_string(),
                flag(request.bot),
                request.urgency.min(2).to_string(),
                request.tenant.to_string(),
            ]);
        }
        arguments
    }
}

fn wait(reason: WaitReason, wait: Duration) -> LimitDecision {
    LimitDecision::Wait { reason, wait }
}

fn flag(value: bool) -> String {
    if value { "1" } else { "0" }.to_owned()
}

/// One decision in a reply of `acquire.lua`, and the count of the call's tenant.
fn decision(reply: &[String]) -> Option<(LimitDecision, u64)> {
    let [word, ms, bucket, served] = reply else {
        return None;
    };
    let time = Duration::from_millis(ms.parse().ok()?);
    let decision = match word.as_str() {
        "go" => LimitDecision::Granted { bucket: bucket.clone() },
        "dead" => LimitDecision::TokenRefused,
        "global" => wait(WaitReason::Global, time),
        "route" => wait(WaitReason::Route, time),
        "answer" => wait(WaitReason::Response, time),
        _ => return None,
    };
    Some((decision, served.parse().ok()?))
}

fn complete_arguments(grant: &Grant, outcome: &CallOutcome, seats: u32) -> Vec<String> {
    let none = RateLimitUpdate::default();
    let (word, update) = match outcome {
        CallOutcome::NotSent => ("unused", &none),
        CallOutcome::ResponseLost => ("lost", &none),
        CallOutcome::Response(update) => ("answered", update),
    };
    let [hash, limit, remaining, reset] = match &update.bucket {
        Some(bucket) => [
            bucket.hash.clone(),
            bucket.limit.to_string(),
            bucket.remaining.to_string(),
            bucket.reset_after.as_millis().to_string(),
        ],
        None if update.no_bucket => ["-", "0", "0", "0"].map(str::to_owned),
        None => ["", "0", "0", "0"].map(str::to_owned),
    };
    let (pause, time) = match update.pause {
        None => ("", Duration::ZERO),
        Some(Pause::Global(time)) => ("global", time),
        Some(Pause::Route(time)) => ("route", time),
        Some(Pause::Edge(time)) => ("edge", time),
    };
    vec![
        grant.id.clone(),
        word.to_owned(),
        flag(grant.bot),
        grant.bucket.clone(),
        grant.route.template.to_string(),
        grant.route.major.to_string(),
        WINDOW.as_millis().to_string(),
        hash,
        limit,
        remaining,
        reset,
        pause.to_owned(),
        time.as_millis().to_string(),
        seats.to_string(),
    ]
}
