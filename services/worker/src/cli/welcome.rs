//! `arrakis-worker welcome`.

use std::process::ExitCode;

use anyhow::Context as _;
use arrakis_config::Secret;
use arrakis_db::{Actor, GuildId, NewAuditEntry};
use clap::Args;
use serde_json::json;

use super::database::{connect, database_url};
use super::output::report;
use super::with_config;

/// Which channel welcomes the members of a server.
#[derive(Debug, Args)]
pub(super) struct WelcomeTask {
    /// Id of the Discord server
    guild: u64,
    /// Id of the channel in which members without a verified wallet are welcomed
    #[arg(long, required_unless_present = "off", value_parser = clap::value_parser!(u64).range(1..=i64::MAX.unsigned_abs()))]
    channel: Option<u64>,
    /// Welcome no members
    #[arg(long, conflicts_with = "channel")]
    off: bool,
    /// Who you are, for the audit log
    #[arg(long)]
    by: String,
}

impl WelcomeTask {
    pub(super) fn run(self) -> ExitCode {
        with_config(database_url, |url| self.store(url))
    }

    async fn store(self, url: Secret) -> anyhow::Result<ExitCode> {
        let database = connect(&url).await?;
        let guild = GuildId::new(self.guild).context("the id of the server")?;
        let community = database.route(guild).await?;
        let community = community.with_context(|| format!("the server {guild} has no community"))?;
        let mut tx = database.tenant(community).await?;
        tx.communities().set_welcome_channel(self.channel).await?;
        tx.audit(&NewAuditEntry {
            actor: Actor::Operator(self.by),
            action: "community.welcome",
            subject: &guild.to_string(),
            reason: None,
            detail: json!({"channel": self.channel.map(|channel| channel.to_string())}),
        })
        .await?;
        tx.commit().await?;
        report(match self.channel {
            Some(_) => "members who join without a verified wallet are welcomed from now on",
            None => "no members are welcomed from now on",
        });
        Ok(ExitCode::SUCCESS)
    }
}
