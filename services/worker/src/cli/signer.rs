//! The signer and the object store of operators' tasks.

use std::sync::Arc;

use anyhow::Context as _;
use arrakis_config::{BackupSettings, Reader, Secret, SignerLocation, SigningSettings};
use arrakis_security::signing::{self, SignError, Signer};
use arrakis_vault::{Damage, DocumentError, ObjectStore, PublicKeyCopies, open_store};

use super::database::database_url;
use super::output::report;

/// What to do where the service with the signing key refuses a task.
pub(super) const REFUSED_HELP: &str = "while the kill switch is on, the service with the signing key refuses every process: \
                                       `arrakis-worker kill-switch status` prints whether it is; signatures are verified without the service where \
                                       BACKUP_TRUSTED_KEYS has the public keys that `arrakis-worker signing keys` printed before";

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

    /// With `DATABASE_URL`.
    pub(super) fn read_with_database(reader: &mut Reader) -> Option<(Secret, Self)> {
        let url = database_url(reader);
        let config = Self::read(reader);
        Some((url?, config?))
    }

    /// The signer.
    ///
    /// # Errors
    /// No key is configured, or it cannot be used.
    pub(super) fn signer(&self) -> anyhow::Result<Arc<dyn Signer>> {
        let settings = self.signing.as_ref();
        open_signer(settings.context("no key is configured: set SIGNER=transit, or BACKUP_SIGNING_KEY")?)
    }

    /// The path at which the key is rotated, of a key in Transit.
    pub(super) fn rotation_path(&self) -> Option<String> {
        match &self.signing.as_ref()?.signer {
            SignerLocation::File(_) => None,
            SignerLocation::Transit(transit) => Some(format!("{}/keys/{}/rotate", transit.mount, transit.key)),
        }
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

/// Lets the signer verify with the copied public keys. A copy that cannot be read is reported: most signatures need none. A service that does not
/// respond, or refuses this process, is not: the task meets that as well, where it needs the service.
pub(super) async fn remember_public_keys(store: Arc<dyn ObjectStore>, signer: Arc<dyn Signer>) {
    match PublicKeyCopies::new(store, signer).remember().await {
        Ok(_) | Err(DocumentError::Unverified { .. }) => {}
        Err(DocumentError::Damaged {
            object,
            damage: Damage::Signature(error @ SignError::UnknownKey { .. }),
        }) => report(format_args!(
            "the copy of the public keys was not read: {object} was signed by another key, as after a change of SIGNER or of the key: {error}"
        )),
        Err(error) => report(format_args!("the copy of the public keys was not read: {error}")),
    }
}

/// Whether an error is that the service with the signing key refuses this process.
pub(super) fn is_refused(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let signing = match cause.downcast_ref::<DocumentError>() {
            Some(DocumentError::Unverified { error, .. } | DocumentError::Sign { error, .. }) => Some(error),
            _ => cause.downcast_ref::<SignError>(),
        };
        matches!(signing, Some(SignError::Refused { .. }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_of_the_service_is_recognised_within_other_errors() {
        let refused = || SignError::Refused {
            key: "arrakis".to_owned(),
            reason: "permission denied".to_owned(),
        };
        let unverified = DocumentError::Unverified {
            object: "anchors/1.json".to_owned(),
            error: refused(),
        };
        let errors = [
            anyhow::Error::from(refused()),
            anyhow::Error::from(unverified).context("the anchors"),
            anyhow::Error::from(DocumentError::PublicKeys(refused())),
        ];
        for error in errors {
            assert!(is_refused(&error), "{error:#}");
        }
        assert!(!is_refused(&anyhow::Error::msg("another error")));
    }
}
