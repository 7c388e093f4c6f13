//! The theme registry under two processes.

use std::sync::Arc;

use arrakis_vault::store::{ListedObject, ObjectHead, Tags, Version};
use arrakis_vault::{
    Condition, Deployment, LimitPolicy, NewObject, Object, ObjectKey, ObjectStore, Signer, StoreError, Vault,
    VaultParts,
};
use async_trait::async_trait;
use parking_lot::Mutex;

use crate::support::{LocalVault, SERVER, deployment};

/// A store in which another process records a deployment just before the first write of the registry.
#[derive(Debug)]
struct Overtaken {
    store: Arc<dyn ObjectStore>,
    other: Vault,
    recorded: Mutex<Option<Deployment>>,
}

#[async_trait]
impl ObjectStore for Overtaken {
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
        let is_registry = key.as_str().ends_with("/registry.json");
        let recorded = self.recorded.lock().take_if(|_| is_registry);
        if let Some(deployment) = recorded {
            self.other.record_deployment(SERVER, &deployment).await.unwrap();
        }
        self.store.put(key, object, condition).await
    }

    async fn get(&self, key: &ObjectKey) -> Result<Object, StoreError> {
        self.store.get(key).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectHead, StoreError> {
        self.store.head(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ListedObject>, StoreError> {
        self.store.list(prefix).await
    }

    async fn delete(&self, key: &ObjectKey, only: Option<&Version>) -> Result<(), StoreError> {
        self.store.delete(key, only).await
    }

    async fn tags(&self, key: &ObjectKey) -> Result<Tags, StoreError> {
        self.store.tags(key).await
    }

    async fn set_tags(&self, key: &ObjectKey, tags: &Tags) -> Result<(), StoreError> {
        self.store.set_tags(key, tags).await
    }
}

#[tokio::test]
async fn deployment_that_is_recorded_during_a_rebuild_is_in_the_registry() {
    for is_recorded in [false, true] {
        let local = LocalVault::new(LimitPolicy::Unlimited);
        // Also where there is no registry yet.
        let before = i64::from(is_recorded);
        for number in 0..before {
            local
                .vault
                .record_deployment(SERVER, &deployment(number))
                .await
                .unwrap();
        }
        let meanwhile = deployment(before);
        let rebuilding = Vault::new(VaultParts {
            store: Arc::new(Overtaken {
                store: Arc::clone(local.vault.store()),
                other: local.vault.clone(),
                recorded: Mutex::new(Some(meanwhile.clone())),
            }),
            catalogue: Arc::clone(local.vault.catalogue()),
            signer: local.signer.clone() as Arc<dyn Signer>,
            limits: LimitPolicy::Unlimited,
        });
        let rebuilt = rebuilding.rebuild_theme_registry(SERVER).await.unwrap();
        let stored = local.vault.theme_registry(SERVER).await.unwrap();
        assert_eq!(stored, rebuilt.registry);
        assert_eq!(stored.deployments.last().map(|last| last.id), Some(meanwhile.id));
        assert_eq!(stored.deployments.len(), usize::try_from(before).unwrap() + 1);
    }
}
