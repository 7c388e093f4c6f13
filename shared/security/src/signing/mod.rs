//! Signatures: [`Signer`], with a key in a file ([`LocalSigner`]) or in the Transit engine of HashiCorp Vault and OpenBao (`TransitSigner`, feature
//! `transit`).
//!
//! Owns what a signature is, what is signed ([`SigningPurpose`]), rotation, and the record of each signature ([`AuditedSigner`]). A signer never
//! uses another key than its own: where Transit does not respond, nothing is signed. Stores nothing but the file of a local key; copies of public
//! keys are objects of `arrakis-vault`.
//!
//! To add a purpose: a variant of [`SigningPurpose`] with a prefix that no other one has. To add a signer: implement [`Signer`], and sign with
//! a key that [`Signer::public_keys`] lists.

mod audited;
mod local;
mod open;
mod public_key;
mod purpose;
#[cfg(feature = "transit")]
mod transit;
mod trusted_keys;

use std::fmt::{self, Debug};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use audited::{AuditedSigner, SigningObserver, SigningOutcome};
pub use local::{LocalSigner, check_permissions};
pub use open::{OpenSignerError, open_file};
#[cfg(feature = "transit")]
pub use open::{open, open_revoker};
pub use public_key::{PublicKey, PublicKeyError, PublicKeyVersion};
pub use purpose::SigningPurpose;
#[cfg(feature = "transit")]
pub use transit::{TransitOptions, TransitRevoker, TransitSigner};
pub use trusted_keys::TrustedKeys;

/// A signature, as signed documents contain it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// Algorithm.
    pub algorithm: Algorithm,
    /// Id of the key: of a local key, the first 16 hexadecimal digits of the SHA-256 of the public key; of a key of a service, its name.
    pub key: String,
    /// Version of the key, from 1: it is increased by each rotation.
    pub version: u32,
    /// The signature, in base64.
    pub value: String,
}

/// Algorithm of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// Ed25519 (RFC 8032) of the message.
    Ed25519,
    /// Ed25519 (RFC 8032) of the SHA-256 of the message, so that the message does not leave the machine.
    Ed25519Sha256,
}

impl Algorithm {
    /// Its name, as in a signature.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::Ed25519Sha256 => "ed25519-sha256",
        }
    }

    /// The algorithm of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Ed25519, Self::Ed25519Sha256]
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ed25519 => "Ed25519",
            Self::Ed25519Sha256 => "Ed25519 of SHA-256",
        })
    }
}

/// Signs messages, and checks signatures: with a key on this machine, or by a service.
#[async_trait]
pub trait Signer: Debug + Send + Sync {
    /// Signs a message. What is signed for a purpose begins with its prefix: [`Signer::sign_for`].
    ///
    /// # Errors
    /// The key cannot be used.
    async fn sign(&self, message: &[u8]) -> Result<Signature, SignError>;

    /// Checks a signature.
    ///
    /// # Errors
    /// [`SignError::Invalid`] for a wrong signature, [`SignError::UnknownKey`] for a key that is not trusted.
    async fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), SignError>;

    /// Signs messages, all or none. The signatures are in the order of the messages; a rotation in progress may give them two versions.
    ///
    /// # Errors
    /// As [`Signer::sign`].
    async fn sign_batch(&self, messages: &[&[u8]]) -> Result<Vec<Signature>, SignError>;

    /// Replaces the key by a new version, which signs from now on. Earlier versions still verify. Returns the number of the new version.
    ///
    /// # Errors
    /// The key cannot be rotated; the earlier version remains in use.
    async fn rotate(&self) -> Result<u32, SignError>;

    /// The public keys of every version that is available, the oldest first. The last one signs.
    ///
    /// # Errors
    /// They cannot be read.
    async fn public_keys(&self) -> Result<Vec<PublicKeyVersion>, SignError>;

    /// Accepts signatures by versions of the key that the service does not list any more, from a verified copy of the list. A version that is
    /// known already is not replaced.
    fn remember(&self, _keys: &[PublicKeyVersion]) {}

    /// Signs content for a purpose: the message is the prefix of the purpose, and the content.
    ///
    /// # Errors
    /// As [`Signer::sign`].
    async fn sign_for(&self, purpose: SigningPurpose, content: &[u8]) -> Result<Signature, SignError> {
        self.sign(&purpose.message(content)).await
    }

    /// Checks a signature of content for a purpose.
    ///
    /// # Errors
    /// As [`Signer::verify`]. A signature for another purpose is [`SignError::Invalid`].
    async fn verify_for(
        &self,
        purpose: SigningPurpose,
        content: &[u8],
        signature: &Signature,
    ) -> Result<(), SignError> {
        self.verify(&purpose.message(content), signature).await
    }
}

/// Why a message cannot be signed, or a signature is not accepted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SignError {
    /// The signature is not of this message by this key.
    #[error("the signature by key {key} is invalid")]
    Invalid {
        /// Id of the key.
        key: String,
    },
    /// The key is not trusted.
    #[error(
        "the content is signed by the key {key} in version {version}, which is not trusted here; if its owner is, add the public key to BACKUP_TRUSTED_KEYS"
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
    /// The service that holds the key does not respond, or is sealed. A later attempt may succeed.
    #[error("the service with the signing key {key} is unavailable: {reason}")]
    Unavailable {
        /// Name of the key.
        key: String,
        /// The reason.
        reason: String,
    },
    /// The service that holds the key refuses this process: its login or its permission was revoked.
    #[error("the service with the signing key {key} refuses this process: {reason}")]
    Refused {
        /// Name of the key.
        key: String,
        /// The reason.
        reason: String,
    },
}

impl SignError {
    /// Whether the same call may succeed later without a change by an operator.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// Whether the signature is wrong or by another key, as opposed to a signer that cannot be used.
    #[must_use]
    pub const fn is_about_the_signature(&self) -> bool {
        matches!(self, Self::Invalid { .. } | Self::UnknownKey { .. })
    }
}
