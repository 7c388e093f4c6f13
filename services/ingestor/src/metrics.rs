//! Metrics of the ingestor.

use arrakis_telemetry::Metrics as Registry;
use prometheus::{GaugeVec, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use crate::events::FORWARDABLE;
use crate::status::{ShardCounters, ShardPhase};

/// Metrics of the ingestor. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    received: IntCounter,
    forwarded: IntCounterVec,
    confirmed: IntCounter,
    skipped: IntCounter,
    duplicates: IntCounter,
    unreadable: IntCounter,
    gaps: IntCounterVec,
    identifies: IntCounter,
    identifies_left: IntGauge,
    resumes: IntCounter,
    closes: IntCounterVec,
    latency: GaugeVec,
    lag: IntGaugeVec,
    confirm: Histogram,
    pending: IntGaugeVec,
    active: IntGaugeVec,
    state: IntGaugeVec,
    publishing: IntGaugeVec,
    blocked: IntGauge,
    connected: IntGauge,
}

/// Values of the label `reason`: why events were missed.
pub(crate) const GAP_REASONS: [&str; 7] = [
    "sequence",
    "unpublishable",
    "invalid_session",
    "close_code",
    "shard_count",
    "unreadable_frame",
    "resume_failed",
];

/// Values of the label `cause`: why connections ended.
const CLOSE_CAUSES: [&str; 10] = [
    "backpressure",
    "closed",
    "compression",
    "dropped",
    "invalid_session",
    "reconnect",
    "sequence",
    "silent",
    "unreachable",
    "unreadable",
];

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let metrics = Self {
            received: registry.counter(
                "arrakis_ingestor_events_received_total",
                "Dispatches received from the gateway, without READY and RESUMED.",
            ),
            confirmed: registry.counter(
                "arrakis_ingestor_events_confirmed_total",
                "Messages that the broker has confirmed.",
            ),
            forwarded: registry.counter_vec(
                "arrakis_ingestor_events_total",
                "Events published, by event name.",
                &["event"],
            ),
            skipped: registry.counter(
                "arrakis_ingestor_events_skipped_total",
                "Dispatches not forwarded because INGESTOR_EVENTS does not list them.",
            ),
            duplicates: registry.counter(
                "arrakis_ingestor_events_repeated_total",
                "Dispatches received a second time and not published again.",
            ),
            unreadable: registry.counter(
                "arrakis_ingestor_frames_unreadable_total",
                "Gateway frames that could not be parsed.",
            ),
            gaps: registry.counter_vec(
                "arrakis_ingestor_gaps_total",
                "Gaps in the received events, by reason; reconciliation repairs their changes.",
                &["reason"],
            ),
            identifies: registry.counter("arrakis_ingestor_identifies_total", "IDENTIFY commands sent."),
            identifies_left: registry.gauge(
                "arrakis_ingestor_identifies_left",
                "Remaining IDENTIFY commands of the session start limit.",
            ),
            resumes: registry.counter("arrakis_ingestor_resumes_total", "Gateway sessions resumed."),
            closes: registry.counter_vec(
                "arrakis_ingestor_gateway_closes_total",
                "Gateway connections that ended, by cause.",
                &["cause"],
            ),
            latency: registry.float_gauge_vec(
                "arrakis_ingestor_gateway_latency_seconds",
                "Time from a gateway heartbeat to its acknowledgement.",
                &["shard"],
            ),
            lag: registry.gauge_vec(
                "arrakis_ingestor_seq_lag",
                "Sequence numbers received and not confirmed.",
                &["shard"],
            ),
            confirm: registry.fine_seconds(
                "arrakis_ingestor_confirm_seconds",
                "Time from the receipt of a gateway frame to the broker's confirmation of its message.",
            ),
            pending: registry.gauge_vec(
                "arrakis_ingestor_unconfirmed_messages",
                "Messages published and not confirmed.",
                &["shard"],
            ),
            active: registry.gauge_vec(
                "arrakis_ingestor_shard_active",
                "1 if this process receives the shard's events.",
                &["shard"],
            ),
            state: registry.gauge_vec(
                "arrakis_ingestor_shard_state",
                "1 for the present state of the shard in this process (starting, standby, connecting, active), 0 for the others.",
                &["shard", "state"],
            ),
            publishing: registry.gauge_vec(
                "arrakis_ingestor_publishing",
                "Messages by what happened to them since the lease was acquired: resent, refused, detoured (sent to their alternative route), unroutable, given up. Also refused messages that wait now.",
                &["shard", "what"],
            ),
            blocked: registry.gauge(
                "arrakis_ingestor_broker_blocked",
                "1 if the broker blocks publishers.",
            ),
            connected: registry.gauge("arrakis_ingestor_broker_connected", "1 if the broker is connected."),
        };
        for event in FORWARDABLE {
            metrics.forwarded.with_label_values(&[event]);
        }
        for reason in GAP_REASONS {
            metrics.gaps.with_label_values(&[reason]);
        }
        for cause in CLOSE_CAUSES {
            metrics.closes.with_label_values(&[cause]);
        }
        metrics
    }

    /// Counts a dispatch.
    pub(crate) fn received(&self) {
        self.received.inc();
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

    /// Sets the gauges of a shard.
    pub(crate) fn shard(&self, shard: u32, phase: &ShardPhase, counters: &ShardCounters) {
        let shard = shard.to_string();
        let set = |gauge: &IntGaugeVec, value: u64| {
            gauge
                .with_label_values(&[&shard])
                .set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&self.active, u64::from(*phase == ShardPhase::Active));
        for name in ShardPhase::NAMES {
            let labels = [shard.as_str(), name];
            self.state
                .with_label_values(&labels)
                .set(i64::from(name == phase.name()));
        }
        let latency = counters.latency.unwrap_or_default();
        self.latency.with_label_values(&[&shard]).set(latency.as_secs_f64());
        set(&self.lag, counters.received.saturating_sub(counters.confirmed));
        set(&self.pending, counters.pending as u64);
    }

    /// Counts each confirmed event, and observes the time from its receipt to its confirmation.
    pub(crate) fn confirm_latency(&self) -> arrakis_broker::ConfirmLatencyObserver {
        let (confirm, confirmed) = (self.confirm.clone(), self.confirmed.clone());
        arrakis_broker::ConfirmLatencyObserver::new(move |took| {
            confirm.observe(took.as_secs_f64());
            confirmed.inc();
        })
    }

    pub(crate) fn publishing(&self, shard: u32, progress: arrakis_broker::PipelineProgress) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_page_and_promtool_accept_the_metrics() {
        let registry = Registry::new();
        let _metrics = Metrics::new(&registry);
        arrakis_test_support::assert_metrics("arrakis-ingestor", &registry);
    }

    #[test]
    fn causes_start_at_zero() {
        let registry = Registry::new();
        let _metrics = Metrics::new(&registry);
        let text = registry.render();
        for cause in CLOSE_CAUSES {
            let series = format!("arrakis_ingestor_gateway_closes_total{{cause=\"{cause}\"}} 0\n");
            assert!(text.contains(&series), "{series}");
        }
    }
}
