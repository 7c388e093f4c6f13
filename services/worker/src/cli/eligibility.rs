//! `arrakis-worker eligibility sync|status|override`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use arrakis_broker::{BrokerSettings, Publisher};
use arrakis_chain::{Chains, ChainsConfig};
use arrakis_config::{Reader, Secret};
use arrakis_db::{Database, JobState, SyncCursor, SyncHealth, TokenProfile, TokenProfileId};
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
            report("the stored events are deleted");
        }
        let id = format!("eligibility-sync:{}:request:{}", profile.id, Uuid::now_v7());
        let request = eligibility_sync::request(id, &profile.id, self.accept_empty);
        let (connection, _amqp) = topology::connect(&broker).await?;
        let publisher = Publisher::new(connection.clone());
        let enqueued = enqueue_for_platform(&database, &publisher, &request, OffsetDateTime::now_utc()).await;
        connection.close().await;
        enqueued.map_err(|failure| anyhow::anyhow!("{failure}"))?;
        report(format_args!("enqueued {}", request.id));
        if self.wait {
            return wait(&database, &profile.id, request.id).await;
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

/// Waits for the job and its further parts. A run that began later continues the work of this one: then its result counts.
async fn wait(database: &Database, token: &TokenProfileId, mut id: String) -> anyhow::Result<ExitCode> {
    let before = health(database, token).await?;
    loop {
        tokio::time::sleep(POLL_INTERVAL).await;
        let mut tx = database.global().await?;
        let job = tx.jobs().get(&id).await?;
        let next_id = eligibility_sync::next_part_id(&id);
        let next = tx.jobs().get(&next_id).await?;
        tx.commit().await?;
        let Some(job) = job else {
            bail!("the job {id} was deleted")
        };
        if next.is_some() {
            id = next_id;
            continue;
        }
        if !job.state.is_final() {
            continue;
        }
        let now = health(database, token).await?;
        if now.last_success_at > before.last_success_at || job.state == JobState::Succeeded {
            report(format_args!(
                "the ranking is that of block {}",
                now.last_block.unwrap_or_default()
            ));
            return Ok(ExitCode::SUCCESS);
        }
        if now.last_attempt_at > before.last_attempt_at || !is_superseded(job.error.as_deref()) {
            let error = job.error.or(now.last_error).unwrap_or_default();
            report(format_args!("the sync failed: {}", printable(&error)));
            return Ok(ExitCode::FAILURE);
        }
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
    let profiles = tx.eligibility().token_profiles().await?;
    let mut is_failing = false;
    for profile in &profiles {
        let health = tx.eligibility().sync_health(&profile.id).await?;
        let cursor = tx.eligibility().sync_cursor(&profile.id).await?;
        let holders = tx.eligibility().holder_count(&profile.id).await?;
        let has_endpoints = chains.get(profile.chain_id).is_some();
        is_failing |= health.consecutive_failures > 0;
        if json {
            print_json(&as_json(profile, &health, cursor, holders, has_endpoints))?;
        } else {
            print_status(profile, &health, cursor, holders, has_endpoints)?;
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
        "next_block": cursor.map(|cursor| cursor.next_block), "mismatches": health.mismatches,
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
        print(format_args!(
            "    logs are read up to block {}",
            cursor.next_block.saturating_sub(1)
        ))?;
    }
    if health.mismatches > 0 {
        print(format_args!(
            "    {} wallets had another balance on the chain than by their logs",
            health.mismatches
        ))?;
    }
    if !has_endpoints {
        print(format_args!(
            "    not synced: CHAIN_RPC_URLS has no endpoint of chain {}",
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
