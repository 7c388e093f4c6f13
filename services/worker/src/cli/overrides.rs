//! `arrakis-worker eligibility override add|remove|revoke|list`.

use std::process::ExitCode;

use anyhow::bail;
use arrakis_config::Secret;
use arrakis_db::{Actor, AuditEntry, GlobalTx, NewAuditEntry, NewOverride, StoredOverride, TokenProfileId};
use arrakis_domain::{Address, OverrideEffect};
use clap::{Args, Subcommand};
use serde_json::json;
use time::OffsetDateTime;

use super::database::{connect, database_url};
use super::eligibility::{profile, timestamp};
use super::output::{print, print_json, printable, report};
use super::with_config;

/// Action of the audit entry of a revocation.
const REVOKE: &str = "eligibility.override.revoke";
/// Latest audit entries in which revocations are looked up.
const AUDIT_ENTRIES: u32 = 10_000;
/// Longest time between a revocation by the operator's clock and its audit entry by the database's.
const SAME_TRANSACTION: time::Duration = time::Duration::minutes(5);

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
    #[arg(long, value_name = "WHY")]
    reason: String,
    /// Who you are, for the audit log
    #[arg(long, value_name = "NAME")]
    by: String,
}

/// An override to add.
#[derive(Debug, Args)]
pub(super) struct Change {
    #[command(flatten)]
    subject: Subject,
    /// End it after this many days; without this option it ends when it is revoked
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
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
        bail!(
            "the wallet {0} has an override; end it first: arrakis-worker eligibility override revoke {1} {0} --reason WHY --by NAME",
            subject.address,
            profile.id
        );
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
        bail!("the wallet {} has no override", subject.address);
    }
    audit(&mut tx, subject, REVOKE, None).await?;
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
    let audit = tx.platform_audit_entries(AUDIT_ENTRIES).await?;
    tx.commit().await?;
    let now = OffsetDateTime::now_utc();
    for found in &overrides {
        let applies = found.applies_at(now);
        let revocation = revocation(&audit, &profile.id, found);
        if json {
            print_json(&json!({
                "address": found.address, "effect": found.effect.as_str(), "reason": found.reason, "by": found.created_by,
                "created_at": timestamp(found.created_at), "expires_at": found.expires_at.map(timestamp),
                "revoked_at": found.revoked_at.map(timestamp), "applies": applies,
                "revoked_by": revocation.map(operator), "revoke_reason": revocation.and_then(|entry| entry.reason.as_deref()),
            }))?;
            continue;
        }
        print(format_args!(
            "{}  {}  {}  added by {}: {}",
            found.address,
            found.effect.as_str(),
            end_text(found, applies, revocation),
            printable(&found.created_by),
            printable(&found.reason)
        ))?;
    }
    if overrides.is_empty() {
        report("no overrides");
    }
    Ok(ExitCode::SUCCESS)
}

/// The audit entry of the revocation of an override: of the same wallet and token profile, at the time of the revocation. `None` when
/// it was not revoked, or the entry is older than the entries that were read.
fn revocation<'a>(audit: &'a [AuditEntry], token: &TokenProfileId, found: &StoredOverride) -> Option<&'a AuditEntry> {
    let revoked_at = found.revoked_at?;
    let address = found.address.to_string();
    audit.iter().find(|entry| {
        entry.action == REVOKE
            && entry.subject == address
            && entry.detail["token_profile"] == json!(token)
            && (entry.at - revoked_at).abs() < SAME_TRANSACTION
    })
}

/// The operator of an audit entry.
fn operator(entry: &AuditEntry) -> String {
    match &entry.actor {
        Actor::Operator(name) | Actor::System(name) => name.clone(),
        Actor::Member(user) => user.to_string(),
    }
}

/// When an override ends, or when, by whom and why it has ended.
fn end_text(found: &StoredOverride, applies: bool, revocation: Option<&AuditEntry>) -> String {
    match (applies, found.revoked_at, found.expires_at) {
        (true, _, Some(end)) => format!("until {}", timestamp(end)),
        (true, _, None) => "until it is revoked".to_owned(),
        // The next override of a wallet sets `revoked_at` of an expired one to its end.
        (false, Some(at), Some(end)) if at == end => format!("expired {}", timestamp(end)),
        (false, Some(at), _) => match revocation {
            Some(entry) => format!(
                "revoked {} by {}: {};",
                timestamp(at),
                printable(&operator(entry)),
                printable(entry.reason.as_deref().unwrap_or_default())
            ),
            None => format!("revoked {}", timestamp(at)),
        },
        (false, None, Some(end)) => format!("expired {}", timestamp(end)),
        (false, None, None) => "ended".to_owned(),
    }
}
