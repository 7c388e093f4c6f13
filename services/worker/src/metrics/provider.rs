//! Metrics of the eligibility provider: answers by source, requests to the score service, state of its circuit breaker.
//!
//! The share of degraded answers is `arrakis_worker_eligibility_answers_total{source="degraded"}` divided by the sum over all sources.

use std::time::Duration;

use arrakis_eligibility::{BreakerState, ProviderObserver, Source};
use arrakis_telemetry::Metrics;
use prometheus::{Histogram, HistogramVec, IntCounterVec, IntGaugeVec};

/// Metrics of the eligibility provider. Cloning shares them.
#[derive(Debug, Clone)]
pub struct ProviderMetrics {
    answers: IntCounterVec,
    answer_seconds: HistogramVec,
    score_requests: IntCounterVec,
    score_seconds: Histogram,
    breaker: IntGaugeVec,
}

impl ProviderMetrics {
    /// Registers the metrics.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let provider = Self {
            answers: metrics.counter_vec(
                "arrakis_worker_eligibility_answers_total",
                "Answers about the eligibility of a wallet, by source; none: neither chain nor score service responded, and nothing was stored.",
                &["source"],
            ),
            answer_seconds: metrics.seconds_vec(
                "arrakis_worker_eligibility_answer_seconds",
                "Time from a question about a wallet until its answer, by source.",
                &["source"],
            ),
            score_requests: metrics.counter_vec(
                "arrakis_worker_score_requests_total",
                "Requests to the score service, by outcome; breaker_open: not sent, because the circuit breaker is open.",
                &["outcome"],
            ),
            score_seconds: metrics.seconds(
                "arrakis_worker_score_request_seconds",
                "Duration of requests to the score service.",
            ),
            breaker: metrics.gauge_vec(
                "arrakis_worker_score_breaker",
                "1 for the state of the score service's circuit breaker, 0 for the others.",
                &["state"],
            ),
        };
        // Counters start at zero, so that a share can be computed from the first answer on.
        for source in Source::NAMES.into_iter().chain(["none"]) {
            provider.answers.with_label_values(&[source]);
        }
        provider
    }

    pub(crate) fn set_breaker(&self, current: BreakerState) {
        for state in BreakerState::ALL {
            let gauge = self.breaker.with_label_values(&[state.name()]);
            gauge.set(i64::from(state == current));
        }
    }
}

impl ProviderObserver for ProviderMetrics {
    fn answered(&self, source: &'static str, took: Duration) {
        self.answers.with_label_values(&[source]).inc();
        self.answer_seconds
            .with_label_values(&[source])
            .observe(took.as_secs_f64());
    }

    fn score_requested(&self, outcome: &'static str, took: Duration) {
        self.score_requests.with_label_values(&[outcome]).inc();
        if outcome != "breaker_open" {
            self.score_seconds.observe(took.as_secs_f64());
        }
    }
}
