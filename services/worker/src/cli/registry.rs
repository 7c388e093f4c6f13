//! `arrakis-worker registry verify|replay|migrate-verifications`.

use std::process::ExitCode;

use anyhow::bail;
use arrakis_config::Secret;
use arrakis_config::variables::{DATABASE_OWNER_URL, DATABASE_URL};
use arrakis_db::registry::{
    Account, IdentityId, IdentityRecord, IdentityStatus, IdentityWallet, MigratedVerifications, Problem, VerifyReport,
    migrate_verifications,
};
use arrakis_db::{Database, DatabaseOptions, UserId};
use arrakis_domain::Address;
use clap::{Args, Subcommand};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::output::{print, print_json, printable, report};
use super::with_config;

/// Identities that one transaction replays.
const PAGE: u32 = 500;

/// The subcommands of `registry`.
#[derive(Debug, Subcommand)]
pub(super) enum RegistryTask {
    /// Verifies the chain of identity events, its head, and the tables that follow from it; names the first bad event
    ///
    /// Requires `DATABASE_URL`. Exit code 1 means that something is wrong.
    Verify {
        /// Print the report as one JSON object
        #[arg(long)]
        json: bool,
    },
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
            Self::Verify { json } => with_config(
                |reader| reader.secret_url(&DATABASE_URL, schemes),
                move |url| async move { verify(&url, json).await },
            ),
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

async fn verify(url: &Secret, json: bool) -> anyhow::Result<ExitCode> {
    let database = connect(url).await?;
    let result = database.verify_registry().await?;
    database.close();
    if json {
        print_json(&result)?;
    } else {
        report_verified(&result);
    }
    Ok(match result.problem {
        None => ExitCode::SUCCESS,
        Some(_) => ExitCode::FAILURE,
    })
}

fn report_verified(result: &VerifyReport) {
    match &result.problem {
        None => report(format_args!(
            "the chain is complete: {} events, {} identities; the head is event {} with the hash {}",
            result.events, result.identities, result.head.sequence, result.head.hash
        )),
        Some(problem) => report_problem(problem),
    }
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
        "migrated {} wallet verifications to the registry ({} of them removed since); {} were there already",
        counts.migrated, counts.removed, counts.already_there
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
            1 => report("1 identity"),
            count => report(format_args!("{count} identities")),
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
