//! The canary: workers of another build that serve a share of the servers.
//!
//! Stable workers consume every queue. Messages of servers in the share are handed over: published to the canary's copy of the queue, awaited
//! until they are confirmed, and acknowledged. What cannot be handed over is handled here. Canary workers consume the copies only; they run no
//! jobs and do not stand for leader.
//!
//! Stable workers consume the copies, too, with a lower priority: the broker gives them what no canary worker could take, so a canary that has
//! ended, hangs or is too slow delays no message. A share of 0, or canary workers that have not reported for four seconds, ends the hand-over.
//! A message can be delivered twice, with the same id, as by a redelivery (`docs/effects.md`).

use std::str::FromStr;
use std::time::Duration;

use arrakis_broker::{ConnectionState, Delivery, Handler, PublishOutcome, Publisher, Verdict};
use arrakis_contracts::labels::HeaderValue;
use arrakis_contracts::rollout::is_in_share;
use arrakis_contracts::{headers, names};
use arrakis_db::Database;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::metrics::WorkerMetrics;

/// Interval at which the share is read, and at which a canary worker reports.
const INTERVAL: Duration = Duration::from_secs(1);
/// Priority of the stable workers at the canary's copies of the queues, below that of the canary workers.
pub(crate) const STABLE_PRIORITY: i32 = -10;
/// Time limit of handing one message over. After it the message is handled here: the member of an interaction waits.
const HAND_OVER_LIMIT: Duration = Duration::from_secs(1);

/// The group of a worker (`WORKER_GROUP`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WorkerGroup {
    /// Serves all servers that are not handed over.
    #[default]
    Stable,
    /// Serves the share of the canary.
    Canary,
    /// Computes answers to copies of messages, compares them, and sends none (`shadow`).
    Shadow,
}

impl WorkerGroup {
    /// Value of the variable and of the metrics label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Canary => "canary",
            Self::Shadow => "shadow",
        }
    }
}

impl FromStr for WorkerGroup {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Stable, Self::Canary, Self::Shadow]
            .into_iter()
            .find(|group| group.name() == text)
            .ok_or("expected stable, canary or shadow")
    }
}

/// The share of the servers that is handed over at the moment. Clones have the same value.
#[derive(Debug, Clone)]
pub(crate) struct CanaryShare(watch::Sender<Share>);

#[derive(Debug, Clone, Copy, Default)]
struct Share {
    /// Percent of the servers, as an operator has set it.
    set: u8,
    /// Whether a canary worker reports. Without one nothing is handed over.
    is_served: bool,
}

impl Share {
    const fn handed_over(self) -> u8 {
        if self.is_served { self.set } else { 0 }
    }
}

impl CanaryShare {
    /// The share of a worker that hands nothing over.
    pub(crate) fn none() -> Self {
        Self(watch::Sender::new(Share::default()))
    }

    /// Reads the share once. Without PostgreSQL nothing is handed over.
    pub(crate) async fn begin(database: &Database, metrics: &WorkerMetrics) -> Self {
        let share = Self::none();
        share.read(database, metrics).await;
        share
    }

    /// Follows the share until `stop`. While PostgreSQL is unavailable the share stays as it is.
    pub(crate) async fn follow(self, database: Database, metrics: WorkerMetrics, stop: CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = stop.cancelled() => return,
            }
            self.read(&database, &metrics).await;
        }
    }

    async fn read(&self, database: &Database, metrics: &WorkerMetrics) {
        let stored = match database.canary_share().await {
            Ok(stored) => stored,
            Err(error) => {
                tracing::warn!(%error, "the share of the canary cannot be read; it stays as it is");
                return;
            }
        };
        let share = Share {
            set: stored.percent,
            is_served: stored.is_served,
        };
        let (before, percent) = (self.0.send_replace(share).handed_over(), share.handed_over());
        metrics.canary_share.set(percent.into());
        if before == percent {
            return;
        }
        if percent == 0 && stored.percent > 0 {
            tracing::error!(
                share = stored.percent,
                "no canary worker has reported for four seconds: nothing is handed over"
            );
        } else {
            tracing::info!(
                before,
                percent,
                by = stored.changed_by,
                reason = stored.reason,
                "the share of the canary has changed"
            );
        }
    }

    fn current(&self) -> Share {
        *self.0.borrow()
    }
}

/// Reports that this canary worker serves, until `stop`.
pub(crate) async fn report(database: Database, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(error) = database.report_canary().await {
            tracing::warn!(%error, "the canary worker cannot report; after four seconds nothing is handed over to it");
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Hands messages of servers in the share over, and handles all others.
#[derive(Debug, Clone)]
pub(crate) struct HandOver<H> {
    handler: H,
    share: CanaryShare,
    publisher: Publisher,
    metrics: WorkerMetrics,
}

impl<H> HandOver<H> {
    /// A handler for what is not handed over.
    pub(crate) fn new(handler: H, share: CanaryShare, publisher: &Publisher, metrics: WorkerMetrics) -> Self {
        Self {
            handler,
            share,
            publisher: publisher.clone().with_limit(HAND_OVER_LIMIT),
            metrics,
        }
    }

    /// Whether the broker takes messages at the moment. While it blocks publishers it still delivers, and each wait for a confirmation would be in
    /// vain.
    fn can_publish(&self) -> bool {
        matches!(self.publisher.connection().state(), ConnectionState::Connected)
    }

    /// Publishes a message to the canary's copy of its queue. True once it is confirmed.
    async fn publish(&self, delivery: &Delivery) -> bool {
        let mut message = delivery.to_message("", names::canary(delivery.queue()));
        let key = HeaderValue::Text(delivery.origin_key().to_owned());
        message.headers.insert(headers::ORIGIN_KEY.to_owned(), key);
        match self.publisher.publish(&message).await {
            Ok(PublishOutcome::Confirmed) => true,
            Ok(PublishOutcome::Unroutable { reply }) => {
                tracing::error!(
                    reply,
                    "a message cannot be handed over to the canary; it is handled here"
                );
                false
            }
            // The canary may have it, too. Effects are protected by the id.
            Err(error) => {
                tracing::warn!(%error, "a message was not handed over to the canary; it is handled here");
                false
            }
        }
    }
}

impl<H: Handler> Handler for HandOver<H> {
    async fn handle(&self, delivery: Delivery) -> Verdict {
        let share = self.share.current();
        // A copy would be a first delivery, so what may have been begun here is also ended here.
        let is_first = !delivery.may_have_been_handled();
        if share.set > 0 && is_first && guild(&delivery).is_some_and(|guild| is_in_share(guild, share.set)) {
            let handed_over = share.is_served && self.can_publish() && self.publish(&delivery).await;
            let outcome = match (handed_over, share.is_served) {
                (true, _) => "handed_over",
                (false, true) => "kept",
                (false, false) => "unserved",
            };
            self.metrics
                .handed_over
                .with_label_values(&[delivery.queue(), outcome])
                .inc();
            if handed_over {
                // Also with a share of 100 % the age of this queue's first message is followed by its deliveries.
                self.metrics.observe_wait(&delivery);
                return Verdict::Done;
            }
        }
        self.handler.handle(delivery).await
    }
}

/// The server of a message; `None` for a direct message.
fn guild(delivery: &Delivery) -> Option<u64> {
    match delivery.headers().get(headers::GUILD)? {
        HeaderValue::Text(digits) => digits.parse().ok(),
        HeaderValue::Integer(number) => u64::try_from(*number).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_is_stable_canary_or_shadow() {
        assert_eq!("canary".parse(), Ok(WorkerGroup::Canary));
        assert_eq!("shadow".parse(), Ok(WorkerGroup::Shadow));
        assert_eq!("stable".parse(), Ok(WorkerGroup::Stable));
        assert!("Canary".parse::<WorkerGroup>().is_err());
    }
}
