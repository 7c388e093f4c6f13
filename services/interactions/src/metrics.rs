//! Metrics of the service. Labels are closed sets.

use arrakis_telemetry::Metrics as Registry;
use prometheus::{Histogram, IntCounterVec};

use crate::outcome::Outcome;

/// All metrics of the service.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    requests: IntCounterVec,
    /// Seconds from the complete body to the broker's confirmation.
    pub(crate) confirm: Histogram,
}

impl Metrics {
    /// Registers the metrics.
    pub(crate) fn new(registry: &Registry) -> Self {
        let metrics = Self {
            requests: registry.counter_vec(
                "arrakis_interactions_requests_total",
                "Requests to the interactions endpoint by outcome: published (the broker has confirmed it), ping, unsigned (without a signature or a timestamp), signature \
                 (invalid), timestamp (a valid signature of another time), too_large, cut_off (the body is incomplete), malformed (a valid \
                 signature of no interaction), busy (bodies in memory exceed their limit), unavailable (the broker has not confirmed it).",
                &["outcome"],
            ),
            confirm: registry.fine_seconds(
                "arrakis_interactions_confirm_seconds",
                "Time from the complete body of an interaction to the broker's confirmation.",
            ),
        };
        for outcome in Outcome::ALL {
            metrics.requests.with_label_values(&[outcome.name()]);
        }
        metrics
    }

    /// Counts a request.
    pub(crate) fn count(&self, outcome: Outcome) {
        self.requests.with_label_values(&[outcome.name()]).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_page_and_promtool_accept_the_metrics() {
        let registry = Registry::new();
        let _metrics = Metrics::new(&registry);
        arrakis_test_support::assert_metrics("arrakis-interactions", &registry);
    }
}
