//! Metrics of the eligibility syncs. The label is the name of the token profile, which an operator chose; there are a few.

use arrakis_db::TokenProfileId;
use arrakis_telemetry::Metrics;
use prometheus::{IntCounterVec, IntGaugeVec};

const LABELS: &[&str] = &["token_profile"];

/// Metrics of the eligibility syncs. Cloning shares them.
#[derive(Debug, Clone)]
pub struct EligibilityMetrics {
    age: IntGaugeVec,
    behind: IntGaugeVec,
    logs: IntCounterVec,
    reorganisations: IntCounterVec,
    mismatches: IntCounterVec,
    failures: IntCounterVec,
    successes: IntCounterVec,
}

impl EligibilityMetrics {
    /// Registers the metrics.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let counter = |name: &str, help: &str| metrics.counter_vec(name, help, LABELS);
        Self {
            age: metrics.gauge_vec(
                "arrakis_worker_eligibility_age_seconds",
                "Time since the last successful eligibility sync, in seconds; -1 before the first one.",
                LABELS,
            ),
            behind: metrics.gauge_vec(
                "arrakis_worker_eligibility_blocks_behind",
                "Blocks whose logs are not stored, up to the finalised block that the last sync read.",
                LABELS,
            ),
            logs: counter(
                "arrakis_worker_eligibility_logs_total",
                "Transfers read by eligibility syncs.",
            ),
            reorganisations: counter(
                "arrakis_worker_eligibility_reorganisations_total",
                "Reorganisations of the chain that eligibility syncs rolled back.",
            ),
            mismatches: counter(
                "arrakis_worker_eligibility_mismatches_total",
                "Wallets whose holding by logs differed from their balance on the chain.",
            ),
            failures: counter(
                "arrakis_worker_eligibility_failures_total",
                "Eligibility syncs that failed.",
            ),
            successes: counter(
                "arrakis_worker_eligibility_syncs_total",
                "Eligibility syncs that replaced the ranking.",
            ),
        }
    }

    pub(crate) fn set_age(&self, token: &TokenProfileId, age: Option<time::Duration>) {
        let seconds = age.map_or(-1, time::Duration::whole_seconds);
        self.age.with_label_values(&[token.as_str()]).set(seconds);
    }

    pub(crate) fn set_behind(&self, token: &TokenProfileId, blocks: u64) {
        let blocks = i64::try_from(blocks).unwrap_or(i64::MAX);
        self.behind.with_label_values(&[token.as_str()]).set(blocks);
    }

    /// Removes the gauges of a profile that no community uses any more.
    pub(crate) fn forget(&self, token: &TokenProfileId) {
        // An error means that there is no such gauge.
        let _ = self.age.remove_label_values(&[token.as_str()]);
        let _ = self.behind.remove_label_values(&[token.as_str()]);
    }

    pub(crate) fn read_logs(&self, token: &TokenProfileId, logs: u64) {
        self.logs.with_label_values(&[token.as_str()]).inc_by(logs);
    }

    pub(crate) fn reorganised(&self, token: &TokenProfileId) {
        self.reorganisations.with_label_values(&[token.as_str()]).inc();
    }

    pub(crate) fn succeeded(&self, token: &TokenProfileId, mismatches: u32) {
        self.successes.with_label_values(&[token.as_str()]).inc();
        self.mismatches
            .with_label_values(&[token.as_str()])
            .inc_by(u64::from(mismatches));
        self.set_age(token, Some(time::Duration::ZERO));
    }

    pub(crate) fn failed(&self, token: &TokenProfileId) {
        self.failures.with_label_values(&[token.as_str()]).inc();
    }
}
