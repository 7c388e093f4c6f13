//! `arrakis-worker unfreeze`: ends a freeze that nothing else ends, such as that of a teardown whose checkpoints have expired.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use arrakis_config::Secret;
use arrakis_db::{Actor, GuildId, NewAuditEntry};
use clap::Args;
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::database::{community_of, connect, database_url};
use super::output::{printable, report};
use super::with_config;
use crate::jobs::reconcile;

/// The freeze to end.
#[derive(Debug, Args)]
pub(super) struct Unfreeze {
    /// Id of the Discord server
    #[arg(value_name = "SERVER_ID")]
    guild: u64,
    /// Why
    #[arg(long, value_name = "WHY")]
    reason: String,
    /// Who you are, for the audit log
    #[arg(long, value_name = "NAME")]
    by: String,
}

impl Unfreeze {
    pub(super) fn run(self) -> ExitCode {
        with_config(database_url, |url| self.store(url))
    }

    async fn store(self, url: Secret) -> anyhow::Result<ExitCode> {
        let database = connect(&url).await?;
        let guild = GuildId::new(self.guild).context("the id of the server")?;
        let community = community_of(&database, guild).await?;
        let mut tx = database.tenant(community).await?;
        // A takeover that begins meanwhile is not ended.
        tx.communities().lock().await?;
        let record = tx.communities().get().await?;
        let record = record.with_context(|| format!("the server {guild} has no community any more"))?;
        let Some(frozen) = record.frozen else {
            bail!("the community of the server {guild} is not frozen");
        };
        if record.controlled_by.is_some() {
            bail!(
                "the community of the server {guild} was taken over: the admin who controls it ends that by /admin-takeover, an operator \
                 by `arrakis-worker end-takeover {guild} --reason WHY --by NAME`"
            );
        }
        tx.communities().set_frozen(None).await?;
        tx.audit(&NewAuditEntry {
            actor: Actor::Operator(self.by),
            action: "community.unfreeze",
            subject: &guild.to_string(),
            reason: Some(&self.reason),
            detail: json!({"frozen_for": frozen.reason, "frozen_at": frozen.at.unix_timestamp()}),
        })
        .await?;
        let job = reconcile::request(&format!("reconcile:unfreeze:{}", Uuid::now_v7()));
        tx.jobs().enqueue(&job.row(OffsetDateTime::now_utc())).await?;
        tx.commit().await?;
        report(format_args!(
            "the freeze ({}) has ended; a reconcile makes the role changes that were missed",
            printable(&frozen.reason)
        ));
        Ok(ExitCode::SUCCESS)
    }
}
