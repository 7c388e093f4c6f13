//! [`open`]: the vault of a configuration.

use std::path::PathBuf;
use std::sync::Arc;

use arrakis_config::{BackupSettings, CatalogueLocation, StoreLocation};

use crate::catalogue::{Catalogue, FileCatalogue};
use crate::files::LockWait;
use crate::sign::{self, OpenSignerError, PublicKeyError, SignError, Signer};
use crate::store::{FolderStore, ObjectStore};
use crate::vault::{LimitPolicy, Vault, VaultParts};

/// Why a vault cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The signing key cannot be used.
    #[error("{0}; BACKUP_SIGNING_KEY names another one")]
    Key(#[source] SignError),
    /// A trusted key is invalid.
    #[error("BACKUP_TRUSTED_KEYS: {0}")]
    TrustedKey(#[from] PublicKeyError),
    /// No region is configured.
    #[cfg(feature = "aws")]
    #[error(transparent)]
    NoRegion(#[from] crate::aws::NoRegion),
    /// This program was built without AWS.
    #[error("this program was built without S3 and DynamoDB (feature `aws`); use a folder: {variable}=file:///folder")]
    WithoutAws {
        /// The variable.
        variable: &'static str,
    },
}

impl From<OpenSignerError> for OpenError {
    fn from(error: OpenSignerError) -> Self {
        match error {
            OpenSignerError::Key(error) => Self::Key(error),
            OpenSignerError::TrustedKey(error) => Self::TrustedKey(error),
        }
    }
}

/// Options of [`open`] that no variable has.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// File of the signing key where `BACKUP_SIGNING_KEY` is not set.
    pub default_key: PathBuf,
    /// The program that requests signatures, for the log.
    pub program: &'static str,
    /// Whether plans limit operations and the retention; `None`: where the catalogue is DynamoDB's, since a local one belongs to its owner.
    pub limits: Option<LimitPolicy>,
    /// How writes to a folder wait for each other.
    pub wait: LockWait,
}

/// The vault of these settings. Sends no request.
///
/// # Errors
/// The key file cannot be used, or AWS is not configured.
pub async fn open(settings: &BackupSettings, options: &OpenOptions) -> Result<Vault, OpenError> {
    Ok(Vault::new(parts(settings, options).await?))
}

/// The vault of these settings with another signer than the file of `BACKUP_SIGNING_KEY`, such as a key in Transit. `limits` as
/// [`OpenOptions::limits`]. Sends no request.
///
/// # Errors
/// AWS is not configured.
pub async fn open_signed_by(
    settings: &BackupSettings,
    signer: Arc<dyn Signer>,
    limits: Option<LimitPolicy>,
) -> Result<Vault, OpenError> {
    let parts = parts_signed_by(settings, signer, limits, &LockWait::default()).await?;
    Ok(Vault::new(parts))
}

/// As [`open`], with objects that are encrypted on this machine. Without an identity, none is encrypted, and one that is encrypted is refused
/// with what is missing.
///
/// # Errors
/// As [`open`].
#[cfg(feature = "encryption")]
pub async fn open_encrypted(
    settings: &BackupSettings,
    options: &OpenOptions,
    encryption: crate::store::Encryption,
) -> Result<Vault, OpenError> {
    let mut parts = parts(settings, options).await?;
    parts.store = Arc::new(crate::store::EncryptedStore::new(parts.store, encryption));
    Ok(Vault::new(parts))
}

async fn parts(settings: &BackupSettings, options: &OpenOptions) -> Result<VaultParts, OpenError> {
    let key = settings.signing_key.as_deref().unwrap_or(&options.default_key);
    let signer = sign::open_file(key, &settings.trusted_keys, options.program, Arc::new(()))?;
    parts_signed_by(settings, signer, options.limits, &options.wait).await
}

async fn parts_signed_by(
    settings: &BackupSettings,
    signer: Arc<dyn Signer>,
    limits_wanted: Option<LimitPolicy>,
    wait: &LockWait,
) -> Result<VaultParts, OpenError> {
    let connections = Connections::load(settings).await?;
    let (catalogue, limits): (Arc<dyn Catalogue>, _) = match &settings.catalogue {
        CatalogueLocation::Folder(folder) => (
            Arc::new(FileCatalogue::new(folder).waiting(wait.clone())),
            LimitPolicy::Unlimited,
        ),
        CatalogueLocation::DynamoDb { table, tiers } => (connections.catalogue(table, tiers)?, LimitPolicy::ByPlan),
    };
    Ok(VaultParts {
        store: connections.store(settings, wait)?,
        catalogue,
        signer,
        limits: limits_wanted.unwrap_or(limits),
    })
}

/// The store of these settings alone, for objects without a catalogue. Sends no request.
///
/// # Errors
/// AWS is not configured.
pub async fn open_store(settings: &BackupSettings) -> Result<Arc<dyn ObjectStore>, OpenError> {
    Connections::load(settings).await?.store(settings, &LockWait::default())
}

/// The connections that store and catalogue share.
struct Connections {
    #[cfg(feature = "aws")]
    aws: Option<crate::aws::AwsConnection>,
}

#[cfg(feature = "aws")]
impl Connections {
    async fn load(settings: &BackupSettings) -> Result<Self, OpenError> {
        use crate::aws::{AwsConnection, AwsOptions};
        let is_needed = matches!(settings.store, StoreLocation::S3 { .. })
            || matches!(settings.catalogue, CatalogueLocation::DynamoDb { .. });
        if !is_needed {
            return Ok(Self { aws: None });
        }
        let options = AwsOptions {
            endpoint: settings.aws_endpoint.clone(),
            region: settings.aws_region.clone(),
            profile: settings.aws_profile.clone(),
            ..AwsOptions::default()
        };
        let aws = Some(AwsConnection::load(&options).await?);
        Ok(Self { aws })
    }

    fn store(&self, settings: &BackupSettings, wait: &LockWait) -> Result<Arc<dyn ObjectStore>, OpenError> {
        use crate::store::{S3Options, S3Store};
        let (bucket, prefix) = match &settings.store {
            StoreLocation::Folder(folder) => return Ok(Arc::new(FolderStore::new(folder).waiting(wait.clone()))),
            StoreLocation::S3 { bucket, prefix } => (bucket, prefix),
        };
        let connection = self.aws.as_ref().ok_or(crate::aws::NoRegion)?;
        let options = S3Options {
            bucket: bucket.clone(),
            prefix: prefix.clone(),
            kms_key: settings.kms_key.clone(),
        };
        Ok(Arc::new(S3Store::new(connection, options)))
    }

    fn catalogue(&self, table: &str, tiers: &str) -> Result<Arc<dyn Catalogue>, OpenError> {
        let connection = self.aws.as_ref().ok_or(crate::aws::NoRegion)?;
        Ok(Arc::new(crate::catalogue::DynamoCatalogue::new(
            connection, table, tiers,
        )))
    }
}

#[cfg(not(feature = "aws"))]
impl Connections {
    async fn load(_settings: &BackupSettings) -> Result<Self, OpenError> {
        Ok(Self {})
    }

    fn store(&self, settings: &BackupSettings, wait: &LockWait) -> Result<Arc<dyn ObjectStore>, OpenError> {
        match &settings.store {
            StoreLocation::Folder(folder) => Ok(Arc::new(FolderStore::new(folder).waiting(wait.clone()))),
            StoreLocation::S3 { .. } => Err(OpenError::WithoutAws {
                variable: "BACKUP_STORE",
            }),
        }
    }

    fn catalogue(&self, _table: &str, _tiers: &str) -> Result<Arc<dyn Catalogue>, OpenError> {
        Err(OpenError::WithoutAws {
            variable: "BACKUP_CATALOGUE",
        })
    }
}
