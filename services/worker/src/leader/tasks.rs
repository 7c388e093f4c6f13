//! The leader's scheduled tasks: register the commands, enqueue reconciles, eligibility syncs, alerts, posts and backups, publish lost jobs again,
//! end suspensions whose end has passed, replace themes that a plan does not include, shadow configurations, send notices to operators, anchor the
//! chain of identity events, prune old rows; end, show and sign approvals of plans.
//!
//! Each task may run twice: the ids of jobs consist of kind and time slot, and a job that is published again and has ended is
//! dropped.

use std::time::Duration;

use arrakis_broker::BrokerConnection;
use arrakis_contracts::{JobKind, dead_letter};
use arrakis_db::{Actor, CheckpointPurpose, Community, GuildId, NewAuditEntry, TenantTx, TokenProfileId};
use backon::{ConstantBuilder, Retryable as _};
use serde_json::json;
use time::OffsetDateTime;

use super::configurations::ConfigurationTasks;
use super::{alerts, anchors, backups, notices, posts, suspensions, theme_grace};
use crate::approvals;
use crate::commands::{Commands, registration};
use crate::failure::Failure;
use crate::jobs::{self, JobOwner, eligibility_sync, reconcile};
use crate::services::Services;

/// Interval of the scheduled tasks.
const TASK_INTERVAL: Duration = Duration::from_secs(5);
/// Interval at which lost jobs are looked for.
const LOST_JOBS_INTERVAL: Duration = Duration::from_secs(30);
/// A due job counts as lost after this time: until then its message may be in transit.
const LOST_AFTER: time::Duration = time::Duration::seconds(30);
/// A running job without progress for this long counts as lost: its worker has died.
const NO_PROGRESS_AFTER: time::Duration = time::Duration::minutes(5);
/// How long a new leader waits for a measurement of Discord's clock.
const CLOCK_WAIT: Duration = Duration::from_secs(5);
/// Lost jobs of one community that are published at once.
const LOST_JOBS_AT_ONCE: u32 = 100;
/// Pause between attempts to register the commands.
const REGISTRATION_RETRY: Duration = Duration::from_secs(30);
/// Claims in the inbox are kept for longer than any event may be handled again.
const CLAIM_RETENTION: time::Duration = time::Duration::seconds(dead_letter::CLAIM_RETENTION.as_secs().cast_signed());
/// Ended jobs are kept for operators.
const JOBS_KEPT: time::Duration = time::Duration::days(30);
/// Notification events are kept for longer than an alert is of use.
const NOTIFICATIONS_KEPT: time::Duration = time::Duration::days(30);
/// Migrations that were previewed or undone are kept for admins who come back to them.
const PREVIEWS_KEPT: time::Duration = time::Duration::days(7);
/// Backups on request are kept for longer than the longest time of a limit, a week.
const BACKUP_USES_KEPT: time::Duration = time::Duration::days(30);
/// Interval at which the leader looks for profiles to sync: those of new communities, and those whose sync failed.
const SYNC_INTERVAL: Duration = Duration::from_secs(60);

/// Interval at which the leader looks for communities with events or alerts that are due.
const ALERTS_INTERVAL: Duration = Duration::from_secs(10);

/// Interval at which the leader looks for posts that are due; joins and departures within it are one message.
const POSTS_INTERVAL: Duration = Duration::from_secs(30);
/// Joins and departures are kept for operators.
const ARRIVALS_KEPT: time::Duration = time::Duration::days(2);
/// Interval at which the leader looks for backups that are due.
const BACKUPS_INTERVAL: Duration = Duration::from_secs(60);
/// Interval at which the leader compares the plans of communities with their themes.
const PLAN_INTERVAL: Duration = Duration::from_secs(600);

/// The scheduled tasks, with the slots for which they are done. A new leader starts without these and may repeat a task.
#[derive(Debug, Default)]
pub(super) struct LeaderTasks {
    reconciled_slot: Option<String>,
    pruned_day: Option<time::Date>,
}

impl LeaderTasks {
    /// Runs the tasks for as long as the future is polled.
    pub(super) async fn run(mut self, services: &Services, commands: &Commands, connection: &BrokerConnection) {
        tokio::join!(
            register(services, commands),
            self.run_scheduled(services, connection),
            Box::pin(shadow_configurations(services)),
            Box::pin(send_notices(services)),
            Box::pin(anchor_chain(services)),
            Box::pin(approvals::run(services))
        );
    }

    async fn run_scheduled(&mut self, services: &Services, connection: &BrokerConnection) {
        let mut last_search: Option<tokio::time::Instant> = None;
        let mut last_sync: Option<tokio::time::Instant> = None;
        let mut last_alerts: Option<tokio::time::Instant> = None;
        let mut last_posts: Option<tokio::time::Instant> = None;
        let mut last_plan_check: Option<tokio::time::Instant> = None;
        let mut last_backups: Option<tokio::time::Instant> = None;
        wait_for_discord_time(services).await;
        loop {
            let now = services.now();
            log_failure("enqueuing reconciles", self.enqueue_reconciles(services, now).await);
            if last_search.is_none_or(|at| at.elapsed() >= LOST_JOBS_INTERVAL) {
                log_failure(
                    "publishing lost jobs",
                    publish_lost_jobs(services, connection, now).await,
                );
                last_search = Some(tokio::time::Instant::now());
            }
            if last_sync.is_none_or(|at| at.elapsed() >= SYNC_INTERVAL) {
                log_failure("enqueuing eligibility syncs", enqueue_syncs(services, now).await);
                last_sync = Some(tokio::time::Instant::now());
            }
            if last_alerts.is_none_or(|at| at.elapsed() >= ALERTS_INTERVAL) {
                log_failure("enqueuing alerts", alerts::enqueue_due(services, now).await);
                last_alerts = Some(tokio::time::Instant::now());
            }
            if last_posts.is_none_or(|at| at.elapsed() >= POSTS_INTERVAL) {
                log_failure("enqueuing posts", posts::enqueue_due(services, now).await);
                last_posts = Some(tokio::time::Instant::now());
            }
            if last_backups.is_none_or(|at| at.elapsed() >= BACKUPS_INTERVAL) {
                log_failure("enqueuing backups", backups::enqueue_backups(services, now).await);
                last_backups = Some(tokio::time::Instant::now());
            }
            if last_plan_check.is_none_or(|at| at.elapsed() >= PLAN_INTERVAL) {
                log_failure("checking plans", theme_grace::check(services, now).await);
                last_plan_check = Some(tokio::time::Instant::now());
            }
            log_failure("ending suspensions", suspensions::end_expired(services, now).await);
            log_failure("pruning", self.prune(services, now).await);
            tokio::time::sleep(TASK_INTERVAL).await;
        }
    }

    /// Enqueues a reconcile of each community for the present time slot, once, so that slots that were missed are caught up by one. While another
    /// full reconcile of a community waits or runs, and after an error, a later call enqueues the rest: reconciles do not overlap.
    async fn enqueue_reconciles(&mut self, services: &Services, now: OffsetDateTime) -> Result<(), Failure> {
        let slot = reconcile::scheduled_id(now);
        if self.reconciled_slot.as_ref() == Some(&slot) {
            return Ok(());
        }
        let request = reconcile::request(&slot);
        let mut is_complete = true;
        for (_, community) in services.database.routes().await? {
            let mut tx = services.database.tenant(community).await?;
            let exists = tx.jobs().get(&request.id).await?.is_some();
            let is_pending = tx.jobs().is_pending(request.kind.name(), &request.payload).await?;
            tx.commit().await?;
            match (exists, is_pending) {
                (true, _) => {}
                (false, true) => is_complete = false,
                (false, false) => {
                    if jobs::enqueue(services, community, &request).await? {
                        services.metrics.published_jobs.with_label_values(&["reconcile"]).inc();
                    }
                }
            }
        }
        if is_complete {
            self.reconciled_slot = Some(slot);
        }
        Ok(())
    }

    /// Deletes old claims, ended jobs, activity counts and expired checkpoints, once a day.
    async fn prune(&mut self, services: &Services, now: OffsetDateTime) -> Result<(), Failure> {
        if self.pruned_day == Some(now.date()) {
            return Ok(());
        }
        for (_, community) in services.database.routes().await? {
            let mut tx = services.database.tenant(community).await?;
            tx.prune_claims(now - CLAIM_RETENTION).await?;
            tx.jobs().prune(now - JOBS_KEPT).await?;
            tx.reconcile_reports().prune(now - JOBS_KEPT).await?;
            tx.profiles().prune_activity(now).await?;
            tx.notifications().prune(now - NOTIFICATIONS_KEPT).await?;
            tx.posts().prune_arrivals(now - ARRIVALS_KEPT).await?;
            tx.tier_imports().prune(now - PREVIEWS_KEPT).await?;
            tx.backup_usage().prune(now - BACKUP_USES_KEPT).await?;
            prune_checkpoints(&mut tx, now).await?;
            tx.commit().await?;
        }
        let mut tx = services.database.global().await?;
        tx.prune_claims(now - CLAIM_RETENTION).await?;
        tx.jobs().prune(now - JOBS_KEPT).await?;
        tx.verification_sessions().prune().await?;
        tx.commit().await?;
        self.pruned_day = Some(now.date());
        Ok(())
    }
}

/// Deletes the checkpoints of a community that have expired, with an audit entry. Where the community is still frozen by a teardown and has no
/// checkpoint of one any more, the entry and the log name the command that ends the freeze.
async fn prune_checkpoints(tx: &mut TenantTx, now: OffsetDateTime) -> Result<(), Failure> {
    let expired = tx.checkpoints().prune(now).await?;
    if expired.is_empty() {
        return Ok(());
    }
    let left_frozen = guild_left_frozen(tx, now).await?;
    let reason = match left_frozen {
        None => "they are kept for 30 days".to_owned(),
        Some(guild) => format!(
            "they are kept for 30 days; the community is still frozen by a teardown, and no checkpoint of one is left: \
             `arrakis-worker unfreeze {guild}` ends the freeze"
        ),
    };
    tx.audit(&NewAuditEntry {
        actor: Actor::System("checkpoints".to_owned()),
        action: "checkpoint.expired",
        subject: "checkpoints",
        reason: Some(&reason),
        detail: json!({"checkpoints": expired, "left_frozen": left_frozen.is_some()}),
    })
    .await?;
    if let Some(guild) = left_frozen {
        tracing::warn!(
            guild.id = %guild,
            "the community is frozen by a teardown whose checkpoints have expired: `arrakis-worker unfreeze` ends the freeze"
        );
    }
    Ok(())
}

/// The server, if its community is frozen by a teardown and has no checkpoint of a teardown to restore.
async fn guild_left_frozen(tx: &mut TenantTx, now: OffsetDateTime) -> Result<Option<GuildId>, Failure> {
    let record = tx.communities().get().await?;
    let Some(record) = record.filter(Community::is_frozen_by_teardown) else {
        return Ok(None);
    };
    let left = tx.checkpoints().list(now).await?;
    let is_left = left.iter().any(|left| left.purpose == CheckpointPurpose::Teardown);
    Ok((!is_left).then_some(record.guild))
}

/// Enqueues a sync of each profile that a community uses, for the present time slot, and another one while syncs fail. Profiles of a
/// chain without endpoints are left out: their ranking stays as it is stored. A profile whose row is corrupt is logged and left
/// out; `/health` names it.
///
/// # Errors
/// If Postgres is unavailable; the next call enqueues the rest.
pub async fn enqueue_syncs(services: &Services, now: OffsetDateTime) -> Result<(), Failure> {
    if services.chains.iter().next().is_none() {
        return Ok(());
    }
    for token in eligibility_sync::profiles_in_use(&services.database).await?.into_keys() {
        match enqueue_sync(services, &token, now).await {
            Ok(()) => {}
            Err(Failure::Permanent(error)) => {
                tracing::error!(token_profile = %token, %error, "no sync of the token profile is enqueued; those of others are");
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

async fn enqueue_sync(services: &Services, token: &TokenProfileId, now: OffsetDateTime) -> Result<(), Failure> {
    let mut tx = services.database.global().await?;
    let profile = tx.eligibility().token_profile(token).await?;
    let health = tx.eligibility().sync_health(token).await?;
    tx.commit().await?;
    if profile.is_none_or(|profile| services.chains.get(profile.chain_id).is_none()) {
        return Ok(());
    }
    let mut ids = vec![eligibility_sync::scheduled_id(token, now)];
    if health.consecutive_failures > 0 {
        ids.push(eligibility_sync::retry_id(token, now));
    }
    for id in ids {
        let request = eligibility_sync::request(id, token, false);
        if jobs::enqueue_for_platform(&services.database, &services.publisher, &request, now).await? {
            let labels = ["eligibility-sync"];
            services.metrics.published_jobs.with_label_values(&labels).inc();
        }
    }
    Ok(())
}

/// Waits until a response from Discord has shown its clock: with a local clock that is an hour off, another time slot would be due.
/// The registration of commands, which runs at the same time, gets such a response. After the wait the local clock is used.
async fn wait_for_discord_time(services: &Services) {
    let started = tokio::time::Instant::now();
    while services.discord.clock_offset_ms().is_none() && started.elapsed() < CLOCK_WAIT {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn log_failure(task: &'static str, result: Result<(), Failure>) {
    if let Err(failure) = result {
        tracing::warn!(%failure, task, "a scheduled task failed; it will be retried");
    }
}

/// Records and shadows configurations. Apart from the other tasks: a store that does not respond holds one of its calls for minutes, and a
/// comparison of a shadow takes as long as two reads.
async fn shadow_configurations(services: &Services) {
    let mut tasks = ConfigurationTasks::default();
    wait_for_discord_time(services).await;
    loop {
        log_failure("shadowing configurations", tasks.run(services, services.now()).await);
        tokio::time::sleep(TASK_INTERVAL).await;
    }
}

/// Sends notices to operators, by Discord's time.
async fn send_notices(services: &Services) {
    wait_for_discord_time(services).await;
    notices::run(services).await;
}

/// Anchors the chain of identity events. Apart from the other tasks, as it waits for the object store and for the service with the key.
async fn anchor_chain(services: &Services) {
    wait_for_discord_time(services).await;
    anchors::run(services).await;
}

async fn register(services: &Services, commands: &Commands) {
    let calls = services.discord.bulk(None);
    let register = || registration::register(&calls, commands);
    let every_half_minute = ConstantBuilder::default()
        .with_delay(REGISTRATION_RETRY)
        .without_max_times();
    let _ = register
        .retry(every_half_minute)
        .notify(|error, _| tracing::warn!(%error, "cannot register the commands; retrying"))
        .await;
}

/// Publishes due jobs again that no worker runs. Jobs whose queue still has messages are waiting and not lost: publishing them would
/// add a copy of the whole backlog to it each time.
///
/// # Errors
/// If Postgres is unavailable; the next call publishes the rest.
pub async fn publish_lost_jobs(
    services: &Services,
    connection: &BrokerConnection,
    now: OffsetDateTime,
) -> Result<(), Failure> {
    let mut empty_queues = Vec::new();
    for handler in jobs::all() {
        let kind = handler.kind();
        let counts = arrakis_broker::queue_counts(connection, &kind.queue()).await;
        if counts.is_some_and(|counts| counts.messages == 0) {
            empty_queues.push(kind);
        }
    }
    if empty_queues.is_empty() {
        return Ok(());
    }
    let communities = services.database.routes().await?.into_iter();
    let owners = communities.map(|(_, community)| JobOwner::Community(community));
    for owner in owners.chain([JobOwner::Platform]) {
        for (id, kind) in lost_jobs(services, owner, &empty_queues, now).await? {
            tracing::info!(id, ?owner, "publishing a lost job again");
            services.metrics.published_jobs.with_label_values(&["lost_job"]).inc();
            jobs::publish(&services.publisher, owner, &id, kind).await;
        }
    }
    Ok(())
}

/// Lost jobs of these kinds. Kinds that only a newer build has are left to workers of that build.
async fn lost_jobs(
    services: &Services,
    owner: JobOwner,
    kinds: &[JobKind],
    now: OffsetDateTime,
) -> Result<Vec<(String, JobKind)>, Failure> {
    let due = jobs::due(
        services,
        owner,
        kinds,
        now - LOST_AFTER,
        now - NO_PROGRESS_AFTER,
        LOST_JOBS_AT_ONCE,
    )
    .await?;
    Ok(due
        .into_iter()
        .filter_map(|job| Some((job.id, job.kind.parse().ok()?)))
        .collect())
}
