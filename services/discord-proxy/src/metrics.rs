//! What the proxy counts. No label holds an id: route classes, statuses, scopes and reasons are closed sets.

use std::time::Duration;

use arrakis_contracts::proxy::{ProxyError, Urgency};
use arrakis_telemetry::Metrics as Registry;
use http::StatusCode;
use prometheus::{HistogramVec, IntCounterVec, IntGauge, IntGaugeVec};

use crate::limits::headers::Scope;

/// All metrics of the proxy.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    calls: IntCounterVec,
    seconds: HistogramVec,
    refusals: IntCounterVec,
    limited: IntCounterVec,
    retries: IntCounterVec,
    /// Calls on their way to Discord.
    pub in_flight: IntGauge,
    /// 401, 403 and 429 of the last ten minutes, over all replicas.
    pub invalid: IntGauge,
    /// Causes that are stopped.
    pub stopped: IntGauge,
    /// 1 while Discord refuses the token.
    pub token_dead: IntGauge,
    /// Checks of the token.
    pub token_checks: IntCounterVec,
    /// 1 when Redis is away.
    pub apart: IntGauge,
    /// Calls in a window, as far as this replica knows.
    pub in_force: IntGauge,
    waits: HistogramVec,
    waiting: IntGaugeVec,
    tenants: IntGaugeVec,
}

/// What one scheduler counts.
#[derive(Debug, Clone)]
pub(crate) struct QueueMetrics {
    lane: &'static str,
    metrics: Metrics,
}

const URGENCIES: [Urgency; 3] = [Urgency::Interactive, Urgency::Sync, Urgency::Bulk];

impl Metrics {
    /// Registers them.
    pub(crate) fn new(registry: &Registry) -> Self {
        let metrics = Self {
            calls: registry.counter_vec(
                "arrakis_proxy_calls_total",
                "Answers of Discord, each attempt counted.",
                &["class", "status"],
            ),
            seconds: registry.seconds_vec(
                "arrakis_proxy_discord_seconds",
                "Time from sending an attempt to Discord's answer.",
                &["class"],
            ),
            refusals: registry.counter_vec(
                "arrakis_proxy_refusals_total",
                "Calls that the proxy answered by itself.",
                &["why"],
            ),
            limited: registry.counter_vec(
                "arrakis_proxy_discord_429_total",
                "429 answers of Discord: none but shared ones are expected.",
                &["scope"],
            ),
            retries: registry.counter_vec("arrakis_proxy_retries_total", "Attempts after the first.", &["why"]),
            in_flight: registry.gauge("arrakis_proxy_in_flight", "Calls on their way to Discord."),
            invalid: registry.gauge(
                "arrakis_proxy_invalid_requests",
                "401, 403 and 429 of the last ten minutes, over all replicas; Discord bans the address at 10,000.",
            ),
            stopped: registry.gauge(
                "arrakis_proxy_stopped_causes",
                "Causes of invalid requests that are stopped.",
            ),
            token_dead: registry.gauge("arrakis_proxy_token_dead", "1 while Discord refuses the bot token."),
            token_checks: registry.counter_vec(
                "arrakis_proxy_token_checks_total",
                "Checks whether Discord accepts the bot token (GET /users/@me): after a 401, at intervals while it is dead, at \
                 start, by an operator.",
                &["outcome"],
            ),
            apart: registry.gauge(
                "arrakis_proxy_limits_apart",
                "1 when Redis is away and this replica keeps to its share by itself.",
            ),
            in_force: registry.gauge(
                "arrakis_proxy_limit_in_force",
                "Calls in any 1.1 s: of all replicas while Redis decides, of this one while it decides by itself.",
            ),
            waits: registry.seconds_vec(
                "arrakis_proxy_wait_seconds",
                "Time that a call waited for its turn.",
                &["lane", "urgency"],
            ),
            waiting: registry.gauge_vec(
                "arrakis_proxy_waiting",
                "Calls that wait for their turn.",
                &["lane", "urgency"],
            ),
            tenants: registry.gauge_vec(
                "arrakis_proxy_tenants_waiting",
                "Tenants that wait for a turn.",
                &["lane"],
            ),
        };
        metrics.start_at_zero();
        metrics
    }

    fn start_at_zero(&self) {
        for outcome in ["accepted", "refused", "unknown"] {
            self.token_checks.with_label_values(&[outcome]);
        }
        for scope in [Scope::User, Scope::Global, Scope::Shared, Scope::Edge] {
            self.limited.with_label_values(&[scope.name()]);
        }
        for why in ["limited", "failed", "unsent", "lost"] {
            self.retries.with_label_values(&[why]);
        }
    }

    /// Discord answered an attempt.
    pub(crate) fn answered(&self, class: &str, status: StatusCode, took: Duration) {
        self.calls.with_label_values(&[class, status.as_str()]).inc();
        self.seconds.with_label_values(&[class]).observe(took.as_secs_f64());
    }

    /// An attempt had no answer.
    pub(crate) fn unanswered(&self, class: &str) {
        self.calls.with_label_values(&[class, "none"]).inc();
    }

    /// The proxy answered by itself.
    pub(crate) fn refused(&self, why: ProxyError) {
        self.refusals.with_label_values(&[why.name()]).inc();
    }

    /// Discord answered 429.
    pub(crate) fn limited(&self, scope: Scope) {
        self.limited.with_label_values(&[scope.name()]).inc();
    }

    /// Another attempt follows.
    pub(crate) fn retried(&self, why: &str) {
        self.retries.with_label_values(&[why]).inc();
    }

    /// The part that a scheduler fills.
    pub(crate) fn queue(&self, lane: &'static str) -> QueueMetrics {
        QueueMetrics {
            lane,
            metrics: self.clone(),
        }
    }
}

impl QueueMetrics {
    /// A call has its turn, or gave up.
    pub(crate) fn waited(&self, urgency: Urgency, time: Duration) {
        self.metrics
            .waits
            .with_label_values(&[self.lane, urgency.name()])
            .observe(time.as_secs_f64());
    }

    /// How many wait now.
    pub(crate) fn waiting(&self, by_class: [usize; 3], tenants: usize) {
        let figure = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        for (urgency, count) in URGENCIES.iter().zip(by_class) {
            self.metrics
                .waiting
                .with_label_values(&[self.lane, urgency.name()])
                .set(figure(count));
        }
        self.metrics
            .tenants
            .with_label_values(&[self.lane])
            .set(figure(tenants));
    }
}
