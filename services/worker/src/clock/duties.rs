//! What the leader does: registers commands, asks for reconciles, publishes lost wake-ups again, prunes.
//!
//! Each duty is safe to do twice: ids are made of kind and slot, publishing again wakes a worker that finds the row done.

use std::time::Duration;

use arrakis_broker::BrokerConnection;
use arrakis_contracts::{JobKind, dead_letter};
use arrakis_db::CommunityId;
use time::OffsetDateTime;

use crate::commands::{Commands, registration};
use crate::failure::Failure;
use crate::jobs::{self, reconcile};
use crate::services::Services;

/// How often the leader looks whether something is due.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often communities are walked for lost wake-ups.
const WALK_EVERY: Duration = Duration::from_secs(30);
/// A wake-up is not called lost before this: its message may be on its way.
const LOST_AFTER: time::Duration = time::Duration::seconds(30);
/// A running job that has said nothing for this long has lost its worker.
const SILENT_AFTER: time::Duration = time::Duration::minutes(5);
/// How long a new leader waits for Discord's clock.
const TIME_KNOWN_WITHIN: Duration = Duration::from_secs(5);
/// Lost jobs of one community that are published in one walk.
const AT_ONCE: u32 = 100;
/// Commands are registered again after a failure.
const REGISTER_AGAIN: Duration = Duration::from_secs(30);
/// Claims of the inbox outlive every event that may be handled again.
const CLAIM_RETENTION: time::Duration = time::Duration::seconds(dead_letter::CLAIM_RETENTION.as_secs().cast_signed());
/// Ended jobs are kept for those who ask what happened.
const JOBS_KEPT: time::Duration = time::Duration::days(30);

/// What was done for which slot. Forgotten with the leadership, and then done again, which is harmless.
#[derive(Debug, Default)]
pub struct Duties {
    reconciled: Option<String>,
    pruned: Option<time::Date>,
}

impl Duties {
    /// Does them for as long as it is polled.
    pub(super) async fn run(mut self, services: &Services, commands: &Commands, link: &BrokerConnection) {
        tokio::join!(register(services, commands), self.timed(services, link));
    }

    async fn timed(&mut self, services: &Services, link: &BrokerConnection) {
        let mut walked: Option<tokio::time::Instant> = None;
        know_the_time(services).await;
        loop {
            let now = services.now();
            log("asking for reconciles", self.reconcile(services, now).await);
            if walked.is_none_or(|at| at.elapsed() >= WALK_EVERY) {
                log("publishing lost jobs again", publish_lost(services, link, now).await);
                walked = Some(tokio::time::Instant::now());
            }
            log("pruning", self.prune(services, now).await);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Asks each community's reconcile of the present slot, once.
    ///
    /// # Errors
    /// When Postgres is away; the next look asks for what is left.
    pub async fn reconcile(&mut self, services: &Services, now: OffsetDateTime) -> Result<(), Failure> {
        let slot = reconcile::of_slot(now);
        if self.reconciled.as_ref() == Some(&slot) {
            return Ok(());
        }
        for (_, community) in services.database.routes().await? {
            if jobs::enqueue(services, community, &reconcile::job(&slot)).await? {
                services.metrics.published.with_label_values(&["reconcile"]).inc();
            }
        }
        self.reconciled = Some(slot);
        Ok(())
    }

    async fn prune(&mut self, services: &Services, now: OffsetDateTime) -> Result<(), Failure> {
        if self.pruned == Some(now.date()) {
            return Ok(());
        }
        for (_, community) in services.database.routes().await? {
            let mut tx = services.database.tenant(community).await?;
            tx.prune_claims(now - CLAIM_RETENTION).await?;
            tx.jobs().prune(now - JOBS_KEPT).await?;
            tx.profiles().prune_activity(now).await?;
            tx.commit().await?;
        }
        let mut tx = services.database.global().await?;
        tx.prune_claims(now - CLAIM_RETENTION).await?;
        tx.jobs().prune(now - JOBS_KEPT).await?;
        tx.commit().await?;
        self.pruned = Some(now.date());
        Ok(())
    }
}

/// Waits for Discord's first answer, which tells the time: by a clock of our own that is an hour off, another slot would be
/// due. Registering commands asks Discord at the same moment; where it does not answer, our clock has to do.
async fn know_the_time(services: &Services) {
    let began = tokio::time::Instant::now();
    while services.discord.clock_offset_ms().is_none() && began.elapsed() < TIME_KNOWN_WITHIN {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn log(doing: &'static str, done: Result<(), Failure>) {
    if let Err(failure) = done {
        tracing::warn!(%failure, doing, "a duty of the leader failed; it is tried again");
    }
}

async fn register(services: &Services, commands: &Commands) {
    let calls = services.discord.bulk(None);
    while let Err(error) = registration::register(&calls, commands).await {
        tracing::warn!(%error, "commands could not be registered; trying again");
        tokio::time::sleep(REGISTER_AGAIN).await;
    }
}

/// Publishes due jobs that nobody runs. A job whose queue still has messages is not lost but waiting, and is passed over, or
/// each look would add a copy of the whole backlog to it.
///
/// # Errors
/// When Postgres is away; the next walk finds the rest.
pub async fn publish_lost(services: &Services, link: &BrokerConnection, now: OffsetDateTime) -> Result<(), Failure> {
    let mut empty = Vec::new();
    for handler in jobs::all() {
        let kind = handler.kind();
        let counts = arrakis_broker::queue_counts(link, &kind.queue()).await;
        if counts.is_some_and(|counts| counts.messages == 0) {
            empty.push(kind);
        }
    }
    if empty.is_empty() {
        return Ok(());
    }
    for (_, community) in services.database.routes().await? {
        for (id, kind) in lost(services, community, now).await? {
            if empty.contains(&kind) {
                tracing::info!(id, %community, "publishing a job again that nobody runs");
                services.metrics.published.with_label_values(&["lost_job"]).inc();
                jobs::wake(services, community, &id, kind).await;
            }
        }
    }
    Ok(())
}

async fn lost(
    services: &Services,
    community: CommunityId,
    now: OffsetDateTime,
) -> Result<Vec<(String, JobKind)>, Failure> {
    let mut tx = services.database.tenant(community).await?;
    let due = tx.jobs().due(now - LOST_AFTER, now - SILENT_AFTER, AT_ONCE).await?;
    tx.commit().await?;
    // Kinds that a newer build made are its business.
    Ok(due
        .into_iter()
        .filter_map(|job| Some((job.id, job.kind.parse().ok()?)))
        .collect())
}
