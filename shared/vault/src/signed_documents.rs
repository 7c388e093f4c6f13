//! Signed documents of the platform in the object store, beside those of servers: anchors of a chain, public keys.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::damage::Damage;
use crate::key::ObjectKey;
use crate::sealed::{self, SealError};
use crate::sign::{SignError, Signer, SigningPurpose};
use crate::store::{Condition, NewObject, ObjectStore, StoreError, Version};

/// Why a signed document cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The document is damaged, or its signature is wrong.
    #[error("{object} is damaged: {damage}")]
    Damaged {
        /// The object.
        object: String,
        /// What is wrong with it.
        damage: Damage,
    },
    /// The signature cannot be verified at present.
    #[error("the signature of {object} cannot be verified: {error}")]
    Unverified {
        /// The object.
        object: String,
        /// The reason.
        error: SignError,
    },
    /// The document cannot be signed.
    #[error("{object} cannot be signed: {error}")]
    Sign {
        /// The object.
        object: String,
        /// The reason.
        error: SignError,
    },
    /// The public keys of the signer cannot be read.
    #[error("the public keys of the signer cannot be read: {0}")]
    PublicKeys(#[source] SignError),
    /// The document cannot be serialized as JSON.
    #[error("{object} cannot be written: {reason}")]
    Encode {
        /// The object.
        object: String,
        /// The reason.
        reason: String,
    },
    /// A version of a key has another public key than its copy.
    #[error("version {version} of the key {key} has another public key than its copy in {object}")]
    OtherKey {
        /// The object.
        object: String,
        /// Id of the key.
        key: String,
        /// The version.
        version: u32,
    },
}

impl DocumentError {
    /// Whether the same call may succeed later without a change by an operator.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Unverified { error, .. } | Self::Sign { error, .. } | Self::PublicKeys(error) => error.is_transient(),
            Self::Damaged { .. } | Self::Encode { .. } | Self::OtherKey { .. } => false,
        }
    }

    pub(crate) fn of_damage(object: String, damage: Damage) -> Self {
        match damage {
            Damage::Signature(error) if !error.is_about_the_signature() => Self::Unverified { object, error },
            damage => Self::Damaged { object, damage },
        }
    }

    pub(crate) fn of_seal(object: String, error: SealError) -> Self {
        match error {
            SealError::Json(error) => Self::Encode {
                object,
                reason: error.to_string(),
            },
            SealError::Sign(error) => Self::Sign { object, error },
        }
    }
}

/// Documents of one purpose.
#[derive(Clone, Debug)]
pub(crate) struct SignedDocuments {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) signer: Arc<dyn Signer>,
    pub(crate) purpose: SigningPurpose,
}

impl SignedDocuments {
    /// A document and its version; `None` where there is none.
    pub(crate) async fn read<T: DeserializeOwned>(
        &self,
        key: &ObjectKey,
    ) -> Result<Option<(T, Version)>, DocumentError> {
        let object = match self.store.get(key).await {
            Ok(object) => object,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let opened = sealed::open_signed(&object.bytes, self.purpose, &*self.signer).await;
        let content = opened.map_err(|damage| DocumentError::of_damage(self.name(key), damage))?;
        Ok(Some((content, object.head.version)))
    }

    pub(crate) async fn write<T: Serialize + Sync>(
        &self,
        key: &ObjectKey,
        content: &T,
        condition: &Condition,
    ) -> Result<(), DocumentError> {
        let sealed = sealed::seal_signed(content, self.purpose, &*self.signer).await;
        let bytes = sealed.map_err(|error| DocumentError::of_seal(self.name(key), error))?;
        self.store.put(key, NewObject::new(bytes), condition).await?;
        Ok(())
    }

    pub(crate) fn name(&self, key: &ObjectKey) -> String {
        self.store.describe(key.as_str())
    }
}
