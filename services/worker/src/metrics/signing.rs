//! Metrics of signatures and of the anchors of the chain of identity events. Labels are names of purposes and outcomes.

use arrakis_security::signing::{SigningObserver, SigningOutcome, SigningPurpose};
use arrakis_telemetry::Metrics;
use prometheus::{IntCounterVec, IntGauge};
use time::OffsetDateTime;

/// The label of a message without a purpose.
const NO_PURPOSE: &str = "none";

/// Metrics of signatures and anchors. Cloning shares them.
#[derive(Debug, Clone)]
pub struct SigningMetrics {
    signatures: IntCounterVec,
    /// 1 while the chain differs from its anchors.
    anchor_mismatch: IntGauge,
    anchored_event: IntGauge,
    anchored_time: IntGauge,
}

impl SigningMetrics {
    /// Registers the metrics.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let signing = Self {
            signatures: metrics.counter_vec(
                "arrakis_worker_signatures_total",
                "Signing requests, by purpose and outcome.",
                &["purpose", "outcome"],
            ),
            anchor_mismatch: metrics.gauge(
                "arrakis_worker_chain_anchor_mismatch",
                "1 while the chain of identity events differs from its anchor outside of the database: events were removed or changed. \
                 Of the leader; 0 elsewhere.",
            ),
            anchored_event: metrics.gauge(
                "arrakis_worker_chain_anchored_event",
                "Sequence number of the latest identity event that is anchored outside of the database. Of the leader; 0 elsewhere.",
            ),
            anchored_time: metrics.gauge(
                "arrakis_worker_chain_anchored_timestamp_seconds",
                "Unix time at which the chain of identity events was last compared with its anchor and anchored. Of the leader; 0 elsewhere.",
            ),
        };
        // Counters start at zero, so that an increase is seen from the first signature on.
        for purpose in SigningPurpose::ALL {
            for outcome in SigningOutcome::ALL {
                signing.signatures.with_label_values(&[purpose.name(), outcome.name()]);
            }
        }
        signing
    }

    /// The chain equals its anchors, up to this event.
    pub(crate) fn anchored(&self, sequence: u64, now: OffsetDateTime) {
        self.anchor_mismatch.set(0);
        self.anchored_event.set(i64::try_from(sequence).unwrap_or(i64::MAX));
        self.anchored_time.set(now.unix_timestamp());
    }

    /// The chain differs from an anchor.
    pub(crate) fn differs_from_anchor(&self) {
        self.anchor_mismatch.set(1);
    }
}

impl SigningObserver for SigningMetrics {
    fn finished(&self, purpose: Option<SigningPurpose>, outcome: SigningOutcome) {
        let purpose = purpose.map_or(NO_PURPOSE, SigningPurpose::name);
        self.signatures.with_label_values(&[purpose, outcome.name()]).inc();
    }
}
