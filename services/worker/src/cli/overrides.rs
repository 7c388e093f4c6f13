//! `arrakis-worker eligibility override add|remove|revoke|list`.

use std::process::ExitCode;

use anyhow::bail;
use arrakis_config::Secret;
use arrakis_db::{Actor, GlobalTx, NewAuditEntry, NewOverride, TokenProfileId};
use arrakis_domain::{Address, OverrideEffect};
use clap::{Args, Subcommand};
use serde_json::json;
use time::OffsetDateTime;

use super::database::{connect, database_url};
use super::eligibility::{profile, timestamp};
use super::output::{print, print_json, printable, report};
use super::with_config;

/// The subcommands of `override`. Each change takes effect with the next sync.
#[derive(Debug, Subcommand)]
pub(super) enum OverrideTask {
    /// Gives a wallet an eligible rank, whatever it holds
    Add(Change),
    /// Takes a wallet out of the ranking
    Remove(Change),
    /// Ends the override of a wallet
    Revoke {
        #[command(flatten)]
        subject: Subject,
    },
    /// Lists the overrides of a token profile, the latest first
    List {
        /// Name of the token profile
        profile: TokenProfileId,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
}

/// The wallet, and who changes it for what reason.
#[derive(Debug, Args)]
pub(super) struct Subject {
    /// Name of the token profile
    profile: TokenProfileId,
    /// Address of the wallet
    address: Address,
    /// Why
    #[arg(long)]
    reason: String,
    /// Who you are, for the audit log
    #[arg(long)]
    by: String,
}

/// An override to add.
#[derive(Debug, Args)]
pub(super) struct Change {
    #[command(flatten)]
    subject: Subject,
    /// End it after this many days; without this option it ends when it is revoked
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: Option<u32>,
}

impl OverrideTask {
    pub(super) fn run(self) -> ExitCode {
        with_config(database_url, |url| self.run_on(url))
    }

    async fn run_on(self, url: Secret) -> anyhow::Result<ExitCode> {
        match self {
            Self::Add(change) => add(url, &change, OverrideEffect::Add).await,
            Self::Remove(change) => add(url, &change, OverrideEffect::Remove).await,
            Self::Revoke { subject } => revoke(url, &subject).await,
            Self::List { profile, json } => list(url, &profile, json).await,
        }
    }
}

async fn add(url: Secret, change: &Change, effect: OverrideEffect) -> anyhow::Result<ExitCode> {
    let subject = &change.subject;
    if subject.address.as_bytes().iter().all(|byte| *byte == 0) {
        bail!("the zero address is not a wallet: tokens that are burned are sent to it");
    }
    let database = connect(&url).await?;
    let profile = profile(&database, &subject.profile).await?;
    let now = OffsetDateTime::now_utc();
    let expires_at = change.days.map(|days| now + time::Duration::days(i64::from(days)));
    let new = NewOverride {
        address: subject.address,
        effect,
        reason: &subject.reason,
        created_by: &subject.by,
        expires_at,
    };
    let mut tx = database.global().await?;
    if tx.eligibility().add_override(&profile.id, &new, now).await?.is_none() {
        bail!("the wallet has an override; end it by `arrakis-worker eligibility override revoke` first");
    }
    let action = match effect {
        OverrideEffect::Add => "eligibility.override.add",
        OverrideEffect::Remove => "eligibility.override.remove",
    };
    audit(&mut tx, subject, action, expires_at).await?;
    tx.commit().await?;
    report_next_step(&profile.id);
    Ok(ExitCode::SUCCESS)
}

async fn revoke(url: Secret, subject: &Subject) -> anyhow::Result<ExitCode> {
    let database = connect(&url).await?;
    let profile = profile(&database, &subject.profile).await?;
    let mut tx = database.global().await?;
    let now = OffsetDateTime::now_utc();
    if !tx
        .eligibility()
        .revoke_override(&profile.id, subject.address, now)
        .await?
    {
        bail!("the wallet has no override");
    }
    audit(&mut tx, subject, "eligibility.override.revoke", None).await?;
    tx.commit().await?;
    report_next_step(&profile.id);
    Ok(ExitCode::SUCCESS)
}

fn report_next_step(token: &TokenProfileId) {
    report(format_args!(
        "stored; it takes effect with the next sync: `arrakis-worker eligibility sync {token} --wait`"
    ));
}

async fn audit(
    tx: &mut GlobalTx,
    subject: &Subject,
    action: &str,
    expires_at: Option<OffsetDateTime>,
) -> anyhow::Result<()> {
    let entry = NewAuditEntry {
        actor: Actor::Operator(subject.by.clone()),
        action,
        subject: &subject.address.to_string(),
        reason: Some(&subject.reason),
        detail: json!({"token_profile": subject.profile, "expires_at": expires_at.map(timestamp)}),
    };
    Ok(tx.audit(&entry).await?)
}

async fn list(url: Secret, token: &TokenProfileId, json: bool) -> anyhow::Result<ExitCode> {
    let database = connect(&url).await?;
    let profile = profile(&database, token).await?;
    let mut tx = database.global().await?;
    let overrides = tx.eligibility().overrides(&profile.id).await?;
    tx.commit().await?;
    let now = OffsetDateTime::now_utc();
    for found in &overrides {
        let applies = found.applies_at(now);
        if json {
            print_json(&json!({
                "address": found.address, "effect": found.effect.as_str(), "reason": found.reason, "by": found.created_by,
                "created_at": timestamp(found.created_at), "expires_at": found.expires_at.map(timestamp),
                "revoked_at": found.revoked_at.map(timestamp), "applies": applies,
            }))?;
            continue;
        }
        let end = match (applies, found.expires_at) {
            (false, _) => "ended".to_owned(),
            (true, Some(end)) => format!("until {}", timestamp(end)),
            (true, None) => "until it is revoked".to_owned(),
        };
        print(format_args!(
            "{}  {}  {end}  by {}: {}",
            found.address,
            found.effect.as_str(),
            printable(&found.created_by),
            printable(&found.reason)
        ))?;
    }
    if overrides.is_empty() {
        report("no overrides");
    }
    Ok(ExitCode::SUCCESS)
}
