//! `arrakis-worker plan` and `arrakis-worker theme`: the subscription plan and the theme of a community.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use arrakis_config::{Reader, Secret, variables};
use arrakis_contracts::JobKind;
use arrakis_db::{Actor, Community, Database, GuildId, PlanChange, THEME_GRACE, TenantTx};
use arrakis_domain::{Plan, Theme};
use arrakis_themes::Registry;
use clap::Args;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::database::{community_of, connect, database_url};
use super::output::report;
use super::with_config;
use crate::jobs::reconcile::theme_grace;
use crate::theme_change::ThemeChange;

/// What both tasks read from the environment.
struct TaskConfig {
    database_url: Secret,
    themes_dir: Option<PathBuf>,
}

fn read_config(reader: &mut Reader) -> Option<TaskConfig> {
    let database_url = database_url(reader);
    let themes_dir = reader.optional(&variables::THEMES_DIR);
    Some(TaskConfig {
        database_url: database_url?,
        themes_dir: themes_dir?,
    })
}

/// The plan of a community.
#[derive(Debug, Args)]
pub(super) struct PlanTask {
    /// Id of the Discord server
    #[arg(value_name = "SERVER_ID")]
    guild: u64,
    /// The plan: `free` or `premium`
    plan: Plan,
    /// Days for which a theme stays in use that the plan does not include
    #[arg(long, value_name = "DAYS", default_value_t = THEME_GRACE.whole_days(), value_parser = clap::value_parser!(i64).range(0..=366))]
    grace_days: i64,
    /// Who you are, for the audit log
    #[arg(long, value_name = "NAME")]
    by: String,
}

impl PlanTask {
    pub(super) fn run(self) -> ExitCode {
        with_config(read_config, |config| self.store(config))
    }

    async fn store(self, config: TaskConfig) -> anyhow::Result<ExitCode> {
        let themes = Registry::load(config.themes_dir.as_deref())?;
        let database = connect(&config.database_url).await?;
        let (mut tx, record) = community(&database, self.guild).await?;
        let theme = themes.theme(record.theme.as_str())?;
        let change = PlanChange {
            plan: self.plan,
            theme,
            grace: Some(Duration::days(self.grace_days)),
            actor: Actor::Operator(self.by),
            reason: None,
            now: OffsetDateTime::now_utc(),
        };
        let changed = tx.change_plan(change).await?;
        if let Some(until) = changed.theme_until {
            // The leader publishes it.
            let messages = theme_grace::begun(&theme.id, until);
            tx.jobs().enqueue(&messages.row(OffsetDateTime::now_utc())).await?;
        }
        tx.commit().await?;
        report(match changed.theme_until {
            None => format!("the plan is {}; it includes the theme {}", self.plan, theme.id),
            Some(until) => format!(
                "the plan is {}; the theme {} is of the plan {} and stays in use until {until}, then another one takes its place; the admins get a direct message",
                self.plan, theme.id, theme.plan
            ),
        });
        Ok(ExitCode::SUCCESS)
    }
}

/// The theme of a community.
#[derive(Debug, Args)]
pub(super) struct ThemeTask {
    /// Id of the Discord server
    #[arg(value_name = "SERVER_ID")]
    guild: u64,
    /// Id of the theme; its default rule set is used
    theme: String,
    /// Who you are, for the audit log
    #[arg(long, value_name = "NAME")]
    by: String,
}

impl ThemeTask {
    pub(super) fn run(self) -> ExitCode {
        with_config(read_config, |config| self.store(config))
    }

    async fn store(self, config: TaskConfig) -> anyhow::Result<ExitCode> {
        let themes = Registry::load(config.themes_dir.as_deref())?;
        let to = themes.theme(&self.theme).map_err(|error| {
            let ids: Vec<&str> = themes.all().map(|theme| theme.id.as_str()).collect();
            anyhow!("{error}; the themes are {}", ids.join(", "))
        })?;
        let database = connect(&config.database_url).await?;
        let (mut tx, record) = community(&database, self.guild).await?;
        check(&record, to)?;
        let change = ThemeChange {
            from: themes.theme(record.theme.as_str()).ok().map(|theme| &**theme),
            to,
            rule_set: &to.default_rules,
            actor: Actor::Operator(self.by),
            reason: None,
            now: OffsetDateTime::now_utc(),
        };
        let job = change.store(&mut tx, &format!("theme:{}", Uuid::now_v7())).await?;
        tx.commit().await?;
        let follows = match job.kind {
            JobKind::Synthesis => "creates the roles of the theme; then the members' roles change",
            _ => {
                "changes the members' roles; roles of the theme that the server does not have are reported as broken until \
                 /onboard creates them"
            }
        };
        report(format_args!("the theme is {}; the job {} {follows}", to.id, job.id));
        Ok(ExitCode::SUCCESS)
    }
}

/// Refuses a theme that the plan does not include, one that is in use, and a frozen community.
fn check(record: &Community, to: &Theme) -> anyhow::Result<()> {
    if !record.plan.includes(to) {
        bail!(
            "the theme {} is of the plan {}, and the plan of the community is {}; `arrakis-worker plan` changes it",
            to.id,
            to.plan,
            record.plan
        );
    }
    if record.theme == to.id {
        bail!("the theme of the community is {} already", to.id);
    }
    if let Some(frozen) = &record.frozen {
        bail!(
            "the community is frozen ({}): its roles would not follow",
            frozen.reason
        );
    }
    Ok(())
}

/// The community of a server, locked against changes by others, with the transaction.
async fn community(database: &Database, guild: u64) -> anyhow::Result<(TenantTx, Community)> {
    let guild = GuildId::new(guild).context("the id of the server")?;
    let id = community_of(database, guild).await?;
    let mut tx = database.tenant(id).await?;
    tx.communities().lock().await?;
    let record = tx.communities().get().await?;
    let record = record.with_context(|| format!("the server {guild} has no community"))?;
    Ok((tx, record))
}
