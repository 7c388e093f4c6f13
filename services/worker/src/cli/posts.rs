//! `arrakis-worker posts`.

use std::process::ExitCode;

use anyhow::Context as _;
use arrakis_config::Secret;
use arrakis_db::{Actor, GuildId, NewAuditEntry, PostKind};
use clap::{ArgAction, Args};
use serde_json::json;

use super::database::{community_of, connect, database_url};
use super::output::report;
use super::with_config;

/// Which posts a server has.
#[derive(Debug, Args)]
pub(super) struct PostsTask {
    /// Id of the Discord server
    #[arg(value_name = "SERVER_ID")]
    guild: u64,
    #[command(flatten)]
    switches: Switches,
    /// Who you are, for the audit log
    #[arg(long, value_name = "NAME")]
    by: String,
}

/// The posts that are switched.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Switches {
    /// A post to switch on: leaderboard, arrivals or digest; may be given several times
    #[arg(long, value_name = "POST", action = ArgAction::Append)]
    on: Vec<PostKind>,
    /// A post to switch off; may be given several times
    #[arg(long, value_name = "POST", action = ArgAction::Append)]
    off: Vec<PostKind>,
}

impl PostsTask {
    pub(super) fn run(self) -> ExitCode {
        with_config(database_url, |url| self.store(url))
    }

    async fn store(self, url: Secret) -> anyhow::Result<ExitCode> {
        let database = connect(&url).await?;
        let guild = GuildId::new(self.guild).context("the id of the server")?;
        let community = community_of(&database, guild).await?;
        let Switches { on, off } = &self.switches;
        let on = on.iter().map(|post| (*post, true));
        let changes: Vec<(PostKind, bool)> = on.chain(off.iter().map(|post| (*post, false))).collect();
        let mut tx = database.tenant(community).await?;
        for (post, enabled) in &changes {
            tx.posts().set_enabled(*post, *enabled).await?;
            tx.audit(&NewAuditEntry {
                actor: Actor::Operator(self.by.clone()),
                action: "community.post",
                subject: post.as_str(),
                reason: None,
                detail: json!({"enabled": enabled}),
            })
            .await?;
        }
        tx.commit().await?;
        for (post, enabled) in changes {
            let state = if enabled { "on" } else { "off" };
            report(format_args!("{}: {state}", post.as_str()));
        }
        Ok(ExitCode::SUCCESS)
    }
}
