//! The theme registry under two processes.

use std::sync::Arc;

use arrakis_vault::store::{HookedStore, StoreHook, StoreOperation};
use arrakis_vault::{Deployment, LimitPolicy, ObjectKey, ObjectStore, Signer, StoreError, Vault, VaultParts};
use async_trait::async_trait;
use parking_lot::Mutex;

use crate::support::{LocalVault, SERVER, deployment};

/// Another process, which records a deployment just before the first write of the registry.
#[derive(Debug)]
struct OtherProcess {
    vault: Vault,
    recorded: Mutex<Option<Deployment>>,
}

#[async_trait]
impl StoreHook for OtherProcess {
    async fn before(
        &self,
        _store: &dyn ObjectStore,
        operation: StoreOperation,
        key: &ObjectKey,
    ) -> Result<(), StoreError> {
        let is_registry = operation == StoreOperation::Put && key.as_str().ends_with("/registry.json");
        let recorded = self.recorded.lock().take_if(|_| is_registry);
        if let Some(deployment) = recorded {
            self.vault.record_deployment(SERVER, &deployment).await.unwrap();
        }
        Ok(())
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
            store: Arc::new(HookedStore::new(
                Arc::clone(local.vault.store()),
                Arc::new(OtherProcess {
                    vault: local.vault.clone(),
                    recorded: Mutex::new(Some(meanwhile.clone())),
                }),
            )),
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
