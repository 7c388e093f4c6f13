//! The store and the catalogue of one attempt. Each write is preceded by the job's progress, so that an attempt whose job another worker has
//! started since, as after a pause of its machine, ends before its next write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrakis_db::{CommunityId, Database, DbError};
use arrakis_vault::catalogue::{CatalogueError, CatalogueHook, HookedCatalogue, RecordWrite};
use arrakis_vault::store::{HookedStore, StoreHook, StoreOperation};
use arrakis_vault::{BackupRecord, Catalogue, ObjectKey, ObjectStore, StoreError, Vault, VaultParts};
use async_trait::async_trait;

use super::Steps;
use crate::failure::Failure;
use crate::jobs::JobRun;

/// Why a write is refused.
const LOST: &str = "another worker has started this job";

/// Whether an attempt is still the latest one of its job.
#[derive(Debug)]
pub(super) struct AttemptGuard {
    database: Database,
    community: CommunityId,
    id: String,
    number: u32,
    steps: Arc<Steps>,
    is_lost: AtomicBool,
}

/// Why a write must not begin.
enum Stopped {
    Lost,
    Unknown(DbError),
}

impl AttemptGuard {
    pub(super) fn of(run: &JobRun<'_>, steps: Arc<Steps>) -> Self {
        Self {
            database: run.services.database.clone(),
            community: run.community.id(),
            id: run.id.to_owned(),
            number: run.attempt,
            steps,
            is_lost: AtomicBool::new(false),
        }
    }

    /// The failure of the attempt after it has lost its job, whatever its own error is.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.is_lost.load(Ordering::Relaxed).then(|| Failure::drop(LOST))
    }

    async fn check(&self) -> Result<(), Stopped> {
        if self.is_lost.load(Ordering::Relaxed) {
            return Err(Stopped::Lost);
        }
        match self.progress().await {
            Ok(true) => Ok(()),
            Ok(false) => {
                self.is_lost.store(true, Ordering::Relaxed);
                Err(Stopped::Lost)
            }
            Err(error) => Err(Stopped::Unknown(error)),
        }
    }

    async fn progress(&self) -> Result<bool, DbError> {
        let done = u32::try_from(self.steps.0.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        let mut tx = self.database.tenant(self.community).await?;
        let is_latest = tx.jobs().progress(&self.id, self.number, done, None).await?;
        tx.commit().await?;
        Ok(is_latest)
    }
}

/// The vault whose writes this guard permits.
pub(super) fn guarded(vault: &Vault, guard: &Arc<AttemptGuard>) -> Vault {
    Vault::new(VaultParts {
        store: Arc::new(HookedStore::new(vault.store().clone(), guard.clone())),
        catalogue: Arc::new(HookedCatalogue::new(vault.catalogue().clone(), guard.clone())),
        signer: vault.signer().clone(),
        limits: vault.limits(),
    })
}

#[async_trait]
impl StoreHook for AttemptGuard {
    async fn before(
        &self,
        store: &dyn ObjectStore,
        operation: StoreOperation,
        key: &ObjectKey,
    ) -> Result<(), StoreError> {
        let operation = match operation {
            StoreOperation::Read => return Ok(()),
            StoreOperation::Put => "write",
            StoreOperation::Delete => "delete",
            StoreOperation::SetTags => "tag",
        };
        let object = || store.describe(key.as_str());
        self.check().await.map_err(|stopped| match stopped {
            Stopped::Lost => StoreError::Refused {
                operation,
                object: object(),
                reason: LOST.to_owned(),
            },
            Stopped::Unknown(error) => StoreError::Unavailable {
                operation,
                object: object(),
                attempts: 1,
                reason: error.to_string(),
            },
        })
    }
}

#[async_trait]
impl CatalogueHook for AttemptGuard {
    async fn before(
        &self,
        catalogue: &dyn Catalogue,
        write: RecordWrite,
        _record: &BackupRecord,
    ) -> Result<(), CatalogueError> {
        let operation = match write {
            RecordWrite::Insert | RecordWrite::SetExpiry => "write",
            RecordWrite::Delete => "delete",
        };
        let item = || catalogue.describe();
        self.check().await.map_err(|stopped| match stopped {
            Stopped::Lost => CatalogueError::Refused {
                operation,
                item: item(),
                reason: LOST.to_owned(),
            },
            Stopped::Unknown(error) => CatalogueError::Unavailable {
                operation,
                item: item(),
                attempts: 1,
                reason: error.to_string(),
            },
        })
    }
}
