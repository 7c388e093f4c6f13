//! What a worker counts. Labels hold names of ours (queues, commands, routes) and never an id.

use std::sync::Arc;
use std::time::Duration;

use arrakis_broker::{ConsumerObserver, Delivery, SettleOutcome, Verdict};
use arrakis_contracts::LabelError;
use arrakis_discord::FinishedCall;
use arrakis_telemetry::Metrics;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

/// The worker's metrics. Cloning shares them.
#[derive(Debug, Clone)]
pub struct WorkerMetrics {
    messages: IntCounterVec,
    stale: IntCounterVec,
    handling: HistogramVec,
    panics: IntCounterVec,
    hangs: IntCounterVec,
    wait: HistogramVec,
    consuming: IntGaugeVec,
    /// Interactions by command, kind and outcome.
    pub interactions: IntCounterVec,
    /// From the message's arrival here to Discord's acknowledgement of the defer.
    pub defer: Histogram,
    /// From the message's arrival here to the moment at which the defer left.
    pub defer_sent: Histogram,
    /// From the interaction's making to the answer standing there.
    pub answer: HistogramVec,
    /// Interactions that were past their three seconds.
    pub expired: IntCounter,
    /// Replies that are not sent because the interaction token has expired.
    pub too_late: IntCounter,
    /// Words and answers of which nobody can tell whether Discord has them, by what they were.
    pub unknown: IntCounterVec,
    calls: IntCounterVec,
    call_seconds: HistogramVec,
    /// Events by name and outcome.
    pub events: IntCounterVec,
    /// Jobs by kind and outcome.
    pub jobs: IntCounterVec,
    /// Role changes by direction and cause.
    pub roles: IntCounterVec,
    /// Messages in a queue, by queue.
    pub depth: IntGaugeVec,
    /// Consumers of a queue, by queue.
    pub consumers: IntGaugeVec,
    /// 1 while this worker leads.
    pub leader: IntGauge,
    /// Due things that the leader published, by what.
    pub published: IntCounterVec,
    /// Open connections to Postgres, by state.
    pub pool: IntGaugeVec,
    /// How often Postgres gave no connections and the breaker opened.
    pub breaker: IntCounter,
    /// Questions to the cache, by what and outcome.
    pub cache: IntCounterVec,
}

impl WorkerMetrics {
    /// Registers them.
    pub fn new(metrics: &Metrics) -> Self {
        let counter = |name: &str, help: &str, labels: &[&str]| metrics.counter_vec(name, help, labels);
        Self {
            messages: counter(
                "arrakis_worker_messages_total",
                "Messages settled, by queue and what became of them.",
                &["queue", "verdict"],
            ),
            stale: counter(
                "arrakis_worker_stale_acks_total",
                "Acknowledgements that came too late for their channel: the message comes again.",
                &["queue"],
            ),
            handling: metrics.seconds_vec(
                "arrakis_worker_handling_seconds",
                "From a message's arrival here until it was settled.",
                &["queue"],
            ),
            panics: counter("arrakis_worker_panics_total", "Handlers that panicked.", &["queue"]),
            hangs: counter(
                "arrakis_worker_hangs_total",
                "Handlers that were stopped for taking too long.",
                &["queue"],
            ),
            wait: metrics.seconds_vec(
                "arrakis_worker_queue_wait_seconds",
                "From the frame's arrival at the ingestor until a worker had it: the age of the oldest message.",
                &["queue"],
            ),
            consuming: metrics.gauge_vec("arrakis_worker_consuming", "1 while a queue is consumed.", &["queue"]),
            interactions: counter(
                "arrakis_worker_interactions_total",
                "Interactions, by command, kind and outcome.",
                &["command", "kind", "outcome"],
            ),
            defer: metrics.seconds(
                "arrakis_worker_defer_seconds",
                "From an interaction's arrival here until Discord had its first response.",
            ),
            defer_sent: metrics.fine_seconds(
                "arrakis_worker_defer_sent_seconds",
                "From an interaction's arrival here until the defer was sent to the proxy.",
            ),
            answer: metrics.seconds_vec(
                "arrakis_worker_answer_seconds",
                "From an interaction's making until its answer stood there.",
                &["command"],
            ),
            expired: metrics.counter(
                "arrakis_worker_interactions_expired_total",
                "Interactions whose three seconds were over; they were not answered.",
            ),
            too_late: metrics.counter(
                "arrakis_worker_answers_too_late_total",
                "Replies that were not sent because the interaction token expired after fifteen minutes.",
            ),
            unknown: counter(
                "arrakis_worker_unknown_outcomes_total",
                "Words and answers of which nobody can tell whether Discord has them; each is written down.",
                &["what"],
            ),
            calls: counter(
                "arrakis_worker_discord_calls_total",
                "Calls to Discord, by route and outcome.",
                &["route", "outcome"],
            ),
            call_seconds: metrics.seconds_vec(
                "arrakis_worker_discord_call_seconds",
                "How long calls to Discord took, waiting at the proxy included.",
                &["route"],
            ),
            events: counter(
                "arrakis_worker_events_total",
                "Events, by name and outcome.",
                &["event", "outcome"],
            ),
            jobs: counter(
                "arrakis_worker_jobs_total",
                "Runs of jobs, by kind and outcome.",
                &["kind", "outcome"],
            ),
            roles: counter(
                "arrakis_worker_role_changes_total",
                "Roles given and taken, by direction and cause.",
                &["direction", "cause"],
            ),
            depth: metrics.gauge_vec(
                "arrakis_worker_queue_depth",
                "Messages that wait in a queue.",
                &["queue"],
            ),
            consumers: metrics.gauge_vec("arrakis_worker_queue_consumers", "Consumers of a queue.", &["queue"]),
            leader: metrics.gauge("arrakis_worker_leader", "1 while this worker leads the timed jobs."),
            published: counter(
                "arrakis_worker_due_published_total",
                "Due things that the leader published.",
                &["what"],
            ),
            pool: metrics.gauge_vec(
                "arrakis_worker_postgres_connections",
                "Connections to Postgres.",
                &["state"],
            ),
            breaker: metrics.counter(
                "arrakis_worker_postgres_breaker_openings_total",
                "How often Postgres gave no connections, so that callers are refused at once until it does.",
            ),
            cache: counter(
                "arrakis_worker_cache_total",
                "Questions to Redis, by what was asked and the outcome.",
                &["what", "outcome"],
            ),
        }
    }

    /// Counts a finished call to Discord.
    pub fn called(&self, finished: &FinishedCall<'_>) {
        self.calls.with_label_values(&[finished.route, finished.outcome]).inc();
        self.call_seconds
            .with_label_values(&[finished.route])
            .observe(finished.duration.as_secs_f64());
    }

    /// Counts how long an event waited since the ingestor had it. Two machines' clocks: below zero counts as zero.
    pub fn waited(&self, delivery: &Delivery) {
        if let Ok(labels) = delivery.labels() {
            let now_us = crate::now_ms().saturating_mul(1000);
            let waited = Duration::from_micros(now_us.saturating_sub(labels.received_us));
            self.wait
                .with_label_values(&[delivery.queue()])
                .observe(waited.as_secs_f64());
        }
    }

    /// Who is told by the consumers.
    pub fn consumer_events(&self) -> Arc<dyn ConsumerObserver> {
        Arc::new(Told(self.clone()))
    }
}

struct Told(WorkerMetrics);

impl ConsumerObserver for Told {
    fn consuming(&self, queue: &str, interruption: Option<&str>) {
        self.0
            .consuming
            .with_label_values(&[queue])
            .set(i64::from(interruption.is_none()));
    }

    fn settled(&self, queue: &str, verdict: &Verdict, settled: SettleOutcome, took: Duration) {
        self.0.messages.with_label_values(&[queue, verdict.name()]).inc();
        self.0.handling.with_label_values(&[queue]).observe(took.as_secs_f64());
        if settled == SettleOutcome::Stale {
            self.0.stale.with_label_values(&[queue]).inc();
        }
    }

    fn panicked(&self, queue: &str) {
        self.0.panics.with_label_values(&[queue]).inc();
    }

    fn timed_out(&self, queue: &str) {
        self.0.hangs.with_label_values(&[queue]).inc();
    }
}

/// Words for a message whose labels cannot be read.
pub(crate) fn unreadable(error: &LabelError) -> String {
    format!("labels: {error}")
}
