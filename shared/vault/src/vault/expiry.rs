//! Expiry: a record is removed from lists, and its objects get the tag by which the store deletes them.

use time::OffsetDateTime;

use super::Vault;
use crate::error::VaultError;
use crate::key::ObjectKey;
use crate::paths;
use crate::record::{BackupRecord, RecordKind};
use crate::store::StoreError;

/// Tag of objects that the store may delete, by its lifecycle rules.
const RETAIN: (&str, &str) = ("Retain", "expired");

impl Vault {
    /// Removes a record from lists and tags its objects. Can be repeated.
    pub(super) async fn expire(&self, record: &BackupRecord, now: OffsetDateTime) -> Result<(), VaultError> {
        if !record.is_expired(now) {
            self.parts.catalogue.set_expiry(record, Some(now)).await?;
        }
        for key in self.objects_of(record).await? {
            self.tag_expired(&key).await?;
        }
        Ok(())
    }

    /// Adds a record to lists again and removes the tags of its objects. Can be repeated.
    pub(super) async fn unexpire(&self, record: &BackupRecord) -> Result<(), VaultError> {
        for key in self.objects_of(record).await? {
            self.untag(&key).await?;
        }
        Ok(self.parts.catalogue.set_expiry(record, None).await?)
    }

    /// Removes the tag of expired objects.
    pub(super) async fn untag(&self, key: &ObjectKey) -> Result<(), VaultError> {
        let mut tags = self.parts.store.tags(key).await?;
        if tags.remove(RETAIN.0).is_some() {
            self.parts.store.set_tags(key, &tags).await?;
        }
        Ok(())
    }

    /// Tags an object for the store to delete, or deletes it where the store does not. Returns whether that is new.
    pub(super) async fn retire(&self, key: &ObjectKey) -> Result<bool, VaultError> {
        if self.parts.store.deletes_tagged() {
            return self.tag_expired(key).await;
        }
        self.parts.store.delete(key, None).await?;
        Ok(true)
    }

    /// Whether an object has the tag of expired objects; true as well where it does not exist any more.
    pub(super) async fn is_retired(&self, key: &ObjectKey) -> Result<bool, VaultError> {
        match self.parts.store.tags(key).await {
            Ok(tags) => Ok(tags.get(RETAIN.0).is_some_and(|value| value == RETAIN.1)),
            Err(StoreError::NotFound { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Adds the tag. Returns whether it is new: not where the object does not exist any more.
    async fn tag_expired(&self, key: &ObjectKey) -> Result<bool, VaultError> {
        let tagged = async {
            let mut tags = self.parts.store.tags(key).await?;
            if tags.insert(RETAIN.0.to_owned(), RETAIN.1.to_owned()).as_deref() == Some(RETAIN.1) {
                return Ok(false);
            }
            self.parts.store.set_tags(key, &tags).await?;
            Ok::<bool, StoreError>(true)
        };
        match tagged.await {
            Err(StoreError::NotFound { .. }) => Ok(false),
            tagged => Ok(tagged?),
        }
    }

    /// The objects of a record: the compressed state, or everything in the folder of a snapshot, its manifest last.
    pub(super) async fn objects_of(&self, record: &BackupRecord) -> Result<Vec<ObjectKey>, VaultError> {
        let main = record.object()?;
        let mut keys = Vec::new();
        if record.kind == RecordKind::Snapshot {
            let listed = self
                .parts
                .store
                .list(&paths::snapshot(record.server, record.id))
                .await?;
            keys.extend(listed.into_iter().map(|object| object.key).filter(|key| *key != main));
        }
        keys.push(main);
        Ok(keys)
    }
}
