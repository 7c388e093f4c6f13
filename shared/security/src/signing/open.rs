//! The signer of a configuration, or of a key file.

use std::path::Path;
use std::sync::Arc;

#[cfg(feature = "transit")]
use arrakis_config::{SignerLocation, SigningRevocation, SigningSettings};

#[cfg(feature = "transit")]
use super::transit::{TransitOptions, TransitRevoker, TransitSigner};
use super::{AuditedSigner, LocalSigner, PublicKeyError, SignError, Signer, SigningObserver, TrustedKeys};
#[cfg(feature = "transit")]
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
#[cfg(feature = "transit")]
pub fn open(
    settings: &SigningSettings,
    who: &str,
    observer: Arc<dyn SigningObserver>,
) -> Result<Arc<dyn Signer>, OpenSignerError> {
    let transit = match &settings.signer {
        SignerLocation::File(path) => return open_file(path, &settings.trusted_keys, who, observer),
        SignerLocation::Transit(transit) => transit,
    };
    let trusted = TrustedKeys::parse(&settings.trusted_keys)?;
    let signer = TransitSigner::new(transit, &TransitOptions::default())?.trusting(trusted);
    Ok(Arc::new(AuditedSigner::new(Arc::new(signer), who, observer)))
}

/// The signer with the key in a file, as [`LocalSigner::open`], and with trusted keys of 64 hexadecimal digits each. Its signatures are logged as
/// requested by `who`.
///
/// # Errors
/// The key file cannot be used, or a trusted key is invalid.
pub fn open_file(
    path: &Path,
    trusted_keys: &[String],
    who: &str,
    observer: Arc<dyn SigningObserver>,
) -> Result<Arc<dyn Signer>, OpenSignerError> {
    let trusted = TrustedKeys::parse(trusted_keys)?;
    let signer = LocalSigner::open(path)?.trusting(trusted);
    Ok(Arc::new(AuditedSigner::new(Arc::new(signer), who, observer)))
}

/// What revokes the permission to sign, for the kill switch. Sends no request.
///
/// # Errors
/// The settings of Transit cannot be used.
#[cfg(feature = "transit")]
pub fn open_revoker(settings: &SigningRevocation) -> Result<Arc<dyn RevokeSigning>, SignError> {
    let revoker = TransitRevoker::new(settings, &TransitOptions::default())?;
    Ok(Arc::new(revoker))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::SigningPurpose;

    #[tokio::test]
    async fn signer_of_a_file_accepts_its_own_and_every_trusted_key() {
        let folder = tempfile::tempdir().unwrap();
        let others = [LocalSigner::generate().unwrap(), LocalSigner::generate().unwrap()];
        let trusted = others.each_ref().map(|other| other.public_key().to_string());
        let observer: Arc<dyn SigningObserver> = Arc::new(());
        let path = folder.path().join("key.pem");
        let signer = open_file(&path, &trusted, "test", Arc::clone(&observer)).unwrap();
        let own: &dyn Signer = signer.as_ref();
        let signers = others.iter().map(|other| other as &dyn Signer);
        for other in signers.chain([own]) {
            let signature = other.sign_for(SigningPurpose::Backup, b"content").await.unwrap();
            signer
                .verify_for(SigningPurpose::Backup, b"content", &signature)
                .await
                .unwrap();
        }
        let invalid = open_file(&path, &["x".to_owned()], "test", observer).unwrap_err();
        assert!(matches!(invalid, OpenSignerError::TrustedKey(_)), "{invalid}");
    }
}
