//! What the ingestor counts.

use arrakis_telemetry::Metrics as Registry;
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use crate::events::KNOWN;

/// Metrics of the ingestor. Cloning shares them.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    forwarded: IntCounterVec,
    skipped: IntCounter,
    duplicates: IntCounter,
    unreadable: IntCounter,
    gaps: IntCounterVec,
    identifies: IntCounter,
    identifies_left: IntGauge,
    resumes: IntCounter,
    closes: IntCounterVec,
    latency: IntGaugeVec,
    lag: IntGaugeVec,
    confirm: Histogram,
    pending: IntGaugeVec,
    active: IntGaugeVec,
    publishing: IntGaugeVec,
    blocked: IntGauge,
    connected: IntGauge,
}

/// Why events were missed: the values of the label.
pub(crate) const GAP_REASONS: [&str; 7] = [
    "sequence",
    "unpublishable",
    "invalid_session",
    "close_code",
    "shard_count",
    "unreadable_frame",
    "resume_failed",
];

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let metrics = Self {
            forwarded: registry.counter_vec(
                "arrakis_ingestor_events_total",
                "Events forwarded, by name.",
                &["event"],
            ),
            skipped: registry.counter(
                "arrakis_ingestor_events_skipped_total",
                "Dispatches that are not on the list.",
            ),
            duplicates: registry.counter(
                "arrakis_ingestor_events_repeated_total",
                "Dispatches received again and not forwarded again.",
            ),
            unreadable: registry.counter(
                "arrakis_ingestor_frames_unreadable_total",
                "Frames that could not be read.",
            ),
            gaps: registry.counter_vec(
                "arrakis_ingestor_gaps_total",
                "Events missed or given up, by cause; reconciliation repairs.",
                &["reason"],
            ),
            identifies: registry.counter("arrakis_ingestor_identifies_total", "Sessions begun."),
            identifies_left: registry.gauge(
                "arrakis_ingestor_identifies_left",
                "Identifies left of the session-start limit, when last asked.",
            ),
            resumes: registry.counter("arrakis_ingestor_resumes_total", "Sessions resumed."),
            closes: registry.counter_vec(
                "arrakis_ingestor_gateway_closes_total",
                "Gateway connections that ended, by cause.",
                &["cause"],
            ),
            latency: registry.gauge_vec(
                "arrakis_ingestor_gateway_latency_milliseconds",
                "Heartbeat round trip.",
                &["shard"],
            ),
            lag: registry.gauge_vec(
                "arrakis_ingestor_seq_lag",
                "Sequence numbers received and not yet confirmed.",
                &["shard"],
            ),
            confirm: registry.fine_seconds(
                "arrakis_ingestor_confirm_seconds",
                "From a frame's receipt to the broker's confirmation of its message.",
            ),
            pending: registry.gauge_vec(
                "arrakis_ingestor_unconfirmed_messages",
                "Messages that await the broker's confirmation.",
                &["shard"],
            ),
            active: registry.gauge_vec(
                "arrakis_ingestor_shard_active",
                "1 where this process receives the shard's events.",
                &["shard"],
            ),
            publishing: registry.gauge_vec(
                "arrakis_ingestor_publishing",
                "Messages resent, refused, detoured, unroutable, given up since the shard was taken, and waiting after a refusal.",
                &["shard", "what"],
            ),
            blocked: registry.gauge(
                "arrakis_ingestor_broker_blocked",
                "1 while the broker takes no messages.",
            ),
            connected: registry.gauge("arrakis_ingestor_broker_connected", "1 while connected to the broker."),
        };
        for event in KNOWN {
            metrics.forwarded.with_label_values(&[event]);
        }
        for reason in GAP_REASONS {
            metrics.gaps.with_label_values(&[reason]);
        }
        metrics
    }

    pub(crate) fn forwarded(&self, event: &str) {
        self.forwarded.with_label_values(&[event]).inc();
    }

    pub(crate) fn skipped(&self) {
        self.skipped.inc();
    }

    pub(crate) fn repeated(&self) {
        self.duplicates.inc();
    }

    pub(crate) fn unreadable(&self) {
        self.unreadable.inc();
    }

    pub(crate) fn gap(&self, reason: &str) {
        self.gaps.with_label_values(&[reason]).inc();
    }

    pub(crate) fn identified(&self) {
        self.identifies.inc();
    }

    pub(crate) fn identifies_left(&self, left: u32) {
        self.identifies_left.set(i64::from(left));
    }

    pub(crate) fn resumed(&self) {
        self.resumes.inc();
    }

    pub(crate) fn closed(&self, cause: &str) {
        self.closes.with_label_values(&[cause]).inc();
    }

    pub(crate) fn broker(&self, connected: bool, blocked: bool) {
        self.connected.set(i64::from(connected));
        self.blocked.set(i64::from(blocked));
    }

    /// Copies one shard's numbers.
    pub(crate) fn shard(&self, shard: u32, active: bool, numbers: &crate::status::Numbers) {
        let shard = shard.to_string();
        let set = |gauge: &IntGaugeVec, value: u64| {
            gauge
                .with_label_values(&[&shard])
                .set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&self.active, u64::from(active));
        set(
            &self.latency,
            numbers
                .latency
                .map_or(0, |latency| u64::try_from(latency.as_millis()).unwrap_or(u64::MAX)),
        );
        set(&self.lag, numbers.received.saturating_sub(numbers.confirmed));
        set(&self.pending, numbers.pending as u64);
    }

    /// Who is told how long after its receipt an event was confirmed.
    pub(crate) fn lag_told(&self) -> arrakis_broker::Lag {
        let confirm = self.confirm.clone();
        arrakis_broker::Lag::told(move |took| confirm.observe(took.as_secs_f64()))
    }

    pub(crate) fn publishing(&self, shard: u32, progress: arrakis_broker::Progress) {
        let shard = shard.to_string();
        for (what, value) in [
            ("resent", progress.resent),
            ("refused", progress.refused),
            ("detoured", progress.detoured),
            ("unroutable", progress.unroutable),
            ("given_up", progress.given_up),
            ("waiting", progress.refused_waiting as u64),
        ] {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            self.publishing.with_label_values(&[shard.as_str(), what]).set(value);
        }
    }
}
