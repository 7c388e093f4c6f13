//! Signatures of manifests, backups, deployments and exports: [`Signer`] and its implementation with a local key.

mod local;

use std::fmt::{self, Debug};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

#[cfg(feature = "encryption")]
pub(crate) use local::check_permissions;
pub use local::{LocalSigner, PublicKey, PublicKeyError};

/// A signature, as manifests, records of backups, deployments and the metadata of exports contain it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// Algorithm.
    pub algorithm: Algorithm,
    /// Id of the key: of a local key, the first 16 hexadecimal digits of the SHA-256 of the public key; of a key of a service, its name.
    pub key: String,
    /// Version of the key, from 1. Keys of a service are rotated.
    pub version: u32,
    /// The signature, in base64.
    pub value: String,
}

/// Algorithm of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// Ed25519 (RFC 8032).
    Ed25519,
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ed25519")
    }
}

/// Signs manifests, backups, deployments and exports, and checks signatures: with a key on this machine, or by a service.
#[async_trait]
pub trait Signer: Debug + Send + Sync {
    /// Signs a message.
    ///
    /// # Errors
    /// The key cannot be used.
    async fn sign(&self, message: &[u8]) -> Result<Signature, SignError>;

    /// Checks a signature.
    ///
    /// # Errors
    /// [`SignError::Invalid`] for a wrong signature, [`SignError::UnknownKey`] for a key that is not trusted.
    async fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), SignError>;
}

/// Why a message cannot be signed, or a signature is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The signature is not of this message by this key.
    #[error("the signature by key {key} is invalid")]
    Invalid {
        /// Id of the key.
        key: String,
    },
    /// The key is not trusted.
    #[error(
        "it is signed by the key {key} in version {version}, which is not trusted here; if its owner is, add the public key to BACKUP_TRUSTED_KEYS"
    )]
    UnknownKey {
        /// Id of the key.
        key: String,
        /// Version of the key.
        version: u32,
    },
    /// The key file cannot be read or written.
    #[error("the signing key {path} cannot be used: {reason}")]
    KeyFile {
        /// Path of the key file.
        path: String,
        /// The reason.
        reason: String,
    },
    /// The key cannot sign.
    #[error("cannot sign with the key {key}: {reason}")]
    Failed {
        /// Id of the key.
        key: String,
        /// The reason.
        reason: String,
    },
}
