//! [`ChainAnchors`]: heads of the chain of identity events, outside of the database.
//!
//! A chain does not show that its own tail and head were removed together. An anchor does: it names an event that the chain once had, with its
//! hash, and is signed. An anchor is written once, at a key that contains the number of the event, and is never replaced.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::key::ObjectKey;
use crate::paths;
use crate::sealed;
use crate::sign::{Signer, SigningPurpose};
use crate::signed_documents::{DocumentError, SignedDocuments};
use crate::store::{Condition, ObjectStore};

/// The head of the chain of identity events at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainAnchor {
    /// Sequence number of the last event, from 1.
    pub sequence: u64,
    /// Hash of the last event, in 64 hexadecimal digits.
    pub hash: String,
    /// When the anchor was made.
    #[serde(with = "time::serde::rfc3339")]
    pub anchored: OffsetDateTime,
}

impl ChainAnchor {
    /// The signed document of the anchor: one line of JSON, to be kept anywhere.
    ///
    /// # Errors
    /// It cannot be signed.
    pub async fn document(&self, signer: &dyn Signer) -> Result<Vec<u8>, DocumentError> {
        let sealed = sealed::seal_signed(self, SigningPurpose::ChainHead, signer).await;
        sealed.map_err(|error| DocumentError::of_seal("the anchor".to_owned(), error))
    }

    /// The anchor in a signed document; `name` is that of its file.
    ///
    /// # Errors
    /// The document is damaged, or its signature is not accepted.
    pub async fn from_document(name: &str, bytes: &[u8], signer: &dyn Signer) -> Result<Self, DocumentError> {
        let opened = sealed::open_signed(bytes.trim_ascii(), SigningPurpose::ChainHead, signer).await;
        opened.map_err(|damage| DocumentError::of_damage(name.to_owned(), damage))
    }
}

/// The anchors in an object store.
#[derive(Clone, Debug)]
pub struct ChainAnchors {
    documents: SignedDocuments,
}

impl ChainAnchors {
    /// The anchors in this store, signed by this signer.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, signer: Arc<dyn Signer>) -> Self {
        Self {
            documents: SignedDocuments {
                store,
                signer,
                purpose: SigningPurpose::ChainHead,
            },
        }
    }

    /// The name of the object of an anchor, for messages.
    #[must_use]
    pub fn name(&self, key: &ObjectKey) -> String {
        self.documents.name(key)
    }

    /// The keys of all anchors, in the order of their events.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn list(&self) -> Result<Vec<ObjectKey>, DocumentError> {
        let objects = self.documents.store.list(paths::CHAIN_ANCHORS).await?;
        Ok(objects.into_iter().map(|object| object.key).collect())
    }

    /// An anchor; `None` where it was deleted since it was listed.
    ///
    /// # Errors
    /// The object is damaged, its signature is not accepted, or it is the anchor of another event than its key names.
    pub async fn read(&self, key: &ObjectKey) -> Result<Option<ChainAnchor>, DocumentError> {
        let Some((anchor, _)) = self.documents.read::<ChainAnchor>(key).await? else {
            return Ok(None);
        };
        if paths::chain_anchor(anchor.sequence) != *key {
            let damage = crate::damage::Damage::Content(format!("it is the anchor of event {}", anchor.sequence));
            return Err(DocumentError::of_damage(self.name(key), damage));
        }
        Ok(Some(anchor))
    }

    /// The anchor of the latest event; `None` where there is none.
    ///
    /// # Errors
    /// As [`ChainAnchors::read`].
    pub async fn latest(&self) -> Result<Option<ChainAnchor>, DocumentError> {
        match self.list().await?.last() {
            Some(key) => self.read(key).await,
            None => Ok(None),
        }
    }

    /// Writes an anchor. Returns whether it was written: not where the event has one, which is kept.
    ///
    /// # Errors
    /// The anchor cannot be signed or written.
    pub async fn write(&self, anchor: &ChainAnchor) -> Result<bool, DocumentError> {
        let key = paths::chain_anchor(anchor.sequence);
        match self.documents.write(&key, anchor, &Condition::Absent).await {
            Ok(()) => Ok(true),
            Err(DocumentError::Store(error)) if error.is_condition_failed() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use time::macros::datetime;

    use super::*;
    use crate::sign::LocalSigner;
    use crate::store::FolderStore;

    fn anchor(sequence: u64) -> ChainAnchor {
        ChainAnchor {
            sequence,
            hash: "ab".repeat(32),
            anchored: datetime!(2026-12-01 12:00 UTC),
        }
    }

    fn anchors(folder: &tempfile::TempDir, signer: LocalSigner) -> ChainAnchors {
        ChainAnchors::new(Arc::new(FolderStore::new(folder.path())), Arc::new(signer))
    }

    #[tokio::test]
    async fn latest_anchor_is_that_of_the_latest_event() {
        let folder = tempfile::tempdir().unwrap();
        let anchors = anchors(&folder, LocalSigner::generate().unwrap());
        assert_eq!(anchors.latest().await.unwrap(), None);
        for sequence in [9, 100, 20] {
            assert!(anchors.write(&anchor(sequence)).await.unwrap());
        }
        assert_eq!(anchors.latest().await.unwrap(), Some(anchor(100)));
        let mut other = anchor(100);
        other.hash = "cd".repeat(32);
        assert!(!anchors.write(&other).await.unwrap());
        assert_eq!(anchors.latest().await.unwrap(), Some(anchor(100)));
        assert_eq!(anchors.list().await.unwrap().len(), 3);
    }

    #[tokio::test]
    async fn anchor_of_another_key_or_under_another_name_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let one = anchors(&folder, LocalSigner::generate().unwrap());
        one.write(&anchor(7)).await.unwrap();
        let path = |sequence| folder.path().join(paths::chain_anchor(sequence).as_str());
        fs::copy(path(7), path(8)).unwrap();
        let renamed = one.latest().await.unwrap_err().to_string();
        assert!(renamed.contains("it is the anchor of event 7"), "{renamed}");
        let other = anchors(&folder, LocalSigner::generate().unwrap());
        let refused = other.read(&paths::chain_anchor(7)).await.unwrap_err();
        assert!(
            refused.to_string().contains("not trusted") && !refused.is_transient(),
            "{refused}"
        );
    }

    #[tokio::test]
    async fn printed_anchor_is_read_again_and_a_changed_one_refused() {
        let signer = LocalSigner::generate().unwrap();
        let mut document = anchor(7).document(&signer).await.unwrap();
        document.push(b'\n');
        let read = ChainAnchor::from_document("anchor.json", &document, &signer).await;
        assert_eq!(read.unwrap(), anchor(7));
        let changed = String::from_utf8(document).unwrap().replace(":7,", ":6,");
        let refused = ChainAnchor::from_document("anchor.json", changed.as_bytes(), &signer).await;
        assert!(refused.unwrap_err().to_string().starts_with("anchor.json is damaged"));
    }
}
