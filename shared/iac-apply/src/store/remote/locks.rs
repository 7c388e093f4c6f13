//! Records of locks that several machines share.

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use arrakis_vault::store::Version;
use arrakis_vault::{Condition, NewObject, ObjectKey, ObjectStore};
use async_trait::async_trait;

use super::{found, object_key};
use crate::store::{LockRecord, StoreError};

/// A table of lock records, in which a record is created only where there is none.
#[async_trait]
pub trait LockTable: Debug + Send + Sync {
    /// Creates the record, unless there is one of this name. Returns whether it was created.
    ///
    /// # Errors
    /// The table cannot be written, or the outcome is unknown.
    async fn create(&self, name: &str, record: &LockRecord) -> Result<bool, StoreError>;

    /// The record of this name.
    ///
    /// # Errors
    /// The table or the record cannot be read.
    async fn read(&self, name: &str) -> Result<Option<LockRecord>, StoreError>;

    /// Removes the record of this name if it has this id. Returns whether it had. A request whose response is lost is repeated after it
    /// took effect, so the record is read first: it existed until the removal, also where the request does not find it.
    ///
    /// # Errors
    /// The table or the record cannot be read or written.
    async fn remove(&self, name: &str, id: &str) -> Result<bool, StoreError>;

    /// Removes the record of this name if it cannot be read. Returns whether it did.
    ///
    /// # Errors
    /// The table cannot be read or written.
    async fn remove_unreadable(&self, name: &str) -> Result<bool, StoreError>;
}

/// Locks as objects, by conditional writes. The name of a lock is its key.
#[derive(Clone, Debug)]
pub struct ObjectLocks {
    objects: Arc<dyn ObjectStore>,
}

impl ObjectLocks {
    /// Deletes a record in this version. Returns whether it did.
    async fn delete(&self, key: &ObjectKey, version: &Version) -> Result<bool, StoreError> {
        match self.objects.delete(key, Some(version)).await {
            Ok(()) => Ok(true),
            // It was removed meanwhile, and another operation has taken the lock.
            Err(error) if error.is_condition_failed() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Locks in this store.
    #[must_use]
    pub fn new(objects: Arc<dyn ObjectStore>) -> Self {
        Self { objects }
    }

    fn parse(&self, key: &ObjectKey, bytes: &[u8]) -> Result<LockRecord, StoreError> {
        serde_json::from_slice(bytes).map_err(|error| StoreError::LockRecord {
            path: PathBuf::from(self.objects.describe(key.as_str())),
            reason: error.to_string(),
            is_shared: true,
        })
    }
}

#[async_trait]
impl LockTable for ObjectLocks {
    async fn create(&self, name: &str, record: &LockRecord) -> Result<bool, StoreError> {
        let key = object_key(name.to_owned())?;
        let text = serde_json::to_vec_pretty(record).map_err(|error| StoreError::Backend(error.to_string()))?;
        match self.objects.put(&key, NewObject::new(text), &Condition::Absent).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_condition_failed() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn read(&self, name: &str) -> Result<Option<LockRecord>, StoreError> {
        let key = object_key(name.to_owned())?;
        let object = found(self.objects.get(&key).await)?;
        object.map(|object| self.parse(&key, &object.bytes)).transpose()
    }

    async fn remove(&self, name: &str, id: &str) -> Result<bool, StoreError> {
        let key = object_key(name.to_owned())?;
        let Some(object) = found(self.objects.get(&key).await)? else {
            return Ok(false);
        };
        if self.parse(&key, &object.bytes)?.id != id {
            return Ok(false);
        }
        // A repeated request finds the record of the next operation.
        self.delete(&key, &object.head.version).await?;
        Ok(true)
    }

    async fn remove_unreadable(&self, name: &str) -> Result<bool, StoreError> {
        let key = object_key(name.to_owned())?;
        match found(self.objects.get(&key).await)? {
            Some(object) if self.parse(&key, &object.bytes).is_err() => self.delete(&key, &object.head.version).await,
            _ => Ok(false),
        }
    }
}
