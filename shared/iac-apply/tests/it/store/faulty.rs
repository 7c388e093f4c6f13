//! An object store in a folder that fails as a test requires.

use std::sync::{Arc, Mutex};

use arrakis_vault::store::{ListedObject, ObjectHead, Tags, Version};
use arrakis_vault::{Condition, FolderStore, NewObject, Object, ObjectKey, ObjectStore, StoreError};
use async_trait::async_trait;

/// What happens to the next write of an object whose key ends in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It takes effect, and the response is lost.
    LostResponse,
    /// It does not take effect.
    Refused,
}

/// The store, with the faults that are left.
#[derive(Clone, Debug)]
pub(super) struct FaultyStore {
    inner: FolderStore,
    ignores_conditions: bool,
    faults: Arc<Mutex<Vec<(&'static str, Fault)>>>,
    /// What another process creates before the next deletion is repeated.
    created: Arc<Mutex<Option<NewObject>>>,
}

impl FaultyStore {
    pub(super) fn new(inner: FolderStore) -> Self {
        Self {
            inner,
            ignores_conditions: false,
            faults: Arc::default(),
            created: Arc::default(),
        }
    }

    /// A store that writes under any condition, as some S3-compatible ones do.
    pub(super) fn ignoring_conditions(inner: FolderStore) -> Self {
        Self {
            ignores_conditions: true,
            ..Self::new(inner)
        }
    }

    /// Lets the next write of an object whose key ends in `key` fail.
    pub(super) fn arm(&self, key: &'static str, fault: Fault) {
        self.faults.lock().unwrap().push((key, fault));
    }

    /// The next deletion takes effect, and its response is lost. Another process creates the object again, and the request is repeated.
    pub(super) fn overtake_deletion(&self, created: NewObject) {
        *self.created.lock().unwrap() = Some(created);
    }

    fn fault(&self, key: &ObjectKey) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap();
        let place = faults.iter().position(|(end, _)| key.as_str().ends_with(end))?;
        Some(faults.remove(place).1)
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    fn describe(&self, key: &str) -> String {
        self.inner.describe(key)
    }

    fn deletes_tagged(&self) -> bool {
        self.inner.deletes_tagged()
    }

    async fn check(&self) -> Result<(), StoreError> {
        match self.ignores_conditions {
            true => Err(StoreError::IgnoresConditions {
                store: self.describe(""),
            }),
            false => self.inner.check().await,
        }
    }

    async fn put(&self, key: &ObjectKey, object: NewObject, condition: &Condition) -> Result<Version, StoreError> {
        let failed = |reason: &str| StoreError::UnknownOutcome {
            operation: "write",
            object: self.describe(key.as_str()),
            reason: reason.to_owned(),
        };
        match self.fault(key) {
            Some(Fault::Refused) => Err(failed("the request was not received")),
            Some(Fault::LostResponse) => {
                self.inner.put(key, object, condition).await?;
                Err(failed("the response was lost"))
            }
            None if self.ignores_conditions => self.inner.put(key, object, &Condition::Any).await,
            None => self.inner.put(key, object, condition).await,
        }
    }

    async fn get(&self, key: &ObjectKey) -> Result<Object, StoreError> {
        self.inner.get(key).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectHead, StoreError> {
        self.inner.head(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ListedObject>, StoreError> {
        self.inner.list(prefix).await
    }

    async fn delete(&self, key: &ObjectKey, only: Option<&Version>) -> Result<(), StoreError> {
        let created = self.created.lock().unwrap().take();
        if let Some(created) = created {
            self.inner.delete(key, only).await?;
            self.inner.put(key, created, &Condition::Absent).await?;
        }
        self.inner.delete(key, only).await
    }

    async fn tags(&self, key: &ObjectKey) -> Result<Tags, StoreError> {
        self.inner.tags(key).await
    }

    async fn set_tags(&self, key: &ObjectKey, tags: &Tags) -> Result<(), StoreError> {
        self.inner.set_tags(key, tags).await
    }
}
