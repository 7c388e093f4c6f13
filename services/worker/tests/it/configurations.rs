//! Versions of configurations and their shadows in an object store: recorded, written, compared, listed, and a lost database rebuilt.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrakis_db::{
    CHECKPOINT_KEPT, CheckpointPurpose, NewCheckpoint, PostKind, RunningConfiguration, ServerNames, TenantTx,
};
use arrakis_domain::{GateKey, RoleId, RoleKey, TierId};
use arrakis_telemetry::Metrics;
use arrakis_test_support::{Process, eventually, eventually_within};
use arrakis_themes::Registry;
use arrakis_vault::store::{ListedObject, ObjectHead, Tags, Version as ObjectVersion};
use arrakis_vault::{Condition, FolderStore, LocalSigner, NewObject, Object, ObjectKey, ObjectStore, StoreError};
use arrakis_worker::configuration::{ConfigurationDrift, ShadowStore};
use arrakis_worker::jobs::{self, reconcile};
use arrakis_worker::leader::ConfigurationTasks;
use arrakis_worker::reconcile_report::ReconcileReport;
use arrakis_worker::services::Services;
use arrakis_worker::synthesis::{Manifest, Structure};
use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::backups::setup::BackupFolder;
use crate::commands::services;
use crate::platform::{Platform, Worker};
use crate::profile_import::setup::{Setup, onboard, user};

/// How long a job or a process may take.
const WAIT: Duration = Duration::from_secs(60);

/// A database with a community, and a folder as the object store.
struct Shadowed {
    setup: Setup,
    services: Services,
}

impl Shadowed {
    async fn create() -> Self {
        let setup = Setup::create().await;
        let mut services = services(setup.database.clone());
        let store = FolderStore::new(setup.path("store"));
        services.shadows = Some(ShadowStore::new(Arc::new(store)));
        Self { setup, services }
    }

    /// The same with a key that signs the shadows.
    async fn signed() -> Self {
        let mut shadowed = Self::create().await;
        let signer = LocalSigner::open(&shadowed.key()).unwrap();
        let shadows = shadowed.services.shadows.take().unwrap();
        shadowed.services.shadows = Some(shadows.signed_by(Arc::new(signer)));
        shadowed
    }

    fn key(&self) -> PathBuf {
        self.setup.path("backup-signing-key.pem")
    }

    /// Runs a subcommand of `configurations` with the database of a setup and the key.
    async fn run_signed_on(&self, setup: &Setup, arguments: &[&str]) -> (i32, String) {
        let arguments = [&["configurations"][..], arguments].concat();
        let store = format!("file://{}", self.setup.path("store").display());
        let key = self.key().display().to_string();
        let variables = vec![("BACKUP_STORE", store), ("BACKUP_SIGNING_KEY", key)];
        setup.command(&arguments, variables).await
    }

    /// What the leader does as soon as it leads.
    async fn lead(&self) {
        let mut tasks = ConfigurationTasks::default();
        tasks.run(&self.services, OffsetDateTime::now_utc()).await.unwrap();
    }

    /// Path of an object of the server.
    fn object(&self, name: &str) -> PathBuf {
        self.setup.path("store").join("manifests/100").join(name)
    }

    /// Runs a subcommand of `configurations`.
    async fn run(&self, arguments: &[&str]) -> (i32, String) {
        self.run_on(&self.setup, arguments).await
    }

    /// The same with the database of another setup.
    async fn run_on(&self, setup: &Setup, arguments: &[&str]) -> (i32, String) {
        let arguments = [&["configurations"][..], arguments].concat();
        let store = format!("file://{}", self.setup.path("store").display());
        setup.command(&arguments, vec![("BACKUP_STORE", store)]).await
    }

    /// The first line of the output that is JSON.
    async fn json(&self, arguments: &[&str]) -> Value {
        let (code, text) = self.run(arguments).await;
        assert_eq!(code, 0, "{text}");
        let line = text.lines().find(|line| line.starts_with('{')).unwrap();
        serde_json::from_str(line).unwrap()
    }
}

async fn running(tx: &mut TenantTx) -> RunningConfiguration {
    let themes = Registry::load(None).unwrap();
    let record = tx.communities().get().await.unwrap().unwrap();
    let theme = themes.theme(record.theme.as_str()).unwrap();
    tx.running_configuration(&record, Some(theme)).await.unwrap()
}

/// Gives the community one of everything that its configuration has.
async fn configure(setup: &Setup) {
    let mut tx = setup.tenant().await;
    let gate = GateKey::new("leaderboard").unwrap();
    tx.feature_gates()
        .set(&gate, &TierId::new("usul").unwrap(), user(9))
        .await
        .unwrap();
    tx.communities()
        .bind_role(&RoleKey::new("naib").unwrap(), RoleId(77))
        .await
        .unwrap();
    tx.communities().set_welcome_channel(Some(88)).await.unwrap();
    tx.communities().take_over(user(9), "a stolen account").await.unwrap();
    tx.posts().set_enabled(PostKind::Digest, false).await.unwrap();
    let manifest = Manifest {
        theme: "sietch".to_owned(),
        rule_set: "balance".to_owned(),
        structure: Structure::Whole,
        roles: [("naib".to_owned(), 77)].into(),
    };
    tx.manifests().put(&manifest.to_value(), "liet").await.unwrap();
    tx.server_state()
        .restore(&json!({"lineage": "x", "serial": 7}))
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_versions_in_the_store() {
    let shadowed = Shadowed::create().await;
    let setup = &shadowed.setup;
    shadowed.lead().await;
    // Nothing has changed since.
    shadowed.lead().await;
    let (code, text) = setup
        .command(&["plan", "100", "premium", "--by", "liet"], Vec::new())
        .await;
    assert_eq!(code, 0, "{text}");
    let (code, text) = setup
        .command(&["theme", "100", "basic", "--by", "liet"], Vec::new())
        .await;
    assert_eq!(code, 0, "{text}");
    let to_shadow = setup
        .rows("select version from configuration_versions where shadowed_at is null")
        .await;
    assert_eq!(
        to_shadow,
        ["2"],
        "recorded with the change, and not written by the command"
    );
    shadowed.lead().await;
    assert!(
        setup
            .rows("select version from configuration_versions where shadowed_at is null")
            .await
            .is_empty()
    );

    let (code, text) = shadowed.run(&["history", "100"]).await;
    assert_eq!(code, 0, "{text}");
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("2  ") && line.contains("  theme by liet  ")),
        "{text}"
    );
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("1  ") && line.contains("  found by arrakis-worker  ")),
        "{text}"
    );
    assert_eq!(shadowed.json(&["show", "100"]).await["configuration"]["theme"], "basic");
    assert_eq!(
        shadowed.json(&["show", "100", "--version", "1"]).await["configuration"]["theme"],
        "sietch"
    );
    let (code, text) = shadowed.run(&["verify"]).await;
    assert_eq!(code, 0, "{text}");
    let drift = shadowed.json(&["drift", "100", "--json"]).await;
    assert_eq!((&drift["version"], &drift["settings"]), (&json!(2), &json!([])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_shadow_is_reported_everywhere_and_restored_by_a_new_version() {
    let shadowed = Shadowed::create().await;
    shadowed.lead().await;
    let path = shadowed.object("1.json.gz");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    shadowed.lead().await;
    let mut tx = shadowed.setup.database.global().await.unwrap();
    let health = tx.shadow_health().await.unwrap().unwrap();
    assert_eq!((health.problem_count, health.pending), (1, 0));
    let problem = &health.problems[0];
    assert_eq!(problem.server, "100");
    assert!(problem.problem.contains("1.json.gz is damaged"), "{problem:?}");
    let entries = tx.platform_audit_entries(10).await.unwrap();
    let mismatches: Vec<_> = entries
        .iter()
        .filter(|entry| entry.action == "configuration.mismatch")
        .collect();
    assert_eq!((mismatches.len(), mismatches[0].subject.as_str()), (1, "100"));
    drop(tx);
    for arguments in [&["verify"][..], &["show", "100"], &["history", "100"]] {
        let (code, text) = shadowed.run(arguments).await;
        assert_eq!(code, 1, "{arguments:?}: {text}");
        assert!(text.contains("1.json.gz is damaged"), "{arguments:?}: {text}");
    }
    let (code, text) = shadowed.run(&["record", "100", "--by", "liet"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("version 2 is the newest"), "{text}");
    let (code, text) = shadowed.run(&["verify"]).await;
    assert_eq!(code, 0, "{text}");
    shadowed.lead().await;
    let mut tx = shadowed.setup.database.global().await.unwrap();
    assert_eq!(tx.shadow_health().await.unwrap().unwrap().problem_count, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_row_is_replaced_by_the_next_version_and_fails_no_change() {
    let shadowed = Shadowed::create().await;
    let setup = &shadowed.setup;
    let damage = "update configuration_versions set content = content || ' '";
    shadowed.lead().await;
    setup.rows(damage).await;
    let change = ["theme", "100", "basic", "--by", "liet"];
    let (code, text) = setup.command(&change, Vec::new()).await;
    assert_eq!(code, 0, "{text}");
    shadowed.lead().await;
    assert_eq!(shadowed.run(&["verify"]).await.0, 0);
    setup.rows(damage).await;
    let (code, text) = shadowed.run(&["record", "100", "--by", "liet"]).await;
    assert_eq!(code, 0, "{text}");
    let (code, text) = shadowed.run(&["verify"]).await;
    assert_eq!(code, 0, "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_that_fails_loses_no_version() {
    let shadowed = Shadowed::create().await;
    // A file where the folder should be.
    std::fs::write(shadowed.setup.path("store"), "").unwrap();
    shadowed.lead().await;
    let mut tx = shadowed.setup.database.global().await.unwrap();
    let health = tx.shadow_health().await.unwrap().unwrap();
    assert_eq!((health.pending, health.problem_count), (1, 0));
    assert!(health.error.is_some());
    drop(tx);
    std::fs::remove_file(shadowed.setup.path("store")).unwrap();
    shadowed.lead().await;
    assert!(shadowed.object("1.json.gz").exists() && shadowed.object("latest.json").exists());
}

/// A key that the store refuses, as one whose encryption key is disabled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_that_fails_for_one_server_delays_no_other_one() {
    let shadowed = Shadowed::create().await;
    onboard(&shadowed.setup.database, 200).await;
    // A file where the folder of the first server should be.
    let manifests = shadowed.setup.path("store").join("manifests");
    std::fs::create_dir_all(&manifests).unwrap();
    std::fs::write(manifests.join("100"), "").unwrap();
    shadowed.lead().await;
    assert!(manifests.join("200/1.json.gz").exists() && manifests.join("200/latest.json").exists());
    let mut tx = shadowed.setup.database.global().await.unwrap();
    let health = tx.shadow_health().await.unwrap().unwrap();
    assert_eq!((health.pending, health.problem_count), (1, 0));
    assert!(health.error.as_ref().unwrap().starts_with("server 100: "), "{health:?}");
    drop(tx);
    // A problem of the other one is found, too.
    std::fs::write(manifests.join("200/1.json.gz"), "nothing").unwrap();
    shadowed.lead().await;
    let mut tx = shadowed.setup.database.global().await.unwrap();
    let health = tx.shadow_health().await.unwrap().unwrap();
    assert_eq!((health.problem_count, health.problems[0].server.as_str()), (1, "200"));
    assert!(health.error.is_some());
    drop(tx);
    std::fs::remove_file(manifests.join("100")).unwrap();
    shadowed.lead().await;
    assert!(shadowed.object("latest.json").exists());
    let mut tx = shadowed.setup.database.global().await.unwrap();
    let health = tx.shadow_health().await.unwrap().unwrap();
    assert_eq!((health.pending, health.error), (0, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_store_is_logged_by_the_leader() {
    let platform = Platform::start().await;
    let folder = BackupFolder::create();
    std::fs::write(folder.store(), "").unwrap();
    let health = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut environment = folder.environment(&platform);
    environment.push(("HEALTH_ADDR", health.to_string()));
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_arrakis-worker"));
    let worker = Process::start_at(program, &[], environment);
    let is_logged = || async {
        let lines = worker.lines();
        lines
            .iter()
            .any(|line| line.contains("a shadow of a configuration cannot be written or read"))
    };
    eventually_within(WAIT, is_logged, "the failure of the store to be logged").await;
}

/// A store that runs `configurations record` between the read of the row and the response to the first read of the pointer.
#[derive(Debug)]
struct RecordingStore {
    store: FolderStore,
    environment: Mutex<Option<Vec<(&'static str, String)>>>,
}

#[async_trait]
impl ObjectStore for RecordingStore {
    fn describe(&self, key: &str) -> String {
        self.store.describe(key)
    }

    fn deletes_tagged(&self) -> bool {
        self.store.deletes_tagged()
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.store.check().await
    }

    async fn put(
        &self,
        key: &ObjectKey,
        object: NewObject,
        condition: &Condition,
    ) -> Result<ObjectVersion, StoreError> {
        self.store.put(key, object, condition).await
    }

    async fn get(&self, key: &ObjectKey) -> Result<Object, StoreError> {
        let environment = match key.as_str().ends_with("latest.json") {
            true => self.environment.lock().take(),
            false => None,
        };
        if let Some(environment) = environment {
            let program = std::path::Path::new(env!("CARGO_BIN_EXE_arrakis-worker"));
            let arguments = ["configurations", "record", "100", "--by", "liet"];
            let process = Process::start_at(program, &arguments, environment);
            let (status, text) = process.output(WAIT).await;
            assert!(status.success(), "{text}");
        }
        self.store.get(key).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectHead, StoreError> {
        self.store.head(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ListedObject>, StoreError> {
        self.store.list(prefix).await
    }

    async fn delete(&self, key: &ObjectKey, only: Option<&ObjectVersion>) -> Result<(), StoreError> {
        self.store.delete(key, only).await
    }

    async fn tags(&self, key: &ObjectKey) -> Result<Tags, StoreError> {
        self.store.tags(key).await
    }

    async fn set_tags(&self, key: &ObjectKey, tags: &Tags) -> Result<(), StoreError> {
        self.store.set_tags(key, tags).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn version_that_is_recorded_during_a_comparison_is_no_mismatch() {
    let mut shadowed = Shadowed::create().await;
    shadowed.lead().await;
    let folder = shadowed.setup.path("store");
    let environment = vec![
        ("DATABASE_URL", shadowed.setup.test.app_url()),
        ("BACKUP_STORE", format!("file://{}", folder.display())),
    ];
    shadowed.services.shadows = Some(ShadowStore::new(Arc::new(RecordingStore {
        store: FolderStore::new(folder),
        environment: Mutex::new(Some(environment)),
    })));
    shadowed.lead().await;
    assert!(shadowed.object("2.json.gz").exists(), "recorded during the comparison");
    let mut tx = shadowed.setup.database.global().await.unwrap();
    let health = tx.shadow_health().await.unwrap().unwrap();
    assert_eq!((health.problems, health.error), (Vec::new(), None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_that_does_not_respond_delays_no_other_task_of_the_leader() {
    let platform = Platform::start().await;
    let mut tx = platform.tenant().await;
    let record = tx.communities().get().await.unwrap().unwrap();
    let content = tx.configuration(&record, None, &ServerNames::default()).await.unwrap();
    let expired = NewCheckpoint {
        id: Uuid::from_u128(1),
        request: Uuid::from_u128(1),
        purpose: CheckpointPurpose::Manual,
        reason: None,
        by: "stilgar",
        at: OffsetDateTime::now_utc() - CHECKPOINT_KEPT,
        content: &content,
    };
    tx.checkpoints().create(&expired).await.unwrap();
    tx.commit().await.unwrap();
    // Connections are established, and no request has a response.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let health = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let folder = BackupFolder::create();
    let mut environment = folder.environment(&platform);
    environment.retain(|(name, _)| *name != "BACKUP_STORE");
    environment.extend([
        ("BACKUP_STORE", "s3://gaib-backups-1".to_owned()),
        ("AWS_ENDPOINT_URL", format!("http://{}", silent.local_addr().unwrap())),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ("HEALTH_ADDR", health.to_string()),
    ]);
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_arrakis-worker"));
    let _worker = Process::start_at(program, &[], environment);
    let is_deleted = || async {
        let entries = platform.tenant().await.audit_entries(100).await.unwrap();
        entries.iter().any(|entry| entry.action == "checkpoint.expired")
    };
    // A call of the store ends after 60 s.
    let limit = Duration::from_secs(40);
    eventually_within(limit, is_deleted, "the expired checkpoint to be deleted").await;
}

/// A database that was restored from an older backup: the store has versions that it does not know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn database_older_than_the_store_is_a_problem_until_an_operator_decides() {
    let shadowed = Shadowed::create().await;
    let setup = &shadowed.setup;
    shadowed.lead().await;
    let (code, text) = setup
        .command(&["theme", "100", "basic", "--by", "liet"], Vec::new())
        .await;
    assert_eq!(code, 0, "{text}");
    shadowed.lead().await;
    setup
        .rows(&format!(
            "delete from configuration_versions where version = 2;
         update communities set theme = 'sietch', name = 'Restored' where community_id = '{}'",
            setup.community
        ))
        .await;
    shadowed.lead().await;
    let (code, text) = shadowed.run(&["verify"]).await;
    assert_eq!(code, 1, "{text}");
    let mut tx = setup.database.global().await.unwrap();
    assert_eq!(tx.shadow_health().await.unwrap().unwrap().problem_count, 1);
    drop(tx);
    let (code, text) = shadowed.run(&["record", "100", "--by", "liet"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("version 3 is the newest"), "{text}");
    assert_eq!(
        shadowed.json(&["show", "100"]).await["configuration"]["name"],
        "Restored"
    );
    assert_eq!(shadowed.run(&["verify"]).await.0, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_database_is_rebuilt_from_the_store() {
    let shadowed = Shadowed::create().await;
    configure(&shadowed.setup).await;
    shadowed.lead().await;
    let before = running(&mut shadowed.setup.tenant().await).await;
    let lost = Setup::empty().await;

    let (code, text) = shadowed.run_on(&lost, &["rebuild", "--dry-run", "--by", "liet"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("server 100: from version 1"), "{text}");
    assert_eq!(lost.count("guild_routes").await, 0);
    let (code, text) = shadowed.run_on(&lost, &["rebuild", "--by", "liet"]).await;
    assert_eq!(code, 0, "{text}");
    let mut tx = lost.database.tenant(shadowed.setup.community).await.unwrap();
    assert_eq!(running(&mut tx).await, before);
    let record = tx.communities().get().await.unwrap().unwrap();
    assert_eq!(record.controlled_by, Some(user(9)));
    let job = format!("reconcile:rebuild:{}", shadowed.setup.community);
    assert!(tx.jobs().get(&job).await.unwrap().is_some());
    drop(tx);
    // The leader finds the version in the store, and no other one follows.
    let mut services = services(lost.database.clone());
    services.shadows = shadowed.services.shadows.clone();
    let mut tasks = ConfigurationTasks::default();
    tasks.run(&services, OffsetDateTime::now_utc()).await.unwrap();
    let versions = format!(
        "select version, shadowed_at is not null from configuration_versions where community_id = '{}'",
        shadowed.setup.community
    );
    assert_eq!(lost.rows(&versions).await, ["1|t"]);
    let (code, text) = shadowed.run_on(&lost, &["rebuild", "--by", "liet"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("server 100: its community exists"), "{text}");
}

/// A leader that was killed between a version and the pointer, in a database that is then lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rebuild_from_a_version_that_the_pointer_does_not_name_is_no_mismatch() {
    let shadowed = Shadowed::create().await;
    shadowed.lead().await;
    let pointer = std::fs::read(shadowed.object("latest.json")).unwrap();
    let change = ["theme", "100", "basic", "--by", "liet"];
    let (code, text) = shadowed.setup.command(&change, Vec::new()).await;
    assert_eq!(code, 0, "{text}");
    shadowed.lead().await;
    std::fs::write(shadowed.object("latest.json"), pointer).unwrap();
    let lost = Setup::empty().await;
    let (code, text) = shadowed.run_on(&lost, &["rebuild", "--by", "liet"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("server 100: from version 2"), "{text}");
    let mut services = services(lost.database.clone());
    services.shadows = shadowed.services.shadows.clone();
    let mut tasks = ConfigurationTasks::default();
    tasks.run(&services, OffsetDateTime::now_utc()).await.unwrap();
    let mut tx = lost.database.global().await.unwrap();
    let health = tx.shadow_health().await.unwrap().unwrap();
    assert_eq!((health.problems, health.pending), (Vec::new(), 0));
    drop(tx);
    assert_eq!(shadowed.json(&["show", "100"]).await["configuration"]["theme"], "basic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_newest_version_is_named_and_the_one_before_is_used() {
    let shadowed = Shadowed::create().await;
    let setup = &shadowed.setup;
    shadowed.lead().await;
    assert_eq!(
        setup
            .command(&["theme", "100", "basic", "--by", "liet"], Vec::new())
            .await
            .0,
        0
    );
    shadowed.lead().await;
    std::fs::write(shadowed.object("2.json.gz"), "nothing").unwrap();
    let lost = Setup::empty().await;
    let (code, text) = shadowed.run_on(&lost, &["rebuild", "100", "--by", "liet"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("server 100: from version 1"), "{text}");
    assert!(text.contains("server 100: not used: version 2: "), "{text}");
    // The configuration is recorded above the damaged version: the database is not older than the store.
    let mut services = services(lost.database.clone());
    services.shadows = shadowed.services.shadows.clone();
    let mut tasks = ConfigurationTasks::default();
    tasks.run(&services, OffsetDateTime::now_utc()).await.unwrap();
    let (code, text) = shadowed.run_on(&lost, &["verify"]).await;
    assert_eq!(code, 0, "{text}");
    let versions = lost.rows("select version, cause from configuration_versions").await;
    assert_eq!(versions, ["3|rebuild"]);
    std::fs::write(shadowed.object("3.json.gz"), "nothing").unwrap();
    std::fs::write(shadowed.object("1.json.gz"), "nothing").unwrap();
    let lost = Setup::empty().await;
    let (code, text) = shadowed.run_on(&lost, &["rebuild", "--by", "liet"]).await;
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("server 100: failed: no version in the store is intact"),
        "{text}"
    );
    assert_eq!(lost.count("guild_routes").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rebuilds_at_the_same_time_create_a_community_once() {
    let shadowed = Shadowed::create().await;
    shadowed.lead().await;
    let lost = Setup::empty().await;
    let store = format!("file://{}", shadowed.setup.path("store").display());
    let rebuild = async || {
        let variables = vec![
            ("BACKUP_STORE", store.clone()),
            ("ARRAKIS_FAIL_POINTS", "db.committing=sleep(2000)".to_owned()),
        ];
        let arguments = ["configurations", "rebuild", "--by", "liet"];
        lost.command(&arguments, variables).await
    };
    let (one, other) = tokio::join!(rebuild(), rebuild());
    assert_eq!((one.0, other.0), (0, 0), "{}\n{}", one.1, other.1);
    let created = [&one.1, &other.1];
    let created = created
        .iter()
        .filter(|text| text.contains("server 100: from version 1"));
    assert_eq!(created.count(), 1, "{}\n{}", one.1, other.1);
    assert_eq!(lost.count("communities").await, 1);
    assert_eq!(lost.count("configuration_versions").await, 1);
}

/// Two versions of the server 100, the second with the theme `basic`.
async fn two_versions(shadowed: &Shadowed) {
    shadowed.lead().await;
    let change = ["theme", "100", "basic", "--by", "liet"];
    let (code, text) = shadowed.setup.command(&change, Vec::new()).await;
    assert_eq!(code, 0, "{text}");
    shadowed.lead().await;
}

/// Whoever can write to the store can make a version with the right checksums.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn version_without_a_trusted_signature_is_reported_and_not_rebuilt() {
    let (shadowed, forger) = (Shadowed::signed().await, Shadowed::create().await);
    two_versions(&shadowed).await;
    two_versions(&forger).await;
    let (code, text) = shadowed.run_signed_on(&shadowed.setup, &["verify"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(!text.contains("were not verified"), "{text}");
    let (code, text) = shadowed.run(&["verify"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("BACKUP_SIGNING_KEY is not set: the signatures"), "{text}");

    std::fs::copy(forger.object("2.json.gz"), shadowed.object("2.json.gz")).unwrap();
    shadowed.lead().await;
    let mut tx = shadowed.setup.database.global().await.unwrap();
    let health = tx.shadow_health().await.unwrap().unwrap();
    assert_eq!(health.problem_count, 1);
    let problem = &health.problems[0].problem;
    assert!(
        problem.contains("2.json.gz is damaged: it has no signature"),
        "{problem}"
    );
    drop(tx);
    let (code, text) = shadowed.run_signed_on(&shadowed.setup, &["verify"]).await;
    assert_eq!(code, 1, "{text}");

    let lost = Setup::empty().await;
    let (code, text) = shadowed.run_on(&lost, &["rebuild", "--dry-run", "--by", "liet"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("server 100: from version 2"), "{text}");
    assert!(text.contains("BACKUP_SIGNING_KEY is not set: the signatures"), "{text}");
    let (code, text) = shadowed.run_signed_on(&lost, &["rebuild", "--by", "liet"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("server 100: from version 1"), "{text}");
    assert!(
        text.contains("not used: version 2: ") && text.contains("it has no signature"),
        "{text}"
    );
    assert!(!text.contains("BACKUP_SIGNING_KEY"), "{text}");

    // An operator decides for the database's configuration.
    let (code, text) = shadowed
        .run_signed_on(&shadowed.setup, &["record", "100", "--by", "liet"])
        .await;
    assert_eq!(code, 0, "{text}");
    shadowed.lead().await;
    let mut tx = shadowed.setup.database.global().await.unwrap();
    assert_eq!(tx.shadow_health().await.unwrap().unwrap().problem_count, 0);
}

/// Whoever can write to the store chooses the names of objects.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_object_is_named_and_chooses_no_version() {
    let shadowed = Shadowed::signed().await;
    let setup = &shadowed.setup;
    two_versions(&shadowed).await;
    let foreign = ["2147483646.json.gz", "4294967295.json.gz", "500.json.gz", "03.json.gz"];
    for name in foreign {
        std::fs::write(shadowed.object(name), "x").unwrap();
    }
    let (code, text) = shadowed.run_signed_on(setup, &["verify"]).await;
    assert_eq!(code, 1, "{text}");
    for name in foreign {
        let named = format!("{name} is a foreign object");
        assert!(text.contains(&named), "{name}: {text}");
    }
    assert!(text.contains("1 server compared, 4 problems"), "{text}");

    let lost = Setup::empty().await;
    let (code, text) = shadowed.run_signed_on(&lost, &["rebuild", "--by", "liet"]).await;
    assert_eq!(code, 0, "{text}");
    let versions = lost.rows("select version from configuration_versions").await;
    assert_eq!(versions, ["2"]);

    let (code, text) = shadowed.run_signed_on(setup, &["record", "100", "--by", "liet"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("version 3 is the newest"), "{text}");
    let change = ["theme", "100", "sietch", "--by", "liet"];
    let (code, text) = setup.command(&change, Vec::new()).await;
    assert_eq!(code, 0, "{text}");
    shadowed.lead().await;
    for name in foreign {
        std::fs::remove_file(shadowed.object(name)).unwrap();
    }
    let (code, text) = shadowed.run_signed_on(setup, &["verify"]).await;
    assert_eq!(code, 0, "{text}");
    let newest = "select max(version) from configuration_versions";
    assert_eq!(setup.rows(newest).await, ["4"]);
}

/// A build before recorded the largest number that the column can have, after which no change could be recorded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_above_the_largest_number_stops_no_change_and_is_replaced_by_a_record() {
    let shadowed = Shadowed::create().await;
    let setup = &shadowed.setup;
    two_versions(&shadowed).await;
    setup
        .rows("update configuration_versions set version = 2147483647 where version = 2")
        .await;
    let change = ["theme", "100", "sietch", "--by", "liet"];
    let (code, text) = setup.command(&change, Vec::new()).await;
    assert_eq!(code, 0, "{text}");
    let (code, text) = shadowed.run(&["record", "100", "--by", "liet"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("version 3 is the newest"), "{text}");
    let largest = "select max(version) from configuration_versions";
    assert_eq!(setup.rows(largest).await, ["3"]);
    assert_eq!(
        shadowed.json(&["show", "100"]).await["configuration"]["theme"],
        "sietch"
    );
    assert_eq!(shadowed.run(&["verify"]).await.0, 0);
}

/// A SIGKILL between the object, the pointer and the row: the next leader completes the write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_leader_loses_no_shadow() {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_arrakis-worker"));
    for point in ["worker.shadow.written", "worker.shadow.pointed"] {
        let platform = Platform::start().await;
        let folder = BackupFolder::create();
        let environment = folder.environment(&platform);
        let mut killed = environment.clone();
        let health = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        killed.push(("HEALTH_ADDR", health.to_string()));
        killed.push(("ARRAKIS_FAIL_POINTS", format!("{point}=kill")));
        Process::start_at(program, &[], killed).ended(WAIT).await;

        let _second = Worker::start(&environment).await;
        let is_shadowed = || async {
            let mut tx = platform.tenant().await;
            let latest = tx.configuration_versions().latest().await.unwrap();
            latest.is_some_and(|latest| latest.shadowed_at.is_some())
        };
        eventually_within(WAIT, is_shadowed, "the version to be in the store").await;
        let server = folder.store().join("manifests").join(&platform.community.guild);
        assert!(
            server.join("1.json.gz").exists() && server.join("latest.json").exists(),
            "{point}"
        );
        assert!(!server.join("2.json.gz").exists(), "{point}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reconcile_compares_configuration_shadow_and_server() {
    let platform = Platform::start().await;
    let folder = BackupFolder::create();
    let environment = folder.environment(&platform);
    let _worker = Worker::start(&environment).await;
    let server = folder.store().join("manifests").join(&platform.community.guild);
    eventually(
        async || server.join("latest.json").exists(),
        "the first version in the store",
    )
    .await;
    // A setting that nothing records: the leader finds it within minutes.
    let mut tx = platform.tenant().await;
    tx.communities().set_welcome_channel(Some(88)).await.unwrap();
    tx.commit().await.unwrap();
    let services = platform.services(&Metrics::new());
    let request = reconcile::request("reconcile:drift");
    jobs::enqueue(&services, platform.community.id, &request).await.unwrap();
    let report = || async {
        let stored = platform
            .tenant()
            .await
            .reconcile_reports()
            .get("reconcile:drift")
            .await
            .unwrap();
        stored.map(|stored| ReconcileReport::read(&stored.report).unwrap())
    };
    let report = eventually_within(WAIT, report, "the report").await;
    match report.drift {
        ConfigurationDrift::Compared { shadow, settings, .. } => {
            assert_eq!((shadow, settings), (1, vec!["welcome_channel".to_owned()]));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shadow_with_a_theme_that_does_not_exist_fails_no_reconcile() {
    let platform = Platform::start().await;
    let folder = BackupFolder::create();
    let manifest = |theme: &str| Manifest {
        theme: theme.to_owned(),
        rule_set: "balance".to_owned(),
        structure: Structure::Whole,
        roles: BTreeMap::new(),
    };
    let put = async |theme: &str| {
        let mut tx = platform.tenant().await;
        tx.manifests().put(&manifest(theme).to_value(), "liet").await.unwrap();
        tx.commit().await.unwrap();
    };
    put("forgotten").await;
    let _worker = Worker::start(&folder.environment(&platform)).await;
    let server = folder.store().join("manifests").join(&platform.community.guild);
    eventually(
        async || server.join("latest.json").exists(),
        "the first version in the store",
    )
    .await;
    // The reconcile of the leader would repair the server, and the repair record another version.
    let has_ended = || async {
        let mut tx = platform.tenant().await;
        let id = reconcile::scheduled_id(OffsetDateTime::now_utc());
        tx.jobs()
            .get(&id)
            .await
            .unwrap()
            .is_some_and(|job| job.state.is_final())
    };
    eventually_within(WAIT, has_ended, "the reconcile of the leader to end").await;
    put("sietch").await;
    let services = platform.services(&Metrics::new());
    let request = reconcile::request_in_mode("reconcile:compare:drift".to_owned(), reconcile::Mode::Compare);
    jobs::enqueue(&services, platform.community.id, &request).await.unwrap();
    let report = || async {
        let stored = platform
            .tenant()
            .await
            .reconcile_reports()
            .get(&request.id)
            .await
            .unwrap();
        stored.map(|stored| ReconcileReport::read(&stored.report).unwrap())
    };
    let report = eventually_within(WAIT, report, "the report").await;
    match report.drift {
        ConfigurationDrift::NoShadow { reason } => assert!(reason.contains("forgotten"), "{reason}"),
        other => panic!("{other:?}"),
    }
}
