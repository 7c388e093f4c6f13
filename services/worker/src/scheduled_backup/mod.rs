//! Scheduled backups of every server that the platform knows: where they write, which states they read, whom they notify.
//!
//! | file | what |
//! |---|---|
//! | `settings.rs` | the variables |
//! | `states.rs` | the state of a server, where gaib keeps it in an object store |
//! | `second_store.rs` | copies in a second store, for the premium plan |
//! | `absence.rs` | servers that the bot has left |
//! | `notices/` | notices of success and failure to operators |
//!
//! `jobs/backup/` reads the servers and runs the tasks; the vault (`arrakis-vault`) has the format of what is stored, the schedule and the retention.

mod absence;
mod notices;
mod second_store;
mod settings;
mod states;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arrakis_iac_apply::Cdn;
use arrakis_security::signing::{self, Signer};
use arrakis_vault::{LimitPolicy, PublicKeyCopies, Vault, open_signed_by, open_store};
use tokio::sync::Notify;

pub(crate) use self::absence::record_absence;
pub use self::notices::NotificationSettings;
pub(crate) use self::notices::{Notice, NoticeDelivery, NoticeTask, Notifier, RunOutcome, send_stored};
use self::second_store::SecondStore;
pub use self::settings::BackupConfig;
pub(crate) use self::states::{RemoteState, RemoteStates};

/// Pause between attempts to read the copy of the public keys.
const COPY_RETRY: Duration = Duration::from_secs(30);

/// The stores, clients and notices that the jobs of scheduled backups use.
#[derive(Debug)]
pub struct Backups {
    /// Backups, snapshots, exports and schedules.
    pub(crate) vault: Vault,
    /// The states that gaib keeps in an object store.
    pub(crate) states: RemoteStates,
    /// The second store, if there is one.
    pub(crate) second: Option<SecondStore>,
    /// Client of Discord's CDN, from which images are read.
    pub(crate) cdn: Cdn,
    /// Stores notices, and sends them.
    pub(crate) notifier: Notifier,
    /// Notified when a run has ended, or the bot has left a server: the health component and the gauges are computed again.
    pub(crate) changed: Notify,
}

impl Backups {
    /// Opens the stores of a configuration, and its key. No request is sent.
    ///
    /// # Errors
    /// The signing key cannot be used, or as [`Backups::open_signed_by`].
    pub async fn open(config: &BackupConfig) -> anyhow::Result<Self> {
        let signer = signing::open(&config.signing, "arrakis-worker", Arc::new(())).context("the signing key")?;
        Box::pin(Self::open_signed_by(config, signer)).await
    }

    /// Opens the stores of a configuration, with the key of the worker. No request is sent.
    ///
    /// # Errors
    /// AWS is not configured, or TLS cannot be set up.
    pub async fn open_signed_by(config: &BackupConfig, signer: Arc<dyn Signer>) -> anyhow::Result<Self> {
        let vault = open_vault(config, signer).await?;
        let states = match config.state_store() {
            Some(settings) => open_store(&settings).await.context("BACKUP_STATE_STORE")?,
            None => vault.store().clone(),
        };
        let second = match config.second_store() {
            Some(settings) => Some(open_store(&settings).await.context("BACKUP_SECOND_STORE")?),
            None => None,
        };
        let notifier = match &config.notifications {
            Some(settings) => Notifier::new(settings).await.context("NOTIFY_WEBHOOK_URL")?,
            None => Notifier::default(),
        };
        Ok(Self {
            vault,
            states: RemoteStates::new(states, config.discord()),
            second: second.map(SecondStore::new),
            cdn: Cdn::for_api(&config.api_base).context("DISCORD_API_BASE")?,
            notifier,
            changed: Notify::new(),
        })
    }

    /// The vault.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Lets the signer verify with the copied public keys of versions that the service does not list any more. Repeated until the copy was read.
    pub(crate) async fn remember_public_keys(&self) {
        let copies = PublicKeyCopies::new(self.vault.store().clone(), self.vault.signer().clone());
        while let Err(error) = copies.remember().await {
            tracing::warn!(%error, "the copy of the public keys was not read; it will be retried");
            tokio::time::sleep(COPY_RETRY).await;
        }
    }

    /// The same with another vault, for tests of interruptions.
    #[must_use]
    pub fn with_vault(mut self, vault: Vault) -> Self {
        self.vault = vault;
        self
    }
}

/// The vault of a configuration. Plans limit the retention whatever the store is: the platform's store is not its servers' own.
async fn open_vault(config: &BackupConfig, signer: Arc<dyn Signer>) -> anyhow::Result<Vault> {
    let opened = Box::pin(open_signed_by(&config.settings, signer, Some(LimitPolicy::ByPlan))).await;
    opened.context("BACKUP_STORE")
}
