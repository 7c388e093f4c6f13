//! A database with a community, and its configuration in an object store.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrakis_vault::{FolderStore, LocalSigner};
use arrakis_worker::configuration::ShadowStore;
use arrakis_worker::leader::ConfigurationTasks;
use arrakis_worker::services::Services;
use serde_json::Value;
use time::OffsetDateTime;

use crate::commands::services;
use crate::profile_import::setup::Setup;

/// How long a job or a process may take.
pub const WAIT: Duration = Duration::from_secs(60);

/// A database with a community, and a folder as the object store.
pub struct Shadowed {
    pub setup: Setup,
    pub services: Services,
}

impl Shadowed {
    pub async fn create() -> Self {
        let setup = Setup::create().await;
        let mut services = services(setup.database.clone());
        let store = FolderStore::new(setup.path("store"));
        services.shadows = Some(ShadowStore::new(Arc::new(store)));
        Self { setup, services }
    }

    /// The same with a key that signs the shadows.
    pub async fn signed() -> Self {
        let mut shadowed = Self::create().await;
        let signer = LocalSigner::open(&shadowed.key()).unwrap();
        let shadows = shadowed.services.shadows.take().unwrap();
        shadowed.services.shadows = Some(shadows.signed_by(Arc::new(signer)));
        shadowed
    }

    pub fn key(&self) -> PathBuf {
        self.setup.path("backup-signing-key.pem")
    }

    /// Runs a subcommand of `configurations` with the database of a setup and the key.
    pub async fn run_signed_on(&self, setup: &Setup, arguments: &[&str]) -> (i32, String) {
        let arguments = [&["configurations"][..], arguments].concat();
        let store = format!("file://{}", self.setup.path("store").display());
        let key = self.key().display().to_string();
        let variables = vec![("BACKUP_STORE", store), ("BACKUP_SIGNING_KEY", key)];
        setup.command(&arguments, variables).await
    }

    /// What the leader does first.
    pub async fn lead(&self) {
        let mut tasks = ConfigurationTasks::default();
        tasks.run(&self.services, OffsetDateTime::now_utc()).await.unwrap();
    }

    /// What the leader does first with the database of another setup and the same store.
    pub async fn lead_on(&self, setup: &Setup) {
        let mut services = services(setup.database.clone());
        services.shadows = self.services.shadows.clone();
        let mut tasks = ConfigurationTasks::default();
        tasks.run(&services, OffsetDateTime::now_utc()).await.unwrap();
    }

    /// Path of an object of the server.
    pub fn object(&self, name: &str) -> PathBuf {
        self.setup.path("store").join("manifests/100").join(name)
    }

    /// Runs a subcommand of `configurations`.
    pub async fn run(&self, arguments: &[&str]) -> (i32, String) {
        self.run_on(&self.setup, arguments).await
    }

    /// The same with the database of another setup.
    pub async fn run_on(&self, setup: &Setup, arguments: &[&str]) -> (i32, String) {
        let arguments = [&["configurations"][..], arguments].concat();
        let store = format!("file://{}", self.setup.path("store").display());
        setup.command(&arguments, vec![("BACKUP_STORE", store)]).await
    }

    /// The first line of the output that is JSON.
    pub async fn json(&self, arguments: &[&str]) -> Value {
        let (code, text) = self.run(arguments).await;
        assert_eq!(code, 0, "{text}");
        let line = text.lines().find(|line| line.starts_with('{')).unwrap();
        serde_json::from_str(line).unwrap()
    }
}

/// Two versions of the server 100, the second with the theme `basic`.
pub async fn two_versions(shadowed: &Shadowed) {
    shadowed.lead().await;
    let change = ["theme", "100", "basic", "--by", "liet"];
    let (code, text) = shadowed.setup.command(&change, Vec::new()).await;
    assert_eq!(code, 0, "{text}");
    shadowed.lead().await;
}
