//! The signer and the object store of operators' tasks.

use std::sync::Arc;

use anyhow::Context as _;
use arrakis_config::{BackupSettings, Reader, SigningSettings};
use arrakis_security::signing::{self, Signer};
use arrakis_vault::{ObjectStore, PublicKeyCopies, open_store};

use super::output::report;

/// What tasks that sign or verify read from the environment.
#[derive(Debug)]
pub(super) struct SignerConfig {
    signing: Option<SigningSettings>,
    backups: Option<BackupSettings>,
}

impl SignerConfig {
    /// Reads `SIGNER`, `BACKUP_STORE` and the variables beside them.
    pub(super) fn read(reader: &mut Reader) -> Option<Self> {
        let signing = reader.signing();
        let backups = reader.backups(None);
        Some(Self {
            signing: signing?,
            backups: backups?,
        })
    }

    /// The signer.
    ///
    /// # Errors
    /// No key is configured, or it cannot be used.
    pub(super) fn signer(&self) -> anyhow::Result<Arc<dyn Signer>> {
        let settings = self.signing.as_ref();
        open_signer(settings.context("no key is configured: set SIGNER=transit, or BACKUP_SIGNING_KEY")?)
    }

    /// The object store; `None` where none is configured.
    ///
    /// # Errors
    /// AWS is not configured.
    pub(super) async fn store(&self) -> anyhow::Result<Option<Arc<dyn ObjectStore>>> {
        match &self.backups {
            Some(settings) => Ok(Some(Box::pin(open_store(settings)).await.context("BACKUP_STORE")?)),
            None => Ok(None),
        }
    }
}

/// The signer of these settings.
///
/// # Errors
/// The key cannot be used.
pub(super) fn open_signer(settings: &SigningSettings) -> anyhow::Result<Arc<dyn Signer>> {
    signing::open(settings, "arrakis-worker tool", Arc::new(())).context("the signing key")
}

/// Lets the signer verify with the copied public keys. A copy that cannot be read is reported: most signatures need none.
pub(super) async fn remember_public_keys(store: Arc<dyn ObjectStore>, signer: Arc<dyn Signer>) {
    if let Err(error) = PublicKeyCopies::new(store, signer).remember().await {
        report(format_args!("the copy of the public keys was not read: {error}"));
    }
}
