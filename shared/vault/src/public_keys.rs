//! [`PublicKeyCopies`]: the public keys of every version of the signing key, in the object store.
//!
//! Transit lists the public keys of the versions that it may verify with; a raised `min_decryption_version` removes earlier ones from the list.
//! The copy keeps them, so that what they have signed remains verifiable. It is signed itself: the store is not trusted.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::paths;
use crate::sign::{PublicKeyVersion, Signer, SigningPurpose};
use crate::signed_documents::{DocumentError, SignedDocuments};
use crate::store::{Condition, ObjectStore};

/// How often the write is repeated when another process wrote the copy meanwhile.
const MAX_WRITES: u32 = 5;

/// The content of the copy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Copied {
    keys: Vec<PublicKeyVersion>,
}

/// The copy of the public keys of a signer.
#[derive(Clone, Debug)]
pub struct PublicKeyCopies {
    documents: SignedDocuments,
}

impl PublicKeyCopies {
    /// The copy in this store.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, signer: Arc<dyn Signer>) -> Self {
        Self {
            documents: SignedDocuments {
                store,
                signer,
                purpose: SigningPurpose::PublicKeys,
            },
        }
    }

    /// Lets the signer verify with the versions of the copy that the service does not list any more. Returns how many versions the copy has.
    ///
    /// # Errors
    /// The copy cannot be read, or its signature is not accepted.
    pub async fn remember(&self) -> Result<usize, DocumentError> {
        let read = self.documents.read::<Copied>(&paths::public_keys()).await?;
        let keys = read.map(|(copied, _)| copied.keys).unwrap_or_default();
        self.documents.signer.remember(&keys);
        Ok(keys.len())
    }

    /// Adds the versions that the signer lists to the copy. Returns whether there was a new one. Safe to repeat.
    ///
    /// # Errors
    /// As [`PublicKeyCopies::remember`]; [`DocumentError::OtherKey`] where a version has another public key than its copy.
    pub async fn copy(&self) -> Result<bool, DocumentError> {
        let key = paths::public_keys();
        let mut writes = 0;
        loop {
            let read = self.documents.read::<Copied>(&key).await?;
            let (mut copied, condition) = match read {
                Some((copied, version)) => (copied, Condition::Version(version)),
                None => (Copied::default(), Condition::Absent),
            };
            self.documents.signer.remember(&copied.keys);
            let listed = self.documents.signer.public_keys().await;
            let is_new = self.add(&mut copied, listed.map_err(DocumentError::PublicKeys)?)?;
            if !is_new {
                return Ok(false);
            }
            writes += 1;
            match self.documents.write(&key, &copied, &condition).await {
                Ok(()) => return Ok(true),
                Err(DocumentError::Store(error)) if error.is_condition_failed() && writes < MAX_WRITES => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn add(&self, copied: &mut Copied, listed: Vec<PublicKeyVersion>) -> Result<bool, DocumentError> {
        let mut is_new = false;
        for key in listed {
            let present = |known: &&PublicKeyVersion| known.key == key.key && known.version == key.version;
            match copied.keys.iter().find(present) {
                Some(known) if known.public_key == key.public_key => {}
                Some(_) => {
                    return Err(DocumentError::OtherKey {
                        object: self.documents.name(&paths::public_keys()),
                        key: key.key,
                        version: key.version,
                    });
                }
                None => {
                    copied.keys.push(key);
                    is_new = true;
                }
            }
        }
        Ok(is_new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::LocalSigner;
    use crate::store::FolderStore;

    #[tokio::test]
    async fn versions_are_added_at_each_rotation_and_none_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let signer = Arc::new(LocalSigner::generate().unwrap());
        let copies = PublicKeyCopies::new(
            Arc::new(FolderStore::new(folder.path())),
            Arc::clone(&signer) as Arc<dyn Signer>,
        );
        assert_eq!(copies.remember().await.unwrap(), 0);
        assert!(copies.copy().await.unwrap());
        assert!(!copies.copy().await.unwrap());
        for versions in 2..4 {
            signer.rotate().await.unwrap();
            assert!(copies.copy().await.unwrap());
            assert_eq!(copies.remember().await.unwrap(), versions);
        }
    }

    #[tokio::test]
    async fn copy_that_another_key_has_signed_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let copies =
            |signer: LocalSigner| PublicKeyCopies::new(Arc::new(FolderStore::new(folder.path())), Arc::new(signer));
        copies(LocalSigner::generate().unwrap()).copy().await.unwrap();
        let refused = copies(LocalSigner::generate().unwrap()).copy().await.unwrap_err();
        assert!(matches!(refused, DocumentError::Damaged { .. }), "{refused}");
    }
}
