//! The registry of a service, and short ways to put a metric into it.

use prometheus::core::Collector;
use prometheus::{
    Encoder as _, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

/// Upper bounds, in seconds, that suit both a defer (milliseconds) and a retried call (seconds).
const SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// Upper bounds, in seconds, for what is held to a threshold in milliseconds: ten to a decade, so that a percentile is known
/// to a fifth of itself, and closer where the thresholds are, at five and ten milliseconds.
const FINE_SECONDS: &[f64] = &[
    0.0001, 0.00012, 0.00015, 0.0002, 0.00025, 0.0003, 0.0004, 0.0005, 0.0006, 0.0008, 0.001, 0.0012, 0.0015, 0.002,
    0.0025, 0.003, 0.0035, 0.004, 0.0045, 0.0049, 0.0055, 0.006, 0.007, 0.008, 0.009, 0.0099, 0.011, 0.012, 0.015,
    0.02, 0.025, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0,
];

/// Metrics of one service. Cloning shares the registry.
///
/// Names carry their unit (`_seconds`, `_bytes`, `_total`) and begin with `arrakis_`; no label holds an id. A name that
/// cannot be registered (twice, or malformed) is a mistake in the code: debug builds panic, release builds log it and go on
/// with a metric that nobody sees, since a service must not stop for one.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// The registry itself, for collectors of one's own.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// A counter; it starts at zero.
    pub fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.add(IntCounter::new(name, help), || IntCounter::new("invalid", "invalid"))
    }

    /// A counter by labels.
    pub fn counter_vec(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.add(IntCounterVec::new(Opts::new(name, help), labels), || {
            IntCounterVec::new(Opts::new("invalid", "invalid"), labels)
        })
    }

    /// A gauge; it starts at zero.
    pub fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.add(IntGauge::new(name, help), || IntGauge::new("invalid", "invalid"))
    }

    /// A gauge by labels.
    pub fn gauge_vec(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels), || {
            IntGaugeVec::new(Opts::new("invalid", "invalid"), labels)
        })
    }

    /// A histogram of seconds.
    pub fn seconds(&self, name: &str, help: &str) -> Histogram {
        let options = |name: &str, help: &str| HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
        self.add(Histogram::with_opts(options(name, help)), || {
            Histogram::with_opts(options("invalid", "invalid"))
        })
    }

    /// A histogram of seconds with fine steps, for what is held to a threshold in milliseconds.
    pub fn fine_seconds(&self, name: &str, help: &str) -> Histogram {
        let options = |name: &str, help: &str| HistogramOpts::new(name, help).buckets(FINE_SECONDS.to_vec());
        self.add(Histogram::with_opts(options(name, help)), || {
            Histogram::with_opts(options("invalid", "invalid"))
        })
    }

    /// A histogram of seconds by labels.
    pub fn seconds_vec(&self, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
        let options = |name: &str, help: &str| HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
        self.add(HistogramVec::new(options(name, help), labels), || {
            HistogramVec::new(options("invalid", "invalid"), labels)
        })
    }

    /// All of them as `/metrics` shows them: Prometheus's text format.
    pub fn render(&self) -> String {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics cannot be rendered");
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    #[expect(
        clippy::expect_used,
        reason = "the stand-in's name is a constant that Prometheus accepts"
    )]
    fn add<C: Collector + Clone + 'static>(
        &self,
        metric: prometheus::Result<C>,
        stand_in: impl FnOnce() -> prometheus::Result<C>,
    ) -> C {
        let registered = metric.and_then(|metric| {
            self.registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        });
        registered.unwrap_or_else(|error| {
            debug_assert!(false, "a metric cannot be registered: {error}");
            tracing::error!(%error, "a metric cannot be registered and stays unseen");
            stand_in().expect("the stand-in is well-formed")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_shows_at_zero() {
        let metrics = Metrics::new();
        metrics.counter("arrakis_test_total", "A test.");
        assert!(metrics.render().contains("arrakis_test_total 0"));
    }

    #[test]
    #[should_panic(expected = "cannot be registered")]
    fn a_name_taken_twice_is_noticed_in_a_debug_build() {
        let metrics = Metrics::new();
        metrics.counter("arrakis_test_total", "A test.");
        metrics.counter("arrakis_test_total", "A test.");
    }
}
