//! `arrakis-worker eligibility sync|status|override`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use arrakis_broker::{BrokerSettings, Publisher};
use arrakis_chain::{Chains, ChainsConfig};
use arrakis_config::{Reader, Secret};
use arrakis_db::{Database, DbError, JobState, SyncCursor, SyncHealth, TokenProfile, TokenProfileId};
use clap::{Args, Subcommand};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::database::{connect, database_url};
use super::output::{print, print_json, printable, report};
use super::overrides::OverrideTask;
use super::{topology, with_config};
use crate::jobs::{eligibility_sync, enqueue_for_platform};

/// Pause between two looks at the job of a sync.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Shortest time between two lines about the progress.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);
/// Time without a job and without progress after which waiting ends.
const IDLE_LIMIT: Duration = Duration::from_secs(600);

/// The subcommands of `eligibility`.
#[derive(Debug, Subcommand)]
pub(super) enum EligibilityTask {
    /// Enqueues a sync of a token profile, which a worker runs
    Sync(SyncOptions),
    /// Shows each token profile with the state of its sync; exit code 1 if one has failed since its last success
    Status {
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Adds, revokes or lists overrides of the ranking
    #[command(subcommand)]
    Override(OverrideTask),
}

/// The options of `sync`.
#[derive(Debug, Args)]
pub(super) struct SyncOptions {
    /// Name of the token profile
    profile: TokenProfileId,
    /// Wait until the ranking is replaced; exit code 1 if the sync fails
    #[arg(long)]
    wait: bool,
    /// Delete the stored events and read all logs again, as after a restart of a local chain
    #[arg(long)]
    from_start: bool,
    /// Replace the ranking even if no wallet holds the token
    #[arg(long)]
    accept_empty: bool,
}

impl EligibilityTask {
    pub(super) fn run(self) -> ExitCode {
        match self {
            Self::Sync(options) => with_config(database_and_broker, move |(url, broker)| options.run(url, broker)),
            Self::Status { json } => with_config(database_and_chains, move |(url, chains)| status(url, chains, json)),
            Self::Override(task) => task.run(),
        }
    }
}

fn database_and_broker(reader: &mut Reader) -> Option<(Secret, BrokerSettings)> {
    let url = database_url(reader);
    let broker = BrokerSettings::read(reader);
    Some((url?, broker?))
}

fn database_and_chains(reader: &mut Reader) -> Option<(Secret, ChainsConfig)> {
    let url = database_url(reader);
    let chains = ChainsConfig::read(reader);
    Some((url?, chains?))
}

impl SyncOptions {
    async fn run(self, url: Secret, broker: BrokerSettings) -> anyhow::Result<ExitCode> {
        let database = connect(&url).await?;
        let profile = profile(&database, &self.profile).await?;
        if self.from_start {
            let mut tx = database.global().await?;
            tx.reset_sync(&profile).await?;
            tx.commit().await?;
            report("the sync will delete the stored events and read all logs again");
        }
        let before = health(&database, &profile.id).await?;
        let id = format!("eligibility-sync:{}:request:{}", profile.id, Uuid::now_v7());
        let request = eligibility_sync::request(id, &profile.id, self.accept_empty);
        let (connection, _amqp) = topology::connect(&broker).await?;
        let publisher = Publisher::new(connection.clone());
        let enqueued = enqueue_for_platform(&database, &publisher, &request, OffsetDateTime::now_utc()).await;
        connection.close().await;
        enqueued.map_err(|failure| anyhow::anyhow!("{failure}"))?;
        report(format_args!("enqueued {}", request.id));
        if self.wait {
            return wait(&database, &profile.id, &request.id, &before).await;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The token profile of this name.
pub(super) async fn profile(database: &Database, id: &TokenProfileId) -> anyhow::Result<TokenProfile> {
    let mut tx = database.global().await?;
    let profile = tx.eligibility().token_profile(id).await?;
    tx.commit().await?;
    profile.with_context(|| format!("there is no token profile {id}; `arrakis-worker token-profiles list` prints all"))
}

/// Waits until the ranking is replaced or the sync fails. A long sync has further parts, which are other jobs, and a run that began
/// later continues the work of this one: so the cursor and the profile's health decide, and the job only while it may be the last one.
async fn wait(database: &Database, token: &TokenProfileId, id: &str, before: &SyncHealth) -> anyhow::Result<ExitCode> {
    let (mut cursor, mut moved_at, mut reported) = (None, Instant::now(), Instant::now());
    loop {
        tokio::time::sleep(POLL_INTERVAL).await;
        let mut tx = database.global().await?;
        let job = tx.jobs().get(id).await?;
        let now = tx.eligibility().sync_health(token).await?;
        let read = tx.eligibility().sync_cursor(token).await?;
        tx.commit().await?;
        let Some(job) = job else {
            bail!("the job {id} was deleted")
        };
        // A sync that began before this job read an older head: its end says nothing about what this one was asked for.
        let begun = job.started_at;
        if begun.is_some() && now.last_success_at > before.last_success_at.max(begun) {
            report(format_args!(
                "the ranking is that of block {}",
                now.last_block.unwrap_or_default()
            ));
            return Ok(ExitCode::SUCCESS);
        }
        let has_failed =
            begun.is_some() && now.last_attempt_at > before.last_attempt_at.max(begun) && now.consecutive_failures > 0;
        let has_ended = job.state == JobState::Failed && !is_superseded(job.error.as_deref());
        if has_failed || has_ended {
            let error = job.error.or(now.last_error).unwrap_or_default();
            report(format_args!("the sync failed: {}", printable(&error)));
            return Ok(ExitCode::FAILURE);
        }
        if read != cursor || !job.state.is_final() {
            moved_at = Instant::now();
        } else if moved_at.elapsed() > IDLE_LIMIT {
            let limit = IDLE_LIMIT.as_secs() / 60;
            bail!(
                "no worker has continued the sync for {limit} minutes; `arrakis-worker eligibility sync {token}` begins another one"
            );
        }
        if let Some(read) = read.filter(|_| read != cursor && reported.elapsed() >= REPORT_INTERVAL) {
            report_progress(read);
            reported = Instant::now();
        }
        cursor = read;
    }
}

fn report_progress(cursor: SyncCursor) {
    match cursor.roll_back_to {
        Some(block) => report(format_args!("deleting the events from block {block} on")),
        None => report(format_args!(
            "{} blocks to read from block {} on",
            cursor.blocks_behind(),
            cursor.next_block
        )),
    }
}

fn is_superseded(error: Option<&str>) -> bool {
    error == Some(eligibility_sync::SyncError::Superseded.to_string().as_str())
}

async fn health(database: &Database, token: &TokenProfileId) -> anyhow::Result<SyncHealth> {
    let mut tx = database.global().await?;
    let health = tx.eligibility().sync_health(token).await?;
    tx.commit().await?;
    Ok(health)
}

async fn status(url: Secret, chains: ChainsConfig, json: bool) -> anyhow::Result<ExitCode> {
    let database = connect(&url).await?;
    let chains = Chains::new(&chains);
    let mut tx = database.global().await?;
    let mut is_failing = false;
    for id in tx.eligibility().token_profile_ids().await? {
        let profile = match tx.eligibility().token_profile(&id).await {
            Ok(Some(profile)) => profile,
            Ok(None) => continue,
            Err(error @ DbError::Corrupt { .. }) => {
                report(format_args!(
                    "{id}: its row is corrupt: {error}; correct it by `arrakis-worker token-profiles put`"
                ));
                is_failing = true;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let health = tx.eligibility().sync_health(&id).await?;
        let cursor = tx.eligibility().sync_cursor(&id).await?;
        let holders = tx.eligibility().holder_count(&id).await?;
        let has_endpoints = chains.get(profile.chain_id).is_some();
        is_failing |= health.consecutive_failures > 0;
        if json {
            print_json(&as_json(&profile, &health, cursor, holders, has_endpoints))?;
        } else {
            print_status(&profile, &health, cursor, holders, has_endpoints)?;
        }
    }
    tx.commit().await?;
    Ok(if is_failing {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn as_json(
    profile: &TokenProfile,
    health: &SyncHealth,
    cursor: Option<SyncCursor>,
    holders: u32,
    has_endpoints: bool,
) -> serde_json::Value {
    json!({
        "token_profile": profile.id, "chain_id": profile.chain_id, "has_endpoints": has_endpoints, "holders": holders,
        "last_success_at": health.last_success_at.map(timestamp), "last_attempt_at": health.last_attempt_at.map(timestamp),
        "last_block": health.last_block, "finalized_block": health.finalized_block,
        "next_block": cursor.map(|cursor| cursor.next_block),
        "blocks_behind": cursor.map(|cursor| cursor.blocks_behind()), "mismatches": health.mismatches,
        "consecutive_failures": health.consecutive_failures, "last_error": health.last_error,
    })
}

fn print_status(
    profile: &TokenProfile,
    health: &SyncHealth,
    cursor: Option<SyncCursor>,
    holders: u32,
    has_endpoints: bool,
) -> anyhow::Result<()> {
    let last = match (health.last_success_at, health.last_block) {
        (Some(at), Some(block)) => format!("ranking of {} at block {block}, {holders} wallets", timestamp(at)),
        _ => "no ranking yet".to_owned(),
    };
    print(format_args!("{}  {last}", profile.id))?;
    if let Some(cursor) = cursor {
        let (read, behind) = (cursor.next_block.saturating_sub(1), cursor.blocks_behind());
        print(format_args!(
            "    logs are read up to block {read}, {behind} blocks to read"
        ))?;
        if let Some(block) = cursor.roll_back_to {
            print(format_args!(
                "    the next sync deletes the events from block {block} on"
            ))?;
        }
    }
    if health.mismatches > 0 {
        print(format_args!(
            "    {} wallets had another balance on the chain than by their logs",
            health.mismatches
        ))?;
    }
    if !has_endpoints {
        print(format_args!(
            "    note: CHAIN_RPC_URLS of this shell names no endpoint of chain {}; the workers' own may",
            profile.chain_id
        ))?;
    }
    if health.consecutive_failures > 0 {
        let error = printable(health.last_error.as_deref().unwrap_or_default());
        print(format_args!(
            "    {} failed syncs since: {error}",
            health.consecutive_failures
        ))?;
    }
    Ok(())
}

/// A time in RFC 3339.
pub(super) fn timestamp(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_else(|_| at.to_string())
}
