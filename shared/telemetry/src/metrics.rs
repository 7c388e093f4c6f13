//! The Prometheus registry of a service, and constructors that register a metric in it.

use std::sync::Arc;

use parking_lot::Mutex;
use prometheus::core::Collector;
use prometheus::{
    Counter, Encoder as _, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

/// Histogram buckets in seconds, for durations from a defer (milliseconds) to a retried call (seconds).
const SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 3.0, 5.0, 10.0, 30.0,
];

/// Histogram buckets in seconds, for durations with a threshold in milliseconds: ten for each decade, so that the error of a
/// percentile is at most a fifth, and narrower ones at the thresholds of 5 ms and 10 ms.
const FINE_SECONDS: &[f64] = &[
    0.0001, 0.00012, 0.00015, 0.0002, 0.00025, 0.0003, 0.0004, 0.0005, 0.0006, 0.0008, 0.001, 0.0012, 0.0015, 0.002,
    0.0025, 0.003, 0.0035, 0.004, 0.0045, 0.0049, 0.0055, 0.006, 0.007, 0.008, 0.009, 0.0099, 0.011, 0.012, 0.015,
    0.02, 0.025, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0,
];

/// Histogram buckets in seconds, for jobs: from a second to an hour, with the threshold of a synthesis, 5 minutes.
const JOB_SECONDS: &[f64] = &[
    0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 180.0, 300.0, 450.0, 600.0, 900.0, 1800.0, 3600.0,
];

/// The kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// A number that only grows, until the process restarts.
    Counter,
    /// A number that grows and falls.
    Gauge,
    /// Observations in buckets, with their sum and count.
    Histogram,
}

impl MetricKind {
    /// Its name in Prometheus's text format.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A registered metric, for the reference page: the text format leaves out a metric with labels until it has a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricDescription {
    /// Name.
    pub name: String,
    /// Kind.
    pub kind: MetricKind,
    /// Help text.
    pub help: String,
    /// Names of its labels.
    pub labels: Vec<String>,
}

/// Registers metrics of a service. Clones share the registry.
///
/// Names begin with `arrakis_` and end with their unit (`_seconds`, `_bytes`, `_total`); no label value is an id. A name that cannot
/// be registered (twice, or malformed) is a mistake in the code: debug builds panic; release builds log it and return a metric
/// that is not exported.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    registry: Registry,
    descriptions: Arc<Mutex<Vec<MetricDescription>>>,
}

impl Metrics {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// The Prometheus registry, for other collectors.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Every metric that was registered here, in the order of registration.
    pub fn descriptions(&self) -> Vec<MetricDescription> {
        self.descriptions.lock().clone()
    }

    /// Registers a counter that starts at zero.
    pub fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.describe(MetricKind::Counter, name, help, &[]);
        self.add(IntCounter::new(name, help), || IntCounter::new("invalid", "invalid"))
    }

    /// Registers a counter with floating-point values, such as seconds of CPU time, that starts at zero.
    pub fn float_counter(&self, name: &str, help: &str) -> Counter {
        self.describe(MetricKind::Counter, name, help, &[]);
        self.add(Counter::new(name, help), || Counter::new("invalid", "invalid"))
    }

    /// Registers a counter with labels. It has no series before the first use of their values.
    pub fn counter_vec(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.describe(MetricKind::Counter, name, help, labels);
        self.add(IntCounterVec::new(Opts::new(name, help), labels), || {
            IntCounterVec::new(Opts::new("invalid", "invalid"), labels)
        })
    }

    /// Registers a gauge that starts at zero.
    pub fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.describe(MetricKind::Gauge, name, help, &[]);
        self.add(IntGauge::new(name, help), || IntGauge::new("invalid", "invalid"))
    }

    /// Registers a gauge with floating-point values, such as a ratio, that starts at zero.
    pub fn float_gauge(&self, name: &str, help: &str) -> Gauge {
        self.describe(MetricKind::Gauge, name, help, &[]);
        self.add(Gauge::new(name, help), || Gauge::new("invalid", "invalid"))
    }

    /// Registers a gauge with labels. It has no series before the first use of their values.
    pub fn gauge_vec(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.describe(MetricKind::Gauge, name, help, labels);
        self.add(IntGaugeVec::new(Opts::new(name, help), labels), || {
            IntGaugeVec::new(Opts::new("invalid", "invalid"), labels)
        })
    }

    /// Registers a gauge with floating-point values and labels.
    pub fn float_gauge_vec(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.describe(MetricKind::Gauge, name, help, labels);
        self.add(GaugeVec::new(Opts::new(name, help), labels), || {
            GaugeVec::new(Opts::new("invalid", "invalid"), labels)
        })
    }

    /// Registers a histogram of durations in seconds, from 0.5 ms to 30 s.
    pub fn seconds(&self, name: &str, help: &str) -> Histogram {
        self.histogram(name, help, SECONDS)
    }

    /// Registers a histogram of durations in seconds with narrow buckets, for durations with a threshold in milliseconds.
    pub fn fine_seconds(&self, name: &str, help: &str) -> Histogram {
        self.histogram(name, help, FINE_SECONDS)
    }

    /// Registers a histogram of durations in seconds with labels, from 0.5 ms to 30 s.
    pub fn seconds_vec(&self, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
        self.histogram_vec(name, help, labels, SECONDS)
    }

    /// Registers a histogram of durations of jobs in seconds with labels, from 0.1 s to an hour.
    pub fn job_seconds_vec(&self, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
        self.histogram_vec(name, help, labels, JOB_SECONDS)
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        self.describe(MetricKind::Histogram, name, help, &[]);
        let options = |name: &str, help: &str| HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.add(Histogram::with_opts(options(name, help)), || {
            Histogram::with_opts(options("invalid", "invalid"))
        })
    }

    fn histogram_vec(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
        self.describe(MetricKind::Histogram, name, help, labels);
        let options = |name: &str, help: &str| HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.add(HistogramVec::new(options(name, help), labels), || {
            HistogramVec::new(options("invalid", "invalid"), labels)
        })
    }

    fn describe(&self, kind: MetricKind, name: &str, help: &str, labels: &[&str]) {
        self.descriptions.lock().push(MetricDescription {
            name: name.to_owned(),
            kind,
            help: help.to_owned(),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        });
    }

    /// The metrics in Prometheus's text format.
    pub fn render(&self) -> String {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics cannot be rendered");
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    #[expect(
        clippy::expect_used,
        reason = "the placeholder's name is a constant that Prometheus accepts"
    )]
    fn add<C: Collector + Clone + 'static>(
        &self,
        metric: prometheus::Result<C>,
        placeholder: impl FnOnce() -> prometheus::Result<C>,
    ) -> C {
        let registered = metric.and_then(|metric| {
            self.registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        });
        registered.unwrap_or_else(|error| {
            debug_assert!(false, "a metric cannot be registered: {error}");
            tracing::error!(%error, "a metric cannot be registered and is not exported");
            placeholder().expect("Prometheus accepts the placeholder")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counter_is_exported_at_zero() {
        let metrics = Metrics::new();
        metrics.counter("arrakis_test_total", "A test.");
        assert!(metrics.render().contains("arrakis_test_total 0"));
    }

    #[test]
    fn metric_without_a_value_is_described() {
        let metrics = Metrics::new();
        metrics.job_seconds_vec("arrakis_test_seconds", "A test.", &["kind"]);
        assert!(!metrics.render().contains("arrakis_test_seconds"));
        let described = MetricDescription {
            name: "arrakis_test_seconds".to_owned(),
            kind: MetricKind::Histogram,
            help: "A test.".to_owned(),
            labels: vec!["kind".to_owned()],
        };
        assert_eq!(metrics.clone().descriptions(), [described]);
    }

    #[test]
    #[should_panic(expected = "cannot be registered")]
    fn name_registered_twice_panics_in_a_debug_build() {
        let metrics = Metrics::new();
        metrics.counter("arrakis_test_total", "A test.");
        metrics.counter("arrakis_test_total", "A test.");
    }
}
