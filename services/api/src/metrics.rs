//! Metrics of the api. Labels are route templates, methods, statuses and names of limits: closed sets.

use std::time::Duration;

use arrakis_contracts::approvals::PlanVerdict;
use arrakis_db::PoolUsage;
use arrakis_security::signing::{SigningObserver, SigningOutcome, SigningPurpose};
use arrakis_telemetry::Metrics as Registry;
use http::{Method, StatusCode};
use prometheus::{HistogramVec, IntCounter, IntCounterVec, IntGaugeVec};

/// Names of the rate limits.
pub(crate) const LIMITS: [&str; 3] = ["address", "network", "key"];

/// Verdicts of the policy on submitted plans.
const VERDICTS: [&str; 3] = ["passed", "needs_approval", "blocked"];

/// All metrics of the api.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    requests: IntCounterVec,
    failed: IntCounter,
    seconds: HistogramVec,
    rate_limited: IntCounterVec,
    signatures: IntCounterVec,
    page_refusals: IntCounterVec,
    plans: IntCounterVec,
    pool: IntGaugeVec,
    /// Requests that this replica counted in its own memory for a rate limit, because Redis was unavailable.
    pub(crate) counted_locally: IntCounter,
    /// Jobs that were stored and not published.
    pub(crate) unpublished_jobs: IntCounter,
    /// Audit entries of refused requests that were not written.
    pub(crate) unaudited_refusals: IntCounter,
}

impl Metrics {
    /// Registers the metrics.
    pub(crate) fn new(registry: &Registry) -> Self {
        let metrics = Self {
            requests: registry.counter_vec(
                "arrakis_api_requests_total",
                "Responses by route, method and status. Route none: the path matches no route.",
                &["route", "method", "status"],
            ),
            failed: registry.counter(
                "arrakis_api_failed_responses_total",
                "Responses with a status of 500 or more.",
            ),
            seconds: registry.seconds_vec(
                "arrakis_api_request_seconds",
                "Seconds from the head of a request to the head of its response, by route.",
                &["route"],
            ),
            rate_limited: registry.counter_vec(
                "arrakis_api_rate_limited_total",
                "Requests refused by a rate limit: of the client's address, of its IPv6 network of 48 bits, or of the API key.",
                &["limit"],
            ),
            signatures: registry.counter_vec(
                "arrakis_api_signatures_total",
                "Signing requests, by purpose and outcome.",
                &["purpose", "outcome"],
            ),
            page_refusals: registry.counter_vec(
                "arrakis_api_wallet_page_refusals_total",
                "Requests of the wallet page that were refused, by the code of the refusal.",
                &["code"],
            ),
            plans: registry.counter_vec(
                "arrakis_api_plans_total",
                "Plans of infrastructure that were submitted, by the verdict of the policy. Verdict blocked: the policy rejects the plan.",
                &["verdict"],
            ),
            pool: registry.gauge_vec(
                "arrakis_api_postgres_connections",
                "Connections in the Postgres pools, by login and state.",
                &["login", "state"],
            ),
            counted_locally: registry.counter(
                "arrakis_api_rate_limits_local_total",
                "Requests that this replica counted in its own memory for a rate limit, because Redis was unavailable.",
            ),
            unpublished_jobs: registry.counter(
                "arrakis_api_unpublished_jobs_total",
                "Jobs that were stored in PostgreSQL and whose message was not published; the leader of the workers publishes it within 30 s.",
            ),
            unaudited_refusals: registry.counter(
                "arrakis_api_unaudited_refusals_total",
                "Refused requests of admin routes that are in no audit entry, because PostgreSQL was unavailable.",
            ),
        };
        // Counters start at zero, so that an increase is seen from the first signature on.
        for purpose in SigningPurpose::ALL {
            for outcome in SigningOutcome::ALL {
                metrics.signatures.with_label_values(&[purpose.name(), outcome.name()]);
            }
        }
        for limit in LIMITS {
            metrics.rate_limited.with_label_values(&[limit]);
        }
        for verdict in VERDICTS {
            metrics.plans.with_label_values(&[verdict]);
        }
        metrics
    }

    /// Counts a response; `took` is the time from the head of the request to the head of the response.
    pub(crate) fn response(&self, route: &str, method: &Method, status: StatusCode, took: Duration) {
        // A client may send any text as a method.
        let method = match method.as_str() {
            known @ ("GET" | "HEAD" | "POST" | "OPTIONS" | "PUT" | "PATCH" | "DELETE") => known,
            _ => "other",
        };
        self.requests.with_label_values(&[route, method, status.as_str()]).inc();
        if status.is_server_error() {
            self.failed.inc();
        }
        self.seconds.with_label_values(&[route]).observe(took.as_secs_f64());
    }

    /// Counts a refusal of the wallet page.
    pub(crate) fn page_refused(&self, code: &'static str) {
        self.page_refusals.with_label_values(&[code]).inc();
    }

    /// Counts a submitted plan by the verdict of the policy.
    pub(crate) fn plan_submitted(&self, verdict: PlanVerdict) {
        let verdict = match verdict {
            PlanVerdict::Passed => "passed",
            PlanVerdict::NeedsApproval => "needs_approval",
            PlanVerdict::Rejected => "blocked",
        };
        self.plans.with_label_values(&[verdict]).inc();
    }

    /// Sets the connections of a pool.
    pub(crate) fn pool(&self, login: &'static str, usage: PoolUsage) {
        for (state, connections) in [("open", usage.open), ("idle", usage.idle)] {
            let gauge = self.pool.with_label_values(&[login, state]);
            gauge.set(i64::from(connections));
        }
    }

    /// Counts a request that a rate limit refused.
    pub(crate) fn rate_limited(&self, limit: &'static str) {
        self.rate_limited.with_label_values(&[limit]).inc();
    }
}

impl SigningObserver for Metrics {
    fn finished(&self, purpose: Option<SigningPurpose>, outcome: SigningOutcome) {
        let purpose = purpose.map_or("none", SigningPurpose::name);
        self.signatures.with_label_values(&[purpose, outcome.name()]).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_page_and_promtool_accept_the_metrics() {
        let registry = Registry::new();
        let _metrics = Metrics::new(&registry);
        arrakis_test_support::assert_metrics("arrakis-api", &registry);
    }

    /// A series of a route and a status begins with its first response, which is no increase.
    #[test]
    fn failed_responses_start_at_zero() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry);
        let failed = |number| {
            registry
                .render()
                .contains(&format!("arrakis_api_failed_responses_total {number}\n"))
        };
        assert!(failed(0));
        for status in [StatusCode::OK, StatusCode::NOT_FOUND, StatusCode::SERVICE_UNAVAILABLE] {
            metrics.response("/eligibility", &Method::GET, status, Duration::ZERO);
        }
        assert!(failed(1));
    }
}
