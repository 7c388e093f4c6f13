//! `arrakis-worker welcome`.

use std::process::ExitCode;

use anyhow::Context as _;
use arrakis_config::Secret;
use arrakis_db::{Actor, GuildId, NewAuditEntry};
use clap::Args;
use serde_json::json;

use super::database::{community_of, connect, database_url};
use super::output::report;
use super::with_config;

/// Which channel welcomes the members of a server.
#[derive(Debug, Args)]
pub(super) struct WelcomeTask {
    /// Id of the Discord server
    #[arg(value_name = "SERVER_ID")]
    guild: u64,
    #[command(flatten)]
    welcome: Welcome,
    /// Who you are, for the audit log
    #[arg(long, value_name = "NAME")]
    by: String,
}

/// The channel, or none.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Welcome {
    /// Id of the channel in which members without a verified wallet are welcomed; it is not checked
    #[arg(long, value_name = "CHANNEL_ID", value_parser = clap::value_parser!(u64).range(1..=i64::MAX.unsigned_abs()))]
    channel: Option<u64>,
    /// Welcome no members
    #[arg(long)]
    off: bool,
}

impl WelcomeTask {
    pub(super) fn run(self) -> ExitCode {
        with_config(database_url, |url| self.store(url))
    }

    async fn store(self, url: Secret) -> anyhow::Result<ExitCode> {
        let database = connect(&url).await?;
        let guild = GuildId::new(self.guild).context("the id of the server")?;
        let community = community_of(&database, guild).await?;
        let channel = self.welcome.channel;
        let mut tx = database.tenant(community).await?;
        tx.communities().set_welcome_channel(channel).await?;
        tx.audit(&NewAuditEntry {
            actor: Actor::Operator(self.by),
            action: "community.welcome",
            subject: &guild.to_string(),
            reason: None,
            detail: json!({"channel": channel.map(|channel| channel.to_string())}),
        })
        .await?;
        tx.commit().await?;
        match channel {
            Some(channel) => report(format_args!(
                "members who join without a verified wallet are welcomed from now on; the channel {channel} was not checked: \
                 /admin-stats and `arrakis-worker audit --guild {guild}` (welcome.broken) show a welcome that Discord refuses"
            )),
            None => report("no members are welcomed from now on"),
        }
        Ok(ExitCode::SUCCESS)
    }
}
