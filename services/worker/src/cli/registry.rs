//! `arrakis-worker registry verify|head|anchor|replay|migrate-verifications`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use arrakis_causes::causes;
use arrakis_config::Secret;
use arrakis_config::variables::{DATABASE_OWNER_URL, DATABASE_URL};
use arrakis_db::registry::{
    Account, IdentityId, IdentityRecord, IdentityStatus, IdentityWallet, MigratedVerifications, Problem, VerifyReport,
    migrate_verifications,
};
use arrakis_db::{Database, DatabaseOptions, UserId};
use arrakis_domain::Address;
use arrakis_security::signing::Signer;
use arrakis_vault::{ChainAnchor, ChainAnchors};
use clap::{Args, Subcommand};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::output::{counted, print, print_json, printable, report};
use super::signer::{REFUSED_HELP, SignerConfig, is_refused, remember_public_keys};
use super::with_config;
use crate::registry_anchors::{AnchorProblem, NamedAnchor, anchor_of, compare};

/// Identities that one transaction replays.
const PAGE: u32 = 500;

/// The subcommands of `registry`.
#[derive(Debug, Subcommand)]
pub(super) enum RegistryTask {
    /// Verifies the chain of identity events, its head, and the tables that follow from it; names the first bad event
    ///
    /// Requires `DATABASE_URL`. With `BACKUP_STORE` and a signing key, the chain is compared with its anchors in the object store, which shows
    /// whether its end was removed. Exit code 1 means that something is wrong.
    Verify {
        /// Also compare with an anchor that `registry head` has printed, in this file; may be repeated
        #[arg(long, value_name = "FILE")]
        anchor: Vec<PathBuf>,
        /// Print the report as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Prints the head of the chain, signed, as one line of JSON, to be kept outside of the database: an anchor
    ///
    /// Requires `DATABASE_URL` and a signing key. `registry verify --anchor FILE` compares the chain with it later.
    Head,
    /// Writes an anchor of the head of the chain to `BACKUP_STORE` now; the leader of the workers does this every 10 minutes
    ///
    /// Requires `DATABASE_URL` and a signing key. Exit code 1 means that the chain contradicts an earlier anchor; none is written then.
    Anchor,
    /// Prints the identities as they were at a moment, by a replay of their events up to then
    ///
    /// Requires `DATABASE_URL`.
    Replay(Replay),
    /// Moves wallet verifications from before the registry into it; `migrate` does this, too
    ///
    /// Requires `DATABASE_OWNER_URL`. Safe to repeat.
    MigrateVerifications {
        /// Print the counts as one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// The options of `replay`.
#[derive(Debug, Args)]
pub(super) struct Replay {
    /// The moment, such as `2026-11-30T12:00:00Z`
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: OffsetDateTime,
    #[command(flatten)]
    selection: Selection,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// Which identities are printed; all without an option.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct Selection {
    /// The identity with this id
    #[arg(long, value_name = "ID")]
    identity: Option<IdentityId>,
    /// The identity of this Discord user
    #[arg(long, value_name = "ID")]
    discord_user: Option<UserId>,
    /// The identity that held this wallet at the moment
    #[arg(long, value_name = "ADDRESS")]
    wallet: Option<Address>,
}

fn moment(text: &str) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(text, &Rfc3339).map_err(|_| "write a time as in 2026-11-21T06:00:00Z".to_owned())
}

impl RegistryTask {
    pub(super) fn run(self) -> ExitCode {
        let schemes = &["postgres", "postgresql"];
        match self {
            Self::Verify { anchor, json } => {
                with_config(SignerConfig::read_with_database, move |(url, config)| async move {
                    verify(&url, &config, &anchor, json).await
                })
            }
            Self::Head => with_config(SignerConfig::read_with_database, move |(url, config)| async move {
                head(&url, &config).await
            }),
            Self::Anchor => with_config(SignerConfig::read_with_database, move |(url, config)| async move {
                anchor(&url, &config).await
            }),
            Self::Replay(replay) => with_config(
                |reader| reader.secret_url(&DATABASE_URL, schemes),
                move |url| async move { replay.run(&url).await },
            ),
            Self::MigrateVerifications { json } => with_config(
                |reader| reader.secret_url(&DATABASE_OWNER_URL, schemes),
                move |url| async move {
                    let counts = migrate_verifications(&url).await?;
                    if json {
                        print_json(&counts)?;
                    } else {
                        report_migrated(&counts);
                    }
                    Ok(ExitCode::SUCCESS)
                },
            ),
        }
    }
}

async fn connect(url: &Secret) -> anyhow::Result<Database> {
    let options = DatabaseOptions {
        application_name: "arrakis-registry",
        max_connections: 2,
        ..DatabaseOptions::default()
    };
    Ok(Database::connect(url, options).await?)
}

/// What `verify` found.
#[derive(Debug, Serialize)]
struct Verified {
    #[serde(flatten)]
    chain: VerifyReport,
    /// Number of anchors that the chain was compared with; `None` where none are configured, or they could not be read.
    anchors: Option<usize>,
    /// The first anchor that the chain contradicts.
    anchor_problem: Option<AnchorProblem>,
    /// Why the chain could not be compared with its anchors.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_compared: Option<String>,
}

async fn verify(url: &Secret, config: &SignerConfig, files: &[PathBuf], json: bool) -> anyhow::Result<ExitCode> {
    let database = connect(url).await?;
    let chain = database.verify_registry().await?;
    let compared = compare_with_anchors(&database, config, files).await;
    database.close();
    let (compared, error) = match compared {
        Ok(compared) => (compared, None),
        Err(error) => (None, Some(error)),
    };
    let verified = Verified {
        chain,
        anchors: compared.as_ref().map(|(count, _)| *count),
        anchor_problem: compared.and_then(|(_, problem)| problem),
        not_compared: error.as_ref().map(|error| causes(error.as_ref())),
    };
    if json {
        print_json(&verified)?;
    } else {
        report_verified(&verified);
    }
    if error.as_ref().is_some_and(is_refused) {
        report(REFUSED_HELP);
    }
    let is_sound = verified.chain.problem.is_none() && verified.anchor_problem.is_none() && error.is_none();
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Number of anchors, and the first one that the chain contradicts; `None` where none are configured.
async fn compare_with_anchors(
    database: &Database,
    config: &SignerConfig,
    files: &[PathBuf],
) -> anyhow::Result<Option<(usize, Option<AnchorProblem>)>> {
    match read_anchors(config, files).await? {
        Some(anchors) => Ok(Some((anchors.len(), compare(database, &anchors).await?))),
        None => Ok(None),
    }
}

/// The anchors in the store and in these files; `None` where there is neither a store nor a file. One that is damaged is an error: it may be the
/// one that shows what was removed.
async fn read_anchors(config: &SignerConfig, files: &[PathBuf]) -> anyhow::Result<Option<Vec<NamedAnchor>>> {
    let store = config.store().await?;
    if store.is_none() && files.is_empty() {
        return Ok(None);
    }
    let signer = config.signer().context("anchors are signed")?;
    let mut named = Vec::new();
    if let Some(store) = store {
        remember_public_keys(store.clone(), signer.clone()).await;
        let anchors = ChainAnchors::new(store, signer.clone());
        for key in anchors.list().await? {
            if let Some(anchor) = anchors.read(&key).await? {
                let name = anchors.name(&key);
                named.push(NamedAnchor { name, anchor });
            }
        }
    }
    for file in files {
        let name = file.display().to_string();
        let bytes = tokio::fs::read(file).await.with_context(|| name.clone())?;
        let anchor = ChainAnchor::from_document(&name, &bytes, &*signer).await?;
        named.push(NamedAnchor { name, anchor });
    }
    Ok(Some(named))
}

async fn present_anchor(database: &Database) -> anyhow::Result<ChainAnchor> {
    let mut tx = database.global().await?;
    let head = tx.registry().head().await?;
    tx.commit().await?;
    anchor_of(head, OffsetDateTime::now_utc()).context("the chain has no event yet")
}

async fn head(url: &Secret, config: &SignerConfig) -> anyhow::Result<ExitCode> {
    let signer = config.signer()?;
    let database = connect(url).await?;
    let anchor = present_anchor(&database).await?;
    database.close();
    let document = anchor.document(&*signer).await?;
    print(String::from_utf8(document)?)?;
    report(format_args!(
        "the head is event {} with the hash {}",
        anchor.sequence, anchor.hash
    ));
    Ok(ExitCode::SUCCESS)
}

async fn anchor(url: &Secret, config: &SignerConfig) -> anyhow::Result<ExitCode> {
    let signer: Arc<dyn Signer> = config.signer()?;
    let store = config.store().await?.context("BACKUP_STORE is not set")?;
    let database = connect(url).await?;
    remember_public_keys(store.clone(), signer.clone()).await;
    let anchors = ChainAnchors::new(store, signer);
    let latest = anchors.latest().await?.map(|anchor| NamedAnchor {
        name: "the latest anchor".to_owned(),
        anchor,
    });
    if let Some(problem) = compare(&database, latest.as_slice()).await? {
        report_anchor_problem(&problem);
        return Ok(ExitCode::FAILURE);
    }
    let anchor = present_anchor(&database).await?;
    database.close();
    let is_written = anchors.write(&anchor).await?;
    report(format_args!(
        "event {} with the hash {} {}",
        anchor.sequence,
        anchor.hash,
        if is_written { "is anchored" } else { "has an anchor" }
    ));
    Ok(ExitCode::SUCCESS)
}

fn report_verified(verified: &Verified) {
    let chain = &verified.chain;
    match &chain.problem {
        None => report(format_args!(
            "the chain is complete: {}, {}; the head is event {} with the hash {}",
            counted(chain.events, "event"),
            counted(chain.identities, "identity"),
            chain.head.sequence,
            chain.head.hash
        )),
        Some(problem) => report_problem(problem),
    }
    match (&verified.anchor_problem, verified.anchors, &verified.not_compared) {
        (Some(problem), _, _) => report_anchor_problem(problem),
        (None, _, Some(error)) => report(format_args!(
            "the chain was not compared with its anchors: {}",
            printable(error)
        )),
        (None, Some(count), None) => report(format_args!("the chain agrees with {}", counted(count, "anchor"))),
        (None, None, None) => {
            report("the chain was not compared with anchors: BACKUP_STORE is not set, and --anchor not given");
        }
    }
}

fn report_anchor_problem(problem: &AnchorProblem) {
    report(format_args!(
        "event {}: {}",
        problem.sequence,
        problem.problem.description()
    ));
    report(format_args!("    anchor:   {}", printable(&problem.anchor)));
    report(format_args!("    expected: {}", printable(&problem.expected)));
    report(format_args!("    found:    {}", printable(&problem.found)));
}

fn report_problem(problem: &Problem) {
    report(format_args!(
        "event {}: {}",
        problem.sequence,
        problem.kind.description()
    ));
    if let Some(identity) = problem.identity {
        report(format_args!("    identity: {identity}"));
    }
    report(format_args!("    expected: {}", printable(&problem.expected)));
    report(format_args!("    found:    {}", printable(&problem.found)));
}

/// Reports what a migration of verifications did.
pub(super) fn report_migrated(counts: &MigratedVerifications) {
    report(format_args!(
        "migrated {} to the registry ({} of them removed since); {} were there already",
        counted(counts.migrated, "wallet verification"),
        counts.removed,
        counts.already_there
    ));
    for (conflict, count) in &counts.conflicts {
        report(format_args!("not migrated: {count} with the conflict {conflict}"));
    }
    for refused in &counts.refused {
        let holder = refused.holder.as_deref().map(|holder| format!("; {holder} holds it"));
        report(format_args!(
            "    {} of Discord user {}: {}{}",
            refused.address,
            refused.user,
            refused.conflict,
            holder.unwrap_or_default()
        ));
    }
    let total: u64 = counts.conflicts.values().sum();
    let named = u64::try_from(counts.refused.len()).unwrap_or(u64::MAX);
    if total > named {
        report(format_args!("    and {} more", total - named));
    }
}

impl Replay {
    async fn run(self, url: &Secret) -> anyhow::Result<ExitCode> {
        let now = OffsetDateTime::now_utc();
        if self.at > now {
            bail!(
                "--at is in the future ({}): the registry has events up to now ({}) only",
                shown(self.at),
                shown(now)
            );
        }
        let database = connect(url).await?;
        let printed = match self.selected(&database).await? {
            Some(ids) => self.print_selected(&database, &ids).await?,
            None => self.print_all(&database).await?,
        };
        database.close();
        match printed {
            0 => report("no identity at this moment"),
            count => report(counted(count, "identity")),
        }
        Ok(if printed == 0 && !self.selects_all() {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }

    const fn selects_all(&self) -> bool {
        let Selection {
            identity,
            discord_user,
            wallet,
        } = &self.selection;
        identity.is_none() && discord_user.is_none() && wallet.is_none()
    }

    /// The identities to replay; `None`: all.
    async fn selected(&self, database: &Database) -> anyhow::Result<Option<Vec<IdentityId>>> {
        if let Some(id) = self.selection.identity {
            return Ok(Some(vec![id]));
        }
        let mut tx = database.global().await?;
        let mut registry = tx.registry();
        let ids = if let Some(user) = self.selection.discord_user {
            let found = registry.by_account(Account::Discord(user)).await?;
            Some(found.into_iter().map(|record| record.identity.id).collect())
        } else if let Some(address) = self.selection.wallet {
            Some(registry.holders_ever(address).await?)
        } else {
            None
        };
        tx.commit().await?;
        Ok(ids)
    }

    async fn print_selected(&self, database: &Database, ids: &[IdentityId]) -> anyhow::Result<u64> {
        let mut printed = 0;
        for id in ids {
            let mut tx = database.global().await?;
            let record = tx.registry().replayed(*id, self.at).await?;
            tx.commit().await?;
            let Some(record) = record else { continue };
            if self.selection.wallet.is_none_or(|address| record.holds(address)) {
                self.print(&record)?;
                printed += 1;
            }
        }
        Ok(printed)
    }

    async fn print_all(&self, database: &Database) -> anyhow::Result<u64> {
        let (mut printed, mut after) = (0, None);
        loop {
            let mut tx = database.global().await?;
            let (records, last) = tx.registry().replayed_page(after, self.at, PAGE).await?;
            tx.commit().await?;
            if last.is_none() {
                return Ok(printed);
            }
            after = last;
            for record in &records {
                self.print(record)?;
                printed += 1;
            }
        }
    }

    fn print(&self, record: &IdentityRecord) -> anyhow::Result<()> {
        if self.json {
            return print_json(record);
        }
        let identity = &record.identity;
        let status = match identity.status {
            IdentityStatus::Suspended { until: Some(until) } if identity.is_suspended(self.at) => {
                format!("suspended until {}", shown(until))
            }
            IdentityStatus::Suspended { until: None } => "suspended".to_owned(),
            _ => "active".to_owned(),
        };
        print(format_args!(
            "{}  {}  {status}",
            identity.id,
            printable(&identity.display_name)
        ))?;
        if let Some(user) = identity.discord_user {
            print(format_args!("    Discord user {user}"))?;
        }
        if let Some(user) = identity.telegram_user {
            print(format_args!("    Telegram user {user}"))?;
        }
        for wallet in &record.wallets {
            print_wallet(wallet)?;
        }
        Ok(())
    }
}

fn print_wallet(wallet: &IdentityWallet) -> anyhow::Result<()> {
    let end = match (wallet.removed_at, &wallet.removed_reason) {
        (Some(at), Some(reason)) => format!(", removed {} ({})", shown(at), printable(reason)),
        _ if wallet.is_primary => ", primary".to_owned(),
        _ => String::new(),
    };
    print(format_args!(
        "    wallet {} on chain {}, verified {}{end}",
        wallet.address,
        wallet.chain_id,
        shown(wallet.verified_at)
    ))?;
    Ok(())
}

fn shown(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_else(|_| at.to_string())
}
