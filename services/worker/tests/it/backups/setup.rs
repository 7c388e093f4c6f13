//! The store of a test, and what a worker needs to use it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrakis_config::{Reader, Service, Source};
use arrakis_db::BackupRun;
use arrakis_domain::Plan;
use arrakis_iac::model::Snowflake;
use arrakis_iac::state::State;
use arrakis_iac_apply::store::{Backend as _, LockHolder, RemoteStore, ServerMarker, WorkspaceName};
use arrakis_telemetry::Metrics;
use arrakis_test_support::eventually;
use arrakis_vault::{FolderStore, ObjectStore, RecordKind, ServerId, Task, Vault};
use arrakis_worker::jobs::backup::{RunSummary, run_due};
use arrakis_worker::scheduled_backup::{BackupConfig, Backups};
use arrakis_worker::services::Services;
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use twilight_model::id::Id;

use crate::platform::Platform;

/// A folder with the store, the second store, and the key that signs backups and snapshots.
pub struct BackupFolder(TempDir);

impl BackupFolder {
    pub fn create() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn store(&self) -> PathBuf {
        self.0.path().join("store")
    }

    pub fn second(&self) -> PathBuf {
        self.0.path().join("second")
    }

    pub fn signing_key(&self) -> PathBuf {
        self.0.path().join("backup-signing-key.pem")
    }

    /// What scheduled backups need of the environment of a worker.
    pub fn variables(&self, platform: &Platform) -> Vec<(&'static str, String)> {
        vec![
            ("BACKUP_STORE", format!("file://{}", self.store().display())),
            ("BACKUP_SIGNING_KEY", self.signing_key().display().to_string()),
            ("DISCORD_API_BASE", platform.emulator.addresses().rest.clone()),
        ]
    }

    /// The environment of a worker with these backups.
    pub fn environment(&self, platform: &Platform) -> Vec<(&'static str, String)> {
        let mut environment = platform.environment();
        environment.extend(self.variables(platform));
        environment
    }

    /// The services of a worker with these backups, and further variables.
    pub async fn services(&self, platform: &Platform, more: &[(&'static str, String)]) -> Services {
        let mut variables = self.variables(platform);
        variables.extend_from_slice(more);
        let read = Reader::load(Service::Worker, Source::pairs(variables), BackupConfig::read);
        let backups = Backups::open(&read.unwrap().unwrap()).await.unwrap();
        Services {
            backups: Some(backups),
            ..platform.services(&Metrics::new())
        }
    }
}

pub fn server(platform: &Platform) -> ServerId {
    platform.community.guild.parse().unwrap()
}

pub fn vault(services: &Services) -> &Vault {
    services.backups.as_ref().unwrap().vault()
}

/// Sets the plan of the community, whose theme stays in use.
pub async fn set_plan(platform: &Platform, plan: Plan) {
    let grace = (plan == Plan::Free).then(|| OffsetDateTime::now_utc() + time::Duration::days(300));
    let mut tx = platform.tenant().await;
    tx.communities().set_plan(plan, Plan::Premium, grace).await.unwrap();
    tx.commit().await.unwrap();
}

/// Moves Discord's clock, by which workers compute what is due, and waits until these services have measured it.
pub async fn advance(platform: &Platform, services: &Services, by: Duration) {
    let clock = platform.control.advance(by).await.unwrap();
    let ahead = i64::try_from(clock.ahead_ms).unwrap();
    let is_measured = || async {
        services.discord.bulk(None).probe().await.unwrap();
        let measured = services.discord.clock_offset_ms().unwrap_or_default();
        (measured - ahead).abs() < 2_000
    };
    eventually(is_measured, "Discord's clock to be measured").await;
}

/// Discord's time as these services measure it.
pub fn now(services: &Services) -> OffsetDateTime {
    let offset = services.discord.clock_offset_ms().unwrap_or_default();
    OffsetDateTime::now_utc() + time::Duration::milliseconds(offset)
}

/// Moves the clock to the next time at this hour and minute UTC.
pub async fn advance_to(platform: &Platform, services: &Services, hour: u8, minute: u8) {
    advance(platform, services, Duration::ZERO).await;
    let now = now(services);
    let mut wanted = now.replace_time(time::Time::from_hms(hour, minute, 0).unwrap());
    if wanted <= now {
        wanted += time::Duration::DAY;
    }
    advance(platform, services, (wanted - now).unsigned_abs()).await;
}

/// Runs everything that is due, in this process.
pub async fn run(services: &Services) -> RunSummary {
    let stop = CancellationToken::new();
    run_due(services, &stop).await.unwrap()
}

/// Writes the state of the server with gaib's own store, as an apply does.
pub async fn write_state(platform: &Platform, folder: &BackupFolder, state: &mut State) {
    let guild: u64 = platform.community.guild.parse().unwrap();
    state.guild_id = Snowflake::new(guild);
    let objects: Arc<dyn ObjectStore> = Arc::new(FolderStore::new(folder.store()));
    let local = tempfile::tempdir().unwrap();
    let store = RemoteStore::new(objects, local.path(), "test");
    let holder = LockHolder {
        who: "stilgar".to_owned(),
        host: "test".to_owned(),
        operation: "apply".to_owned(),
    };
    let mut lock = store.lock(&WorkspaceName::default(), &holder).await.unwrap();
    lock.write(&state.advance()).await.unwrap();
    let base = reqwest::Url::parse(&platform.emulator.addresses().rest).unwrap();
    let discord = format!("{}:{}", base.host_str().unwrap(), base.port().unwrap());
    let server = store.servers(&discord).lock(guild, lock.record()).await.unwrap();
    let marker = ServerMarker::new("default", "state.json", state.lineage.clone());
    server.claim(&marker).await.unwrap();
    server.unlock().await.unwrap();
    lock.release().await.unwrap();
}

/// Removes the state, as after a migration to another backend.
pub fn remove_state(folder: &BackupFolder) {
    std::fs::remove_dir_all(folder.store().join("workspaces")).unwrap();
}

/// The number of listed backups or snapshots, which all pass their checks.
pub async fn listed(platform: &Platform, services: &Services, kind: RecordKind) -> usize {
    let (vault, server) = (vault(services), server(platform));
    let page = vault.list(server, kind, 1_000, None, now(services)).await.unwrap();
    for record in &page.records {
        vault.verify(record).await.unwrap();
    }
    assert_eq!(page.damaged, []);
    page.records.len()
}

/// The number of exports, which are all signed and pass their checks.
pub async fn exports(platform: &Platform, services: &Services) -> usize {
    let (vault, server) = (vault(services), server(platform));
    let exports = vault.exports(server).await.unwrap();
    for export in &exports {
        let read = vault.read_export(server, &export.key).await.unwrap();
        assert!(read.is_signed(), "{}", export.key);
    }
    exports.len()
}

/// The last run of a task.
pub async fn last_run(platform: &Platform, task: Task) -> Option<BackupRun> {
    let runs = platform.tenant().await.backup_runs().all().await.unwrap();
    runs.into_iter().find(|run| run.task == task.as_str())
}

/// Gives the member a role of the theme's.
pub async fn assign(platform: &Platform, services: &Services, member: &str, role: &str) {
    let (guild, user, role) = (
        platform.community.guild.parse().unwrap(),
        Id::new(platform.community.user_id(member).get()),
        platform.community.roles[role].parse().unwrap(),
    );
    let calls = services.discord.bulk(None);
    calls.assign_role(guild, user, role, None, "a test").await.unwrap();
}
