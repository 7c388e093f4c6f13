//! `arrakis-worker configurations history|show|verify|drift|record|rebuild`: versions of the configurations of communities in the object store.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use arrakis_config::{BackupSettings, Reader, Secret, SigningSettings, variables};
use arrakis_db::{CommunityId, ConfigurationVersion, Database, GuildId, RunningConfiguration, TenantTx, VersionCause};
use arrakis_themes::Registry;
use arrakis_vault::open_store;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::database::{connect, database_url};
use super::output::{counted, print, print_json, printable, report};
use super::signer::{open_signer, remember_public_keys};
use super::with_config;
use crate::configuration::{self, Shadow, ShadowStore};
use crate::configuration_rebuild::{Rebuild, Rebuilt};
use crate::reconcile_report::ReconcileReport;

/// The subcommands of `configurations`. All require `BACKUP_STORE`, and all but `history` and `show` require `DATABASE_URL`.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigurationsTask {
    /// Lists the versions of a server's configuration in the object store, the newest first
    History {
        /// Id of the Discord server
        guild: GuildId,
        /// How many
        #[arg(long, default_value_t = 20)]
        limit: usize,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Prints a version from the object store, after a check of its checksum
    Show {
        /// Id of the Discord server
        guild: GuildId,
        /// Number of the version; default: the newest
        #[arg(long)]
        version: Option<u32>,
    },
    /// Compares the newest versions in the database with the object store; exit code 1 when one differs or is damaged, or the store has a foreign object
    Verify(Servers),
    /// Prints how the configuration, its newest version in the store, and the server differ
    ///
    /// The server is compared as of its last reconcile; `/reconcile` makes one.
    Drift {
        /// Id of the Discord server
        guild: GuildId,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Records the present configuration as the newest version, also over a newer one in the store, and writes it to the store
    Record {
        /// Id of the Discord server
        guild: GuildId,
        /// Who you are
        #[arg(long, value_name = "NAME")]
        by: String,
    },
    /// Creates the communities that a lost database had, from the object store; communities that exist are not changed
    ///
    /// With `BACKUP_SIGNING_KEY` or `SIGNER=transit`, only versions are used that this key or one of `BACKUP_TRUSTED_KEYS` has signed.
    Rebuild {
        #[command(flatten)]
        servers: Servers,
        /// Print what would be created, and write nothing
        #[arg(long)]
        dry_run: bool,
        /// Who you are, for the audit log
        #[arg(long, value_name = "NAME")]
        by: String,
    },
}

/// The servers of a task.
#[derive(Debug, Args)]
pub(super) struct Servers {
    /// Ids of Discord servers; all without one
    guilds: Vec<GuildId>,
}

/// What the tasks read from the environment.
struct TaskConfig {
    /// Of a task that needs the database.
    database_url: Option<Secret>,
    backups: Option<BackupSettings>,
    signing: Option<SigningSettings>,
    themes_dir: Option<PathBuf>,
}

impl ConfigurationsTask {
    pub(super) fn run(self) -> ExitCode {
        let needs_database = !matches!(self, Self::History { .. } | Self::Show { .. });
        let read = move |reader: &mut Reader| {
            let database_url = match needs_database {
                true => database_url(reader).map(Some),
                false => Some(None),
            };
            let backups = reader.backups(None);
            let signing = reader.signing();
            let themes_dir = reader.optional(&variables::THEMES_DIR);
            Some(TaskConfig {
                database_url: database_url?,
                backups: backups?,
                signing: signing?,
                themes_dir: themes_dir?,
            })
        };
        with_config(read, |config| self.run_with(config))
    }

    async fn run_with(self, config: TaskConfig) -> anyhow::Result<ExitCode> {
        let settings = config.backups.as_ref().context("BACKUP_STORE is not set")?;
        let store = open_store(settings).await.context("BACKUP_STORE")?;
        let mut shadows = ShadowStore::new(store.clone());
        if let Some(signing) = &config.signing {
            let signer = open_signer(signing)?;
            remember_public_keys(store, signer.clone()).await;
            shadows = shadows.signed_by(signer);
        }
        let themes = Registry::load(config.themes_dir.as_deref())?;
        match self {
            Self::History { guild, limit, json } => history(&shadows, guild, limit, json).await,
            Self::Show { guild, version } => show(&shadows, guild, version).await,
            Self::Verify(servers) => {
                let database = open(&config).await?;
                verify(&database, &shadows, &servers.guilds).await
            }
            Self::Drift { guild, json } => {
                let database = open(&config).await?;
                drift(&database, &shadows, &themes, (guild, json)).await
            }
            Self::Record { guild, by } => {
                let database = open(&config).await?;
                record(&database, &shadows, &themes, (guild, &by)).await
            }
            Self::Rebuild { servers, dry_run, by } => {
                let database = open(&config).await?;
                let rebuild = Rebuild {
                    database: &database,
                    shadows: &shadows,
                    themes: &themes,
                    by: &by,
                    dry_run,
                    now: OffsetDateTime::now_utc(),
                };
                rebuild_all(&rebuild, &servers.guilds).await
            }
        }
    }
}

async fn open(config: &TaskConfig) -> anyhow::Result<Database> {
    let url = config.database_url.as_ref().context("DATABASE_URL is not set")?;
    Ok(connect(url).await?)
}

async fn history(shadows: &ShadowStore, guild: GuildId, limit: usize, json: bool) -> anyhow::Result<ExitCode> {
    let versions = shadows.versions(guild).await?;
    let mut exit = ExitCode::SUCCESS;
    for version in versions.iter().take(limit) {
        match shadows.read(guild, *version).await {
            Ok(shadow) if json => print_json(&as_json(&shadow))?,
            Ok(shadow) => print(line(&shadow))?,
            Err(error) if error.is_of_store() => return Err(error.into()),
            Err(error) => {
                exit = ExitCode::FAILURE;
                match json {
                    true => print_json(&json!({"version": version, "error": error.to_string()}))?,
                    false => print(format_args!("{version}  {error}"))?,
                }
            }
        }
    }
    report(format_args!("{} in the store", counted(versions.len(), "version")));
    Ok(exit)
}

fn as_json(shadow: &Shadow) -> Value {
    json!({
        "version": shadow.version,
        "cause": shadow.cause,
        "recorded_by": shadow.recorded_by,
        "recorded_at": moment(shadow.recorded_at),
        "checksum": shadow.checksum().to_string(),
    })
}

fn line(shadow: &Shadow) -> String {
    format!(
        "{}  {}  {} by {}  {}",
        shadow.version,
        moment(shadow.recorded_at),
        shadow.cause,
        printable(&shadow.recorded_by),
        shadow.checksum()
    )
}

fn moment(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_else(|_| at.to_string())
}

async fn show(shadows: &ShadowStore, guild: GuildId, version: Option<u32>) -> anyhow::Result<ExitCode> {
    let shadow = match version {
        Some(version) => shadows.read(guild, version).await?,
        None => shadows
            .latest(guild)
            .await?
            .context("the server has no version in the store")?,
    };
    let content: Value = serde_json::from_str(&shadow.content)?;
    print_json(&content)?;
    report(line(&shadow));
    Ok(ExitCode::SUCCESS)
}

/// The communities of these servers; all without one.
async fn communities(database: &Database, guilds: &[GuildId]) -> anyhow::Result<Vec<(GuildId, CommunityId)>> {
    let routes = database.routes().await?;
    if let Some(unknown) = guilds
        .iter()
        .find(|guild| routes.iter().all(|(known, _)| known != *guild))
    {
        bail!("the server {unknown} has no community");
    }
    let is_selected = |guild: &GuildId| guilds.is_empty() || guilds.contains(guild);
    Ok(routes.into_iter().filter(|(guild, _)| is_selected(guild)).collect())
}

async fn community(database: &Database, guild: GuildId) -> anyhow::Result<CommunityId> {
    let found = communities(database, &[guild]).await?;
    let (_, community) = found.first().context("the server has no community")?;
    Ok(*community)
}

async fn verify(database: &Database, shadows: &ShadowStore, guilds: &[GuildId]) -> anyhow::Result<ExitCode> {
    let communities = communities(database, guilds).await?;
    let mut problems = 0_u32;
    for (guild, community) in &communities {
        if let Some(problem) = configuration::compare(database, shadows, *guild, *community).await? {
            problems += 1;
            print(format_args!("server {guild}: {problem}"))?;
        }
        for object in configuration::foreign_objects(database, shadows, *guild, *community).await? {
            problems += 1;
            print(format_args!(
                "server {guild}: {} is a foreign object, and no version of the configuration; delete it",
                printable(&object)
            ))?;
        }
    }
    report(format_args!(
        "{} compared, {}",
        counted(communities.len(), "server"),
        counted(problems, "problem")
    ));
    report_unverified(shadows);
    Ok(if problems == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The last reconcile has compared the server; the settings are compared now.
async fn drift(
    database: &Database,
    shadows: &ShadowStore,
    themes: &Registry,
    (guild, json): (GuildId, bool),
) -> anyhow::Result<ExitCode> {
    let community = community(database, guild).await?;
    let shadow = shadows
        .latest(guild)
        .await?
        .context("the server has no version in the store")?;
    let stored = RunningConfiguration::from_json(&shadow.content).map_err(anyhow::Error::msg)?;
    let mut tx = database.tenant(community).await?;
    let desired = running(&mut tx, themes).await?;
    let reconciled = tx.reconcile_reports().latest().await?;
    tx.commit().await?;
    let settings = configuration::changed_settings(&desired.configuration, &stored.configuration);
    let reconciled = reconciled.map(|report| (report.finished_at, ReconcileReport::read(&report.report)));
    let drift = reconciled
        .as_ref()
        .and_then(|(_, report)| Some(&report.as_ref()?.drift));
    let at = reconciled.as_ref().map(|(at, _)| moment(*at));
    if json {
        print_json(&json!({"version": shadow.version, "settings": settings, "reconciled_at": at, "server": drift}))?;
        return Ok(ExitCode::SUCCESS);
    }
    print(format_args!("version {} in the store", shadow.version))?;
    print(match settings.is_empty() {
        true => "the settings are the same".to_owned(),
        false => format!("settings that differ: {}", settings.join(", ")),
    })?;
    let server = drift.map(serde_json::to_string).transpose()?;
    print(format_args!(
        "the server, as of the reconcile {}: {}",
        at.as_deref().unwrap_or("that has not run"),
        server.as_deref().unwrap_or("not compared")
    ))?;
    Ok(ExitCode::SUCCESS)
}

async fn running(tx: &mut TenantTx, themes: &Registry) -> anyhow::Result<RunningConfiguration> {
    let record = tx.communities().get().await?.context("the community does not exist")?;
    let theme = themes.theme(record.theme.as_str()).ok();
    Ok(tx.running_configuration(&record, theme.map(|theme| &**theme)).await?)
}

/// Versions that the store does not have are dropped: it may have others of these numbers. So are rows above the largest number, after which no
/// change could be recorded.
async fn record(
    database: &Database,
    shadows: &ShadowStore,
    themes: &Registry,
    (guild, by): (GuildId, &str),
) -> anyhow::Result<ExitCode> {
    let community = community(database, guild).await?;
    let now = OffsetDateTime::now_utc();
    // The store is read before the community is locked: it may respond slowly. The versions that are dropped below do not count.
    let mut tx = database.tenant(community).await?;
    tx.configuration_versions().delete_unshadowed().await?;
    let known = tx.configuration_versions().newest().await?;
    tx.rollback().await?;
    let next = shadows.next_number(guild, known).await?;
    let mut tx = database.tenant(community).await?;
    tx.communities().lock().await?;
    tx.configuration_versions().delete_unshadowed().await?;
    let cause = VersionCause {
        cause: "operator",
        by,
        at: now,
    };
    configuration::record_above(&mut tx, themes, cause, next - 1).await?;
    let latest = tx.configuration_versions().latest().await?;
    tx.commit().await?;
    let latest = latest.context("the community has no version")?;
    write(database, shadows, (guild, community), &latest, now).await?;
    report(format_args!(
        "version {} is the newest, in the database and in the store",
        latest.version
    ));
    if !shadows.verifies_signatures() {
        report(
            "BACKUP_SIGNING_KEY is not set: the version has no signature, and workers that have a key report it as damaged",
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// States that checksums alone were verified, where no key is configured.
fn report_unverified(shadows: &ShadowStore) {
    if !shadows.verifies_signatures() {
        report(
            "BACKUP_SIGNING_KEY is not set: the signatures of versions were not verified, only their checksums, which anyone who can write to \
             the store can make",
        );
    }
}

async fn write(
    database: &Database,
    shadows: &ShadowStore,
    (guild, community): (GuildId, CommunityId),
    version: &ConfigurationVersion,
    now: OffsetDateTime,
) -> anyhow::Result<()> {
    shadows.write(guild, version).await?;
    let mut tx = database.tenant(community).await?;
    tx.configuration_versions().mark_shadowed(version.version, now).await?;
    tx.commit().await?;
    Ok(())
}

async fn rebuild_all(rebuild: &Rebuild<'_>, guilds: &[GuildId]) -> anyhow::Result<ExitCode> {
    let servers = match guilds {
        [] => rebuild.shadows.servers().await?,
        guilds => guilds.to_vec(),
    };
    let (mut created, mut failed) = (0, 0);
    for server in &servers {
        match rebuild.server(*server).await {
            Ok(Rebuilt::Exists) => print(format_args!("server {server}: its community exists"))?,
            Ok(Rebuilt::Created { version, damaged }) => {
                created += 1;
                print(format_args!("server {server}: from version {version}"))?;
                for damaged in damaged {
                    print(format_args!("server {server}: not used: {}", printable(&damaged)))?;
                }
            }
            Err(error) => {
                failed += 1;
                print(format_args!(
                    "server {server}: failed: {}",
                    printable(&format!("{error:#}"))
                ))?;
            }
        }
    }
    report_unverified(rebuild.shadows);
    let verb = if rebuild.dry_run { "would be created" } else { "created" };
    report(format_args!(
        "{} in the store: {created} {verb}, {failed} failed",
        counted(servers.len(), "server")
    ));
    if created > 0 && !rebuild.dry_run {
        report(
            "a reconcile of each creates the profiles of its members; wallets are verified again, or restored from a backup of PostgreSQL",
        );
    }
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
