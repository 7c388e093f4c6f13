//! `arrakis-worker audit`: prints audit entries.

use std::process::ExitCode;

use arrakis_config::Secret;
use arrakis_db::{Actor, AuditEntry, GuildId};
use clap::Args;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::database::{community_of, connect, database_url};
use super::output::{print, print_json, printable, report};
use super::with_config;

/// Which audit entries are printed.
#[derive(Debug, Args)]
pub(super) struct AuditTask {
    #[command(flatten)]
    log: Log,
    /// Only entries from this time on, such as `2026-11-30T12:00:00Z`
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<OffsetDateTime>,
    /// Number of the newest entries that are read
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// The audit log of a community, or the platform's.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Log {
    /// The log of the community of this Discord server
    #[arg(long, value_name = "SERVER_ID")]
    guild: Option<GuildId>,
    /// The log of changes without a community
    #[arg(long)]
    platform: bool,
}

fn moment(text: &str) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(text, &Rfc3339).map_err(|_| "write a time as in 2026-11-21T06:00:00Z".to_owned())
}

impl AuditTask {
    pub(super) fn run(self) -> ExitCode {
        with_config(database_url, |url| self.list(url))
    }

    async fn list(self, url: Secret) -> anyhow::Result<ExitCode> {
        let mut entries = self.read(&url).await?;
        if let Some(since) = self.since {
            entries.retain(|entry| entry.at >= since);
        }
        for entry in &entries {
            if self.json {
                print_json(&as_json(entry))?;
            } else {
                print(summary(entry))?;
            }
        }
        if entries.is_empty() {
            report("no entries");
        } else if u32::try_from(entries.len()) == Ok(self.limit) {
            report(format_args!(
                "these are the newest {}; --limit N prints more",
                self.limit
            ));
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The newest entries of the log, newest first.
    async fn read(&self, url: &Secret) -> anyhow::Result<Vec<AuditEntry>> {
        let database = connect(url).await?;
        let Some(guild) = self.log.guild else {
            let mut tx = database.global().await?;
            let entries = tx.platform_audit_entries(self.limit).await?;
            tx.commit().await?;
            return Ok(entries);
        };
        let mut tx = database.tenant(community_of(&database, guild).await?).await?;
        let entries = tx.audit_entries(self.limit).await?;
        tx.commit().await?;
        Ok(entries)
    }
}

/// Kind and name of an actor.
fn actor(entry: &AuditEntry) -> (&'static str, String) {
    match &entry.actor {
        Actor::Member(user) => ("member", user.to_string()),
        Actor::Operator(name) => ("operator", name.clone()),
        Actor::System(part) => ("system", part.clone()),
    }
}

fn timestamp(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_else(|_| at.to_string())
}

fn as_json(entry: &AuditEntry) -> Value {
    let (kind, name) = actor(entry);
    json!({
        "at": timestamp(entry.at),
        "actor_kind": kind,
        "actor": name,
        "action": entry.action,
        "subject": entry.subject,
        "reason": entry.reason,
        "detail": entry.detail,
    })
}

/// One line: the texts of others have no effect on a terminal.
fn summary(entry: &AuditEntry) -> String {
    let (kind, name) = actor(entry);
    let reason = entry.reason.as_deref().map(|reason| format!("  reason: {reason}"));
    printable(&format!(
        "{}  {kind} {name}  {}  {}{}  {}",
        timestamp(entry.at),
        entry.action,
        entry.subject,
        reason.unwrap_or_default(),
        entry.detail
    ))
}
