//! Metrics of scheduled backups. Labels are names of tasks, outcomes and destinations.

use std::time::Duration;

use arrakis_telemetry::Metrics;
use arrakis_vault::Task;
use prometheus::{HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

/// Metrics of scheduled backups. Cloning shares them.
#[derive(Debug, Clone)]
pub struct BackupMetrics {
    runs: IntCounterVec,
    seconds: HistogramVec,
    bytes: IntCounterVec,
    age: IntGaugeVec,
    overdue: IntGaugeVec,
    failing: IntGaugeVec,
    absent: IntGauge,
    expired: IntCounter,
    recovered: IntCounter,
    damaged: IntCounter,
    notices: IntCounterVec,
}

impl BackupMetrics {
    /// Registers the metrics.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let backups = Self {
            runs: metrics.counter_vec(
                "arrakis_worker_backup_runs_total",
                "Attempts to run a task of the scheduled backups, by task and outcome.",
                &["task", "outcome"],
            ),
            seconds: metrics.seconds_vec(
                "arrakis_worker_backup_seconds",
                "Duration of completed runs of the scheduled backups, by task.",
                &["task"],
            ),
            bytes: metrics.counter_vec(
                "arrakis_worker_backup_bytes_total",
                "Bytes that scheduled backups have written, by task: exports as they are, backups and snapshots compressed.",
                &["task"],
            ),
            age: metrics.gauge_vec(
                "arrakis_worker_backup_age_seconds",
                "Time since the last completed run of a task, for the server whose last one is the oldest; -1 while no server has one.",
                &["task"],
            ),
            overdue: metrics.gauge_vec(
                "arrakis_worker_backup_overdue",
                "Servers whose task has been due for two hours without a completed run.",
                &["task"],
            ),
            failing: metrics.gauge_vec(
                "arrakis_worker_backup_failing",
                "Servers whose last run of a task failed.",
                &["task"],
            ),
            absent: metrics.gauge(
                "arrakis_worker_backup_absent",
                "Servers that the bot has left; their backups and snapshots are paused.",
            ),
            expired: metrics.counter(
                "arrakis_worker_backup_expired_total",
                "Backups, snapshots and exports that the retention has expired.",
            ),
            recovered: metrics.counter(
                "arrakis_worker_backup_recovered_total",
                "Intact backups and snapshots without a catalogue record that were listed again.",
            ),
            damaged: metrics.counter(
                "arrakis_worker_backup_damaged_total",
                "Damaged backups and snapshots that the retention has found; the log names them.",
            ),
            notices: metrics.counter_vec(
                "arrakis_worker_backup_notices_total",
                "Notices to operators that were sent, or that were not and never will be, by destination and outcome.",
                &["destination", "outcome"],
            ),
        };
        // Counters start at zero, so that an increase is seen from the first run on.
        for task in Task::ALL {
            for outcome in ["ok", "retry", "permanent", "drop"] {
                backups.runs.with_label_values(&[task.as_str(), outcome]);
            }
        }
        backups
    }

    pub(crate) fn count_run(&self, task: Task, outcome: &'static str) {
        self.runs.with_label_values(&[task.as_str(), outcome]).inc();
    }

    pub(crate) fn completed(&self, task: Task, took: Duration, bytes: u64) {
        self.seconds
            .with_label_values(&[task.as_str()])
            .observe(took.as_secs_f64());
        self.bytes.with_label_values(&[task.as_str()]).inc_by(bytes);
    }

    pub(crate) fn retained(&self, expired: usize, recovered: usize, damaged: usize) {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        self.expired.inc_by(count(expired));
        self.recovered.inc_by(count(recovered));
        self.damaged.inc_by(count(damaged));
    }

    pub(crate) fn count_notice(&self, destination: &'static str, is_sent: bool) {
        let outcome = if is_sent { "sent" } else { "failed" };
        self.notices.with_label_values(&[destination, outcome]).inc();
    }

    pub(crate) fn set_absent(&self, servers: usize) {
        self.absent.set(i64::try_from(servers).unwrap_or(i64::MAX));
    }

    pub(crate) fn set_state(&self, task: Task, oldest: Option<time::Duration>, overdue: usize, failing: usize) {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let labels = [task.as_str()];
        let age = oldest.map_or(-1, time::Duration::whole_seconds);
        self.age.with_label_values(&labels).set(age);
        self.overdue.with_label_values(&labels).set(count(overdue));
        self.failing.with_label_values(&labels).set(count(failing));
    }
}
