//! The worker's Prometheus metrics. Label values are names from the code (queues, commands, routes) or from the configuration (token
//! profiles), never ids.

mod backups;
mod eligibility;
mod provider;
mod queues;
mod signing;

use std::sync::Arc;
use std::time::Duration;

use arrakis_broker::{ConsumerObserver, Delivery, SettleOutcome, Verdict};
use arrakis_contracts::{JobKind, LabelError};
use arrakis_discord::FinishedCall;
use arrakis_telemetry::Metrics;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

pub use self::backups::BackupMetrics;
pub use self::eligibility::EligibilityMetrics;
pub use self::provider::ProviderMetrics;
pub use self::queues::QueueMetrics;
pub use self::signing::SigningMetrics;

/// Names of the wizard's steps. The wizard counts into these metrics, so it is not used here.
const WIZARD_STEPS: [&str; 8] = [
    "init",
    "chain_select",
    "asset_config",
    "eligibility_rules",
    "role_mapping",
    "channel_structure",
    "review",
    "deploy",
];
/// Names of the purposes of a synthesis.
const SYNTHESIS_PURPOSES: [&str; 2] = ["deploy", "repair"];

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
    /// Seconds from a delivery to the worker until Discord accepted the first response.
    pub defer: Histogram,
    /// Seconds from a delivery to the worker until the defer was sent to the proxy.
    pub defer_sent: Histogram,
    /// Seconds from the creation of an interaction until its reply was sent, by command.
    pub reply: HistogramVec,
    /// Interactions without a first response within three seconds.
    pub expired: IntCounter,
    /// Replies that are not sent because the interaction token has expired.
    pub token_expired: IntCounter,
    /// Discord calls with an unknown outcome, by call.
    pub unknown_outcomes: IntCounterVec,
    /// Welcomes that Discord refused permanently.
    pub refused_welcomes: IntCounter,
    calls: IntCounterVec,
    call_seconds: HistogramVec,
    /// Attempts to handle events, by event name and outcome.
    pub events: IntCounterVec,
    /// Attempts to run jobs, by kind and outcome.
    pub jobs: IntCounterVec,
    /// Duration of the attempts that completed a job, by kind.
    pub job_seconds: HistogramVec,
    /// Attempts to bring a server to its manifest, by purpose and outcome.
    pub synthesis: IntCounterVec,
    /// Steps of the wizard, by step and what the admin did.
    pub onboarding: IntCounterVec,
    /// Roles assigned and removed, by direction and cause.
    pub roles: IntCounterVec,
    /// Messages of alerts that have ended, by outcome.
    pub alerts: IntCounterVec,
    /// The queues: messages, consumers, age of the first message.
    pub queues: QueueMetrics,
    /// Percent of the servers whose messages are handed over to the canary.
    pub canary_share: IntGauge,
    /// Messages of servers of the canary, by queue and outcome.
    pub handed_over: IntCounterVec,
    /// Answers of this shadow worker, by command and outcome of the comparison.
    pub shadow_answers: IntCounterVec,
    /// 1 for the group of this worker.
    pub group: IntGaugeVec,
    /// 1 while this worker is the leader.
    pub leader: IntGauge,
    /// 1 while the kill switch is on.
    pub kill_switch: IntGauge,
    /// Jobs that the leader published, by reason.
    pub published_jobs: IntCounterVec,
    /// Open connections to Postgres, by state.
    pub pool: IntGaugeVec,
    /// Openings of the Postgres circuit breaker.
    pub breaker: IntCounter,
    /// Reads from Redis, by kind and outcome.
    pub cache: IntCounterVec,
    /// Scheduled backups.
    pub backups: BackupMetrics,
    /// Versions of configurations that the object store lacks, and shadows that are damaged or differ, by state.
    pub shadows: IntGaugeVec,
    /// Versions of configurations written to the object store, by outcome.
    pub shadow_writes: IntCounterVec,
    /// Eligibility syncs.
    pub eligibility: EligibilityMetrics,
    /// Answers about the eligibility of wallets, and the score service.
    pub provider: ProviderMetrics,
    /// Signatures, and the anchors of the chain of identity events.
    pub signing: SigningMetrics,
}

impl WorkerMetrics {
    /// Registers the metrics.
    pub fn new(metrics: &Metrics) -> Self {
        let counter = |name: &str, help: &str, labels: &[&str]| metrics.counter_vec(name, help, labels);
        let worker = Self {
            messages: counter(
                "arrakis_worker_messages_total",
                "Messages settled, by queue and verdict.",
                &["queue", "verdict"],
            ),
            stale: counter(
                "arrakis_worker_stale_acks_total",
                "Acknowledgements on a closed channel; the broker redelivers the message.",
                &["queue"],
            ),
            handling: metrics.seconds_vec(
                "arrakis_worker_handling_seconds",
                "Time from the delivery of a message to the worker until it was settled.",
                &["queue"],
            ),
            panics: counter("arrakis_worker_panics_total", "Handlers that panicked.", &["queue"]),
            hangs: counter(
                "arrakis_worker_hangs_total",
                "Handlers that were stopped at their time limit.",
                &["queue"],
            ),
            wait: metrics.seconds_vec(
                "arrakis_worker_queue_wait_seconds",
                "Time from the receipt of an event by the ingestor until its delivery to a worker.",
                &["queue"],
            ),
            consuming: metrics.gauge_vec("arrakis_worker_consuming", "1 while the queue is consumed, else 0.", &["queue"]),
            interactions: counter(
                "arrakis_worker_interactions_total",
                "Interactions, by command, kind and outcome.",
                &["command", "kind", "outcome"],
            ),
            defer: metrics.seconds(
                "arrakis_worker_defer_seconds",
                "Time from the delivery of an interaction to the worker until Discord accepted its first response.",
            ),
            defer_sent: metrics.fine_seconds(
                "arrakis_worker_defer_sent_seconds",
                "Time from the delivery of an interaction to the worker until its defer was sent to the proxy.",
            ),
            reply: metrics.seconds_vec(
                "arrakis_worker_answer_seconds",
                "Time from the creation of an interaction at Discord until its reply was sent.",
                &["command"],
            ),
            expired: metrics.counter(
                "arrakis_worker_interactions_expired_total",
                "Interactions that were not replied to because three seconds passed without a first response.",
            ),
            token_expired: metrics.counter(
                "arrakis_worker_answers_too_late_total",
                "Replies that were not sent because the interaction token expired after fifteen minutes.",
            ),
            unknown_outcomes: counter(
                "arrakis_worker_unknown_outcomes_total",
                "Discord calls with an unknown outcome: no response was received, and the call may or may not have taken effect. Each is recorded.",
                &["what"],
            ),
            refused_welcomes: metrics.counter(
                "arrakis_worker_welcomes_refused_total",
                "Welcomes that Discord refused permanently; the log names the channel.",
            ),
            calls: counter(
                "arrakis_worker_discord_calls_total",
                "Calls to Discord, by route and outcome.",
                &["route", "outcome"],
            ),
            call_seconds: metrics.seconds_vec(
                "arrakis_worker_discord_call_seconds",
                "Duration of calls to Discord, including the wait in the proxy.",
                &["route"],
            ),
            events: counter(
                "arrakis_worker_events_total",
                "Attempts to handle events, by event name and outcome.",
                &["event", "outcome"],
            ),
            jobs: counter(
                "arrakis_worker_jobs_total",
                "Attempts to run jobs, by kind and outcome; done and dead_letter end a job.",
                &["kind", "outcome"],
            ),
            job_seconds: metrics.job_seconds_vec(
                "arrakis_worker_job_seconds",
                "Duration of the attempts that completed a job, by kind.",
                &["kind"],
            ),
            synthesis: counter(
                "arrakis_worker_synthesis_total",
                "Attempts to bring a server to its manifest, by purpose and outcome.",
                &["purpose", "outcome"],
            ),
            onboarding: counter(
                "arrakis_worker_onboarding_steps_total",
                "Steps of the wizard, by step and event: entered, left, back, failed, cancelled.",
                &["step", "event"],
            ),
            roles: counter(
                "arrakis_worker_role_changes_total",
                "Roles assigned to and removed from members, by direction and cause.",
                &["direction", "cause"],
            ),
            alerts: counter(
                "arrakis_worker_alerts_total",
                "Messages of alerts that have ended, by outcome.",
                &["outcome"],
            ),
            queues: QueueMetrics::new(metrics),
            canary_share: metrics.gauge(
                "arrakis_worker_canary_share_percent",
                "Percent of the servers whose messages this worker hands over to the canary workers.",
            ),
            handed_over: counter(
                "arrakis_worker_handed_over_total",
                "Messages of servers of the canary, by queue and outcome: handed_over, kept (they could not be handed over, and were handled here), unserved (no canary worker reports; they were handled here).",
                &["queue", "outcome"],
            ),
            shadow_answers: counter(
                "arrakis_worker_shadow_answers_total",
                "Answers of this shadow worker, by command and outcome: equal, different, effects (it would have changed something besides its answer), uncompared (a modal, suggestions, a file, or too late), unread (the other answer cannot be read), failed.",
                &["command", "outcome"],
            ),
            group: metrics.gauge_vec(
                "arrakis_worker_group_info",
                "1 for the group of this worker: stable, canary or shadow.",
                &["group"],
            ),
            kill_switch: metrics.gauge(
                "arrakis_worker_kill_switch_on",
                "1 while the kill switch is on: jobs of communities are postponed.",
            ),
            leader: metrics.gauge("arrakis_worker_leader", "1 while this worker is the leader, which runs the scheduled tasks."),
            published_jobs: counter(
                "arrakis_worker_due_published_total",
                "Jobs that the leader published, by reason.",
                &["what"],
            ),
            pool: metrics.gauge_vec(
                "arrakis_worker_postgres_connections",
                "Connections in the Postgres pool, by state.",
                &["state"],
            ),
            breaker: metrics.counter(
                "arrakis_worker_postgres_breaker_openings_total",
                "Openings of the Postgres circuit breaker, which refuses callers at once while the pool has no connections.",
            ),
            cache: counter(
                "arrakis_worker_cache_total",
                "Reads from Redis, by kind and outcome.",
                &["what", "outcome"],
            ),
            backups: BackupMetrics::new(metrics),
            shadows: metrics.gauge_vec(
                "arrakis_worker_configuration_shadows",
                "Versions of configurations that the object store lacks (pending), and shadows that are damaged or differ (mismatched).",
                &["state"],
            ),
            shadow_writes: counter(
                "arrakis_worker_shadow_writes_total",
                "Versions of configurations written to the object store, by outcome: ok, mismatched, failed.",
                &["outcome"],
            ),
            eligibility: EligibilityMetrics::new(metrics),
            provider: ProviderMetrics::new(metrics),
            signing: SigningMetrics::new(metrics),
        };
        worker.start_at_zero();
        worker
    }

    /// Creates the series whose first increase an alert or a share needs.
    fn start_at_zero(&self) {
        for kind in JobKind::ALL {
            for outcome in ["done", "retry", "dead_letter"] {
                self.jobs.with_label_values(&[kind.name(), outcome]);
            }
            self.job_seconds.with_label_values(&[kind.name()]);
        }
        for step in WIZARD_STEPS {
            for event in ["entered", "left", "back", "failed", "cancelled"] {
                self.onboarding.with_label_values(&[step, event]);
            }
        }
        for purpose in SYNTHESIS_PURPOSES {
            for outcome in ["ok", "retry", "permanent", "drop"] {
                self.synthesis.with_label_values(&[purpose, outcome]);
            }
        }
        for outcome in ["ok", "mismatched", "failed"] {
            self.shadow_writes.with_label_values(&[outcome]);
        }
    }

    /// Creates the series of a queue whose messages are handed over.
    pub fn start_hand_over_at_zero(&self, queue: &str) {
        for outcome in ["handed_over", "kept", "unserved"] {
            self.handed_over.with_label_values(&[queue, outcome]);
        }
    }

    /// Counts a finished call to Discord and records its duration.
    pub fn count_call(&self, finished: &FinishedCall<'_>) {
        self.calls.with_label_values(&[finished.route, finished.outcome]).inc();
        self.call_seconds
            .with_label_values(&[finished.route])
            .observe(finished.duration.as_secs_f64());
    }

    /// Records the time since the ingestor received the event. The clocks of two machines differ: a negative time counts as zero.
    pub fn observe_wait(&self, delivery: &Delivery) {
        if let Ok(labels) = delivery.labels() {
            let now_us = crate::now_ms().saturating_mul(1000);
            let waited = Duration::from_micros(now_us.saturating_sub(labels.received_us));
            self.wait
                .with_label_values(&[delivery.queue()])
                .observe(waited.as_secs_f64());
            // A retried message has waited in a retry queue, too.
            if delivery.attempts() == 0 {
                self.queues.delivered(delivery.queue(), waited);
            }
        }
    }

    /// An observer for consumers, which counts into these metrics.
    pub fn consumer_events(&self) -> Arc<dyn ConsumerObserver> {
        Arc::new(ConsumerMetrics(self.clone()))
    }
}

struct ConsumerMetrics(WorkerMetrics);

impl ConsumerObserver for ConsumerMetrics {
    fn consuming(&self, queue: &str, interruption: Option<&str>) {
        self.0
            .consuming
            .with_label_values(&[queue])
            .set(i64::from(interruption.is_none()));
        for verdict in ["done", "drop", "retry", "dead_letter", "give_back"] {
            self.0.messages.with_label_values(&[queue, verdict]);
        }
        for counter in [&self.0.stale, &self.0.panics, &self.0.hangs] {
            counter.with_label_values(&[queue]);
        }
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

/// The error text for a message whose labels cannot be read.
pub(crate) fn label_error(error: &LabelError) -> String {
    format!("labels: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_start_at_zero_for_every_step_and_purpose() {
        assert_eq!(WIZARD_STEPS, crate::wizard::Step::ALL.map(crate::wizard::Step::name));
        assert_eq!(
            SYNTHESIS_PURPOSES,
            crate::synthesis::Purpose::ALL.map(crate::synthesis::Purpose::name)
        );
    }

    #[test]
    fn reference_page_and_promtool_accept_the_metrics() {
        let registry = Metrics::new();
        let _metrics = WorkerMetrics::new(&registry);
        arrakis_test_support::assert_metrics("arrakis-worker", &registry);
    }
}
