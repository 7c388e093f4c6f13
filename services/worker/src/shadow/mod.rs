//! Shadow workers: they receive copies of interactions and events, compute the answers with their own build, and send none.
//!
//! | what a worker changes | in the shadow group |
//! |---|---|
//! | Discord | every call that is not a GET ends in [`Recorder`]; its credential at the discord-proxies has the allow-list `shadow`, which has only reads |
//! | PostgreSQL and Redis | are copies: [`Isolation`] ends a shadow worker whose database or Redis other workers use |
//! | RabbitMQ | the publisher discards; only queues of its own are consumed |
//! | leadership, jobs, the kill switch | it takes no part |
//!
//! The answer of the workers that serve is read from Discord some seconds later and compared (`compare`). What differs is counted, and logged
//! without its content: messages of members are not written to logs.

mod compare;
mod recorder;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arrakis_broker::{Delivery, Handler, Verdict};
use arrakis_cache::{CacheKey, Ttl};
use arrakis_contracts::redact;
use arrakis_db::DbError;
use arrakis_runtime::Fatal;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::commands::Commands;
use crate::services::Services;

use recorder::Answer;
pub(crate) use recorder::Recorder;

/// When the answers are compared, after the shadow's: a command may take some seconds at either worker.
const COMPARED_AFTER: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(4),
    Duration::from_secs(10),
    Duration::from_secs(20),
];
/// Flag of a message that shows "thinking…".
const LOADING: u64 = 1 << 7;
/// Interval of [`Isolation`].
const INTERVAL: Duration = Duration::from_secs(5);
/// Checks before the first message, and the pause between two. A standby leads within a second or two after a leader has ended.
const CHECKS_AT_START: u32 = 5;
const PAUSE_AT_START: Duration = Duration::from_secs(1);
const SERVED: Ttl = Ttl::seconds(30);

/// The marker by which a shadow worker sees that its Redis is in use.
fn marker() -> CacheKey {
    CacheKey::new("workers-serve", &[])
}

/// Marks this Redis as in use for shadow workers, every five seconds until `stop`. The marker expires after 30 s.
pub(crate) async fn mark_in_use(services: Arc<Services>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        services.cache.set_marker(&marker(), SERVED).await;
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// The check that a shadow worker has copies of PostgreSQL and Redis.
pub(crate) struct Isolation(pub(crate) Arc<Services>);

impl Isolation {
    /// Checks five times within four seconds that no worker that serves uses the database or Redis: while a leader is replaced, no worker leads for a
    /// moment.
    ///
    /// # Errors
    /// The database or Redis is used by workers that serve, or PostgreSQL does not respond.
    pub(crate) async fn check_at_start(&self) -> anyhow::Result<()> {
        for check in 0..CHECKS_AT_START {
            if check > 0 {
                tokio::time::sleep(PAUSE_AT_START).await;
            }
            let shared = self.shared().await.context("whether a worker leads in the database")?;
            if let Some(shared) = shared {
                return Err(Fatal::configuration(format!("a shadow worker needs copies: {shared}")).into());
            }
        }
        Ok(())
    }

    /// What is shared with workers that serve; `None` if nothing is.
    async fn shared(&self) -> Result<Option<&'static str>, DbError> {
        if self.0.database.has_leader().await? {
            return Ok(Some("DATABASE_URL: a worker leads in this database"));
        }
        let in_use = self.0.cache.has_marker(&marker()).await;
        Ok(in_use.then_some("REDIS_URL: workers that serve use this Redis"))
    }

    /// Cancels `stop` once something is shared.
    pub(crate) async fn watch(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match self.shared().await {
                Ok(None) => {}
                Ok(Some(shared)) => {
                    tracing::error!(shared, "a shadow worker needs copies, and ends");
                    stop.cancel();
                }
                Err(error) => tracing::warn!(%error, "it cannot be checked whether a worker leads in this database"),
            }
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = stop.cancelled() => return,
            }
        }
    }
}

/// Handles copies of messages, and compares the answers to interactions.
#[derive(Clone)]
pub(crate) struct Shadowed<H> {
    handler: H,
    services: Arc<Services>,
    commands: Arc<Commands>,
    recorder: Recorder,
}

/// What the comparison needs of an interaction.
struct Interaction {
    id: String,
    token: String,
    command: &'static str,
    trace: String,
}

impl<H> Shadowed<H> {
    pub(crate) fn new(handler: H, services: Arc<Services>, commands: Arc<Commands>, recorder: Recorder) -> Self {
        Self {
            handler,
            services,
            commands,
            recorder,
        }
    }

    /// The interaction of a message; `None` for other events.
    fn interaction(&self, delivery: &Delivery) -> Option<Interaction> {
        if delivery.kind() != Some("INTERACTION_CREATE") {
            return None;
        }
        let body: Value = serde_json::from_slice(delivery.body()).ok()?;
        // A name sent by a client is used as a label only if it is one of our commands.
        let name = body["data"]["name"].as_str().unwrap_or_default();
        let known = self.commands.get(name).map(|entry| entry.definition.name);
        let traceparent = delivery.labels().ok()?.traceparent;
        Some(Interaction {
            id: body["id"].as_str()?.to_owned(),
            token: body["token"].as_str()?.to_owned(),
            command: known.unwrap_or("component"),
            trace: recorder::trace(&traceparent)?.to_owned(),
        })
    }

    fn count(&self, command: &str, outcome: &str) {
        let labels = [command, outcome];
        self.services.metrics.shadow_answers.with_label_values(&labels).inc();
    }

    /// Compares the answer with that of the workers that serve, and returns the outcome.
    async fn compare(&self, interaction: &Interaction, ours: &Answer) -> &'static str {
        let mut outcome = "unread";
        let mut passed = Duration::ZERO;
        for after in COMPARED_AFTER {
            tokio::time::sleep(after - passed).await;
            passed = after;
            let Some(theirs) = self.recorder.original(&interaction.token).await else {
                continue;
            };
            if theirs["flags"].as_u64().unwrap_or_default() & LOADING != 0 {
                continue;
            }
            // The other worker may still change its answer, so a difference is final only at the end.
            let Some(place) = compare::first_difference(ours, &theirs) else {
                return "equal";
            };
            outcome = "different";
            if after == COMPARED_AFTER[COMPARED_AFTER.len() - 1] {
                let (id, command) = (&interaction.id, interaction.command);
                tracing::warn!(
                    interaction.id = id,
                    command,
                    place,
                    "the answer of this shadow worker differs"
                );
            }
        }
        outcome
    }
}

impl<H: Handler + Clone> Handler for Shadowed<H> {
    async fn handle(&self, delivery: Delivery) -> Verdict {
        let interaction = self.interaction(&delivery);
        let verdict = self.handler.handle(delivery).await;
        let error = match &verdict {
            Verdict::Retry { error } | Verdict::DeadLetter { error, .. } => Some(error),
            _ => None,
        };
        let failed = error.is_some();
        if let Some(error) = error {
            let command = interaction.as_ref().map_or("event", |interaction| interaction.command);
            // This handler returns `Done`, for which the consumer logs no error.
            tracing::warn!(
                command,
                error = redact::text(error),
                "this shadow worker failed to handle a message"
            );
        }
        let Some(interaction) = interaction else {
            if failed {
                self.count("event", "failed");
            }
            return Verdict::Done;
        };
        let effects = self.recorder.take_effects(&interaction.trace);
        match self.recorder.take(&interaction.token) {
            _ if failed => self.count(interaction.command, "failed"),
            _ if effects > 0 => self.count(interaction.command, "effects"),
            Some(ours) if ours.is_comparable() => {
                let this = self.clone();
                tokio::spawn(async move {
                    let outcome = this.compare(&interaction, &ours).await;
                    this.count(interaction.command, outcome);
                });
            }
            _ => self.count(interaction.command, "uncompared"),
        }
        // A failure is an outcome, too: the message is not retried.
        Verdict::Done
    }
}
