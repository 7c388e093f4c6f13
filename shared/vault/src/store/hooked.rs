//! [`HookedStore`]: a store that runs a hook before each operation on an object.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Condition, ListedObject, NewObject, Object, ObjectHead, ObjectStore, StoreError, Tags, Version};
use crate::key::ObjectKey;

/// An operation on an object, by the method of [`ObjectStore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreOperation {
    /// [`ObjectStore::put`].
    Put,
    /// [`ObjectStore::get`], [`ObjectStore::head`], [`ObjectStore::is_plain`] or [`ObjectStore::tags`].
    Read,
    /// [`ObjectStore::delete`].
    Delete,
    /// [`ObjectStore::set_tags`].
    SetTags,
}

/// Runs before each operation on an object of a [`HookedStore`].
#[async_trait]
pub trait StoreHook: Debug + Send + Sync {
    /// Runs before an operation on an object of `store`.
    ///
    /// # Errors
    /// The error becomes the result of the operation, which is not sent to the store.
    async fn before(
        &self,
        store: &dyn ObjectStore,
        operation: StoreOperation,
        key: &ObjectKey,
    ) -> Result<(), StoreError>;
}

/// A store that runs a hook before each operation on an object. Lists and checks run without it.
#[derive(Clone, Debug)]
pub struct HookedStore {
    store: Arc<dyn ObjectStore>,
    hook: Arc<dyn StoreHook>,
}

impl HookedStore {
    /// The store with this hook.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, hook: Arc<dyn StoreHook>) -> Self {
        Self { store, hook }
    }

    async fn before(&self, operation: StoreOperation, key: &ObjectKey) -> Result<(), StoreError> {
        self.hook.before(&*self.store, operation, key).await
    }
}

#[async_trait]
impl ObjectStore for HookedStore {
    fn describe(&self, key: &str) -> String {
        self.store.describe(key)
    }

    fn deletes_tagged(&self) -> bool {
        self.store.deletes_tagged()
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.store.check().await
    }

    async fn put(&self, key: &ObjectKey, object: NewObject, condition: &Condition) -> Result<Version, StoreError> {
        self.before(StoreOperation::Put, key).await?;
        self.store.put(key, object, condition).await
    }

    async fn get(&self, key: &ObjectKey) -> Result<Object, StoreError> {
        self.before(StoreOperation::Read, key).await?;
        self.store.get(key).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectHead, StoreError> {
        self.before(StoreOperation::Read, key).await?;
        self.store.head(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ListedObject>, StoreError> {
        self.store.list(prefix).await
    }

    async fn delete(&self, key: &ObjectKey, only: Option<&Version>) -> Result<(), StoreError> {
        self.before(StoreOperation::Delete, key).await?;
        self.store.delete(key, only).await
    }

    async fn is_plain(&self, key: &ObjectKey) -> Result<bool, StoreError> {
        self.before(StoreOperation::Read, key).await?;
        self.store.is_plain(key).await
    }

    async fn tags(&self, key: &ObjectKey) -> Result<Tags, StoreError> {
        self.before(StoreOperation::Read, key).await?;
        self.store.tags(key).await
    }

    async fn set_tags(&self, key: &ObjectKey, tags: &Tags) -> Result<(), StoreError> {
        self.before(StoreOperation::SetTags, key).await?;
        self.store.set_tags(key, tags).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::FolderStore;

    /// Refuses one operation.
    #[derive(Debug)]
    struct Refusing(StoreOperation);

    #[async_trait]
    impl StoreHook for Refusing {
        async fn before(
            &self,
            store: &dyn ObjectStore,
            operation: StoreOperation,
            key: &ObjectKey,
        ) -> Result<(), StoreError> {
            if operation != self.0 {
                return Ok(());
            }
            Err(StoreError::Refused {
                operation: "use",
                object: store.describe(key.as_str()),
                reason: "by the hook".to_owned(),
            })
        }
    }

    #[tokio::test]
    async fn operation_that_the_hook_refuses_is_not_sent() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(FolderStore::new(folder.path()));
        let key = ObjectKey::new("a").unwrap();
        let tags = Tags::from([("Tier".to_owned(), "free".to_owned())]);
        let refused = |operation| HookedStore::new(store.clone(), Arc::new(Refusing(operation)));
        let put = refused(StoreOperation::Put)
            .put(&key, NewObject::new("x"), &Condition::Any)
            .await;
        assert!(put.unwrap_err().to_string().contains("by the hook"));
        assert_eq!(store.list("").await.unwrap(), []);
        let readable = refused(StoreOperation::SetTags);
        readable.put(&key, NewObject::new("x"), &Condition::Any).await.unwrap();
        assert!(readable.set_tags(&key, &tags).await.is_err());
        assert_eq!(readable.tags(&key).await.unwrap(), Tags::new());
        assert!(refused(StoreOperation::Delete).delete(&key, None).await.is_err());
        assert!(refused(StoreOperation::Read).get(&key).await.is_err());
        assert_eq!(readable.get(&key).await.unwrap().bytes, b"x");
    }
}
