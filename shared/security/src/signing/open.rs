//! [`open`]: the signer of a configuration.

use std::sync::Arc;

use arrakis_config::{SignerLocation, SigningRevocation, SigningSettings};

use super::transit::{TransitOptions, TransitRevoker, TransitSigner};
use super::{AuditedSigner, LocalSigner, PublicKeyError, SignError, Signer, SigningObserver, TrustedKeys};
use crate::kill_switch::RevokeSigning;

/// Why a signer cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenSignerError {
    /// The key file, or the settings of Transit, cannot be used.
    #[error(transparent)]
    Key(#[from] SignError),
    /// A trusted key is invalid.
    #[error("BACKUP_TRUSTED_KEYS: {0}")]
    TrustedKey(#[from] PublicKeyError),
}

/// The signer of these settings, whose signatures are logged as requested by `who`. Sends no request.
///
/// # Errors
/// The key file cannot be used, or a trusted key is invalid.
pub fn open(
    settings: &SigningSettings,
    who: &str,
    observer: Arc<dyn SigningObserver>,
) -> Result<Arc<dyn Signer>, OpenSignerError> {
    let trusted = TrustedKeys::parse(&settings.trusted_keys)?;
    let signer: Arc<dyn Signer> = match &settings.signer {
        SignerLocation::File(path) => Arc::new(LocalSigner::open(path)?.trusting_all(trusted)),
        SignerLocation::Transit(transit) => {
            Arc::new(TransitSigner::new(transit, &TransitOptions::default())?.trusting(trusted))
        }
    };
    Ok(Arc::new(AuditedSigner::new(signer, who, observer)))
}

/// What revokes the permission to sign, for the kill switch. Sends no request.
///
/// # Errors
/// The settings of Transit cannot be used.
pub fn open_revoker(settings: &SigningRevocation) -> Result<Arc<dyn RevokeSigning>, SignError> {
    let revoker = TransitRevoker::new(settings, &TransitOptions::default())?;
    Ok(Arc::new(revoker))
}
