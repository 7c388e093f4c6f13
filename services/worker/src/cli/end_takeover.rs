//! `arrakis-worker end-takeover`: where the admin who controls a community after a takeover cannot end it.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use arrakis_config::Secret;
use arrakis_db::{Actor, GuildId, NewAuditEntry};
use clap::Args;
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::database::{community_of, connect, database_url};
use super::output::report;
use super::with_config;
use crate::jobs::reconcile;

/// The takeover to end.
#[derive(Debug, Args)]
pub(super) struct EndTakeover {
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

impl EndTakeover {
    pub(super) fn run(self) -> ExitCode {
        with_config(database_url, |url| self.store(url))
    }

    async fn store(self, url: Secret) -> anyhow::Result<ExitCode> {
        let database = connect(&url).await?;
        let guild = GuildId::new(self.guild).context("the id of the server")?;
        let community = community_of(&database, guild).await?;
        let mut tx = database.tenant(community).await?;
        let record = tx.communities().get().await?;
        let Some(controller) = record.and_then(|record| record.controlled_by) else {
            bail!("the community of the server {guild} was not taken over");
        };
        tx.communities().set_frozen(None).await?;
        tx.audit(&NewAuditEntry {
            actor: Actor::Operator(self.by),
            action: "community.takeover_end",
            subject: &controller.to_string(),
            reason: Some(&self.reason),
            detail: json!({}),
        })
        .await?;
        let job = reconcile::request(&format!("reconcile:takeover:{}", Uuid::now_v7()));
        tx.jobs().enqueue(&job.row(OffsetDateTime::now_utc())).await?;
        tx.commit().await?;
        report("the takeover has ended; a reconcile makes the role changes that were missed");
        Ok(ExitCode::SUCCESS)
    }
}
