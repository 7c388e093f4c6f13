//! Metrics of the proxy. No label contains an id: route classes, statuses, scopes and reasons are closed sets.

use std::time::Duration;

use arrakis_contracts::proxy::{ProxyError, Urgency};
use arrakis_discord_http::RateLimitScope;
use arrakis_telemetry::Metrics as Registry;
use http::StatusCode;
use prometheus::{GaugeVec, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec};

use crate::kill_switch::KillSwitchGauges;

/// All metrics of the proxy.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    calls: IntCounterVec,
    seconds: HistogramVec,
    refusals: IntCounterVec,
    limited: IntCounterVec,
    retries: IntCounterVec,
    /// Calls in flight.
    pub in_flight: IntGauge,
    /// 401, 403 and 429 responses of the last ten minutes, of all replicas.
    pub invalid: IntGauge,
    /// Stopped causes of invalid requests.
    pub stopped: IntGauge,
    /// 1 while Discord refuses the bot token.
    pub token_refused: IntGauge,
    /// Checks of the token.
    pub token_checks: IntCounterVec,
    /// The kill switch and the freezes.
    pub kill_switch: KillSwitchGauges,
    /// 1 in degraded mode.
    pub degraded: IntGauge,
    /// Calls in 1.1 s that are allowed now.
    pub effective_limit: IntGauge,
    waits: HistogramVec,
    waiting: IntGaugeVec,
    tenants: IntGaugeVec,
    tenants_served: IntGaugeVec,
    largest_share: GaugeVec,
}

/// Metrics of one scheduler.
#[derive(Debug, Clone)]
pub(crate) struct QueueMetrics {
    lane: &'static str,
    metrics: Metrics,
}

const URGENCIES: [Urgency; 3] = [Urgency::Interactive, Urgency::Sync, Urgency::Bulk];

impl Metrics {
    /// Registers the metrics.
    pub(crate) fn new(registry: &Registry) -> Self {
        let metrics = Self {
            calls: registry.counter_vec(
                "arrakis_proxy_calls_total",
                "Responses of Discord by route class and status; each attempt counts. Status none: no response was received.",
                &["class", "status"],
            ),
            seconds: registry.seconds_vec(
                "arrakis_proxy_discord_seconds",
                "Seconds from sending an attempt to Discord's response.",
                &["class"],
            ),
            refusals: registry.counter_vec(
                "arrakis_proxy_refusals_total",
                "Calls that the proxy refused without or instead of a response of Discord.",
                &["why"],
            ),
            limited: registry.counter_vec(
                "arrakis_proxy_discord_429_total",
                "429 responses of Discord by scope. Only the scope shared is expected.",
                &["scope"],
            ),
            retries: registry.counter_vec("arrakis_proxy_retries_total", "Attempts after the first one of a call, by the reason of the retry.", &["why"]),
            in_flight: registry.gauge("arrakis_proxy_in_flight", "Calls that were sent to Discord and have no response yet."),
            invalid: registry.gauge(
                "arrakis_proxy_invalid_requests",
                "401, 403 and 429 responses of the last ten minutes, of all replicas. Discord bans the address at 10,000.",
            ),
            stopped: registry.gauge(
                "arrakis_proxy_stopped_causes",
                "Causes of invalid requests (caller, route, tenant) whose calls are stopped.",
            ),
            token_refused: registry.gauge("arrakis_proxy_token_dead", "1 while Discord refuses the bot token."),
            token_checks: registry.counter_vec(
                "arrakis_proxy_token_checks_total",
                "Checks of the bot token (GET /users/@me): after a 401, at intervals while Discord refuses it, at start, by an \
                 operator.",
                &["outcome"],
            ),
            kill_switch: KillSwitchGauges {
                is_on: registry.gauge(
                    "arrakis_proxy_kill_switch_on",
                    "1 while the kill switch is on at this replica: no write is sent to Discord.",
                ),
                frozen: registry.gauge(
                    "arrakis_proxy_frozen_communities",
                    "Communities whose roles and structure are not changed at this replica, since they are frozen.",
                ),
            },
            degraded: registry.gauge(
                "arrakis_proxy_limits_apart",
                "1 in degraded mode: Redis is unavailable, and this replica uses its own share of each limit.",
            ),
            effective_limit: registry.gauge(
                "arrakis_proxy_limit_in_force",
                "Calls allowed in any 1.1 s: of all replicas, or in degraded mode of this replica.",
            ),
            waits: registry.seconds_vec(
                "arrakis_proxy_wait_seconds",
                "Seconds that a call waited for its permit.",
                &["lane", "urgency"],
            ),
            waiting: registry.gauge_vec(
                "arrakis_proxy_waiting",
                "Calls that wait for their permit.",
                &["lane", "urgency"],
            ),
            tenants: registry.gauge_vec(
                "arrakis_proxy_tenants_waiting",
                "Tenants with calls that wait for a permit.",
                &["lane"],
            ),
            tenants_served: registry.gauge_vec(
                "arrakis_proxy_tenants_served",
                "Tenants with a permit in the last minute.",
                &["lane"],
            ),
            largest_share: registry.float_gauge_vec(
                "arrakis_proxy_largest_tenant_share_ratio",
                "Largest part of the permits of the last minute that one tenant had, from 0 to 1.",
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
        for scope in [
            RateLimitScope::User,
            RateLimitScope::Global,
            RateLimitScope::Shared,
            RateLimitScope::Edge,
        ] {
            self.limited.with_label_values(&[scope.name()]);
        }
        for why in ProxyError::ALL {
            self.refusals.with_label_values(&[why.name()]);
        }
        for why in ["limited", "failed", "unsent", "lost"] {
            self.retries.with_label_values(&[why]);
        }
    }

    /// Counts a response of Discord.
    pub(crate) fn response(&self, class: &str, status: StatusCode, took: Duration) {
        self.calls.with_label_values(&[class, status.as_str()]).inc();
        self.seconds.with_label_values(&[class]).observe(took.as_secs_f64());
    }

    /// Counts an attempt without a response.
    pub(crate) fn no_response(&self, class: &str) {
        self.calls.with_label_values(&[class, "none"]).inc();
    }

    /// Counts a refusal by the proxy.
    pub(crate) fn refused(&self, error: ProxyError) {
        self.refusals.with_label_values(&[error.name()]).inc();
    }

    /// Counts a 429 of Discord.
    pub(crate) fn rate_limited(&self, scope: RateLimitScope) {
        self.limited.with_label_values(&[scope.name()]).inc();
    }

    /// Counts a retry.
    pub(crate) fn retried(&self, reason: &str) {
        self.retries.with_label_values(&[reason]).inc();
    }

    /// The metrics of the scheduler of a lane.
    pub(crate) fn queue(&self, lane: &'static str) -> QueueMetrics {
        QueueMetrics {
            lane,
            metrics: self.clone(),
        }
    }
}

impl QueueMetrics {
    /// Records how long a call waited, until its permit or its deadline.
    pub(crate) fn waited(&self, urgency: Urgency, time: Duration) {
        self.metrics
            .waits
            .with_label_values(&[self.lane, urgency.name()])
            .observe(time.as_secs_f64());
    }

    /// Sets how many tenants had permits in the last minute, and the largest part of one of them.
    pub(crate) fn shares(&self, tenants: usize, largest: f64) {
        let labels = [self.lane];
        let tenants = i64::try_from(tenants).unwrap_or(i64::MAX);
        self.metrics.tenants_served.with_label_values(&labels).set(tenants);
        self.metrics.largest_share.with_label_values(&labels).set(largest);
    }

    /// Sets how many calls and tenants wait.
    pub(crate) fn waiting(&self, by_class: [usize; 3], tenants: usize) {
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        for (urgency, count) in URGENCIES.iter().zip(by_class) {
            self.metrics
                .waiting
                .with_label_values(&[self.lane, urgency.name()])
                .set(gauge(count));
        }
        self.metrics.tenants.with_label_values(&[self.lane]).set(gauge(tenants));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_page_and_promtool_accept_the_metrics() {
        let registry = Registry::new();
        let _metrics = Metrics::new(&registry);
        arrakis_test_support::assert_metrics("arrakis-discord-proxy", &registry);
    }

    #[test]
    fn refusals_start_at_zero() {
        let registry = Registry::new();
        let _metrics = Metrics::new(&registry);
        let text = registry.render();
        for why in ProxyError::ALL {
            let series = format!("arrakis_proxy_refusals_total{{why=\"{}\"}} 0\n", why.name());
            assert!(text.contains(&series), "{series}");
        }
    }
}
