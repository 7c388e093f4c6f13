//! The store and the catalogue of one attempt. Each write is preceded by the job's progress, so that an attempt whose job another worker has
//! started since, as after a pause of its machine, ends before its next write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrakis_db::{CommunityId, Database, DbError};
use arrakis_domain::Plan;
use arrakis_vault::catalogue::CatalogueError;
use arrakis_vault::store::{ListedObject, ObjectHead, Tags, Version};
use arrakis_vault::{
    BackupRecord, Catalogue, Condition, ListRequest, NewObject, Object, ObjectKey, ObjectStore, Page, ServerId,
    StoreError, Use, Vault, VaultParts,
};
use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

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
        store: Arc::new(GuardedStore {
            store: vault.store().clone(),
            guard: guard.clone(),
        }),
        catalogue: Arc::new(GuardedCatalogue {
            catalogue: vault.catalogue().clone(),
            guard: guard.clone(),
        }),
        signer: vault.signer().clone(),
        limits: vault.limits(),
    })
}

#[derive(Debug)]
struct GuardedStore {
    store: Arc<dyn ObjectStore>,
    guard: Arc<AttemptGuard>,
}

impl GuardedStore {
    async fn check_attempt(&self, operation: &'static str, key: &ObjectKey) -> Result<(), StoreError> {
        let object = || self.store.describe(key.as_str());
        self.guard.check().await.map_err(|stopped| match stopped {
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
impl ObjectStore for GuardedStore {
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
        self.check_attempt("write", key).await?;
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
        self.check_attempt("delete", key).await?;
        self.store.delete(key, only).await
    }

    async fn tags(&self, key: &ObjectKey) -> Result<Tags, StoreError> {
        self.store.tags(key).await
    }

    async fn set_tags(&self, key: &ObjectKey, tags: &Tags) -> Result<(), StoreError> {
        self.check_attempt("tag", key).await?;
        self.store.set_tags(key, tags).await
    }
}

#[derive(Debug)]
struct GuardedCatalogue {
    catalogue: Arc<dyn Catalogue>,
    guard: Arc<AttemptGuard>,
}

impl GuardedCatalogue {
    async fn check_attempt(&self, operation: &'static str) -> Result<(), CatalogueError> {
        let item = || self.catalogue.describe();
        self.guard.check().await.map_err(|stopped| match stopped {
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

#[async_trait]
impl Catalogue for GuardedCatalogue {
    fn describe(&self) -> String {
        self.catalogue.describe()
    }

    async fn insert(&self, record: &BackupRecord) -> Result<(), CatalogueError> {
        self.check_attempt("write").await?;
        self.catalogue.insert(record).await
    }

    async fn get(&self, id: Uuid, server: Option<ServerId>) -> Result<Option<BackupRecord>, CatalogueError> {
        self.catalogue.get(id, server).await
    }

    async fn list(&self, request: &ListRequest) -> Result<Page, CatalogueError> {
        self.catalogue.list(request).await
    }

    async fn delete(&self, record: &BackupRecord) -> Result<(), CatalogueError> {
        self.check_attempt("delete").await?;
        self.catalogue.delete(record).await
    }

    async fn set_expiry(&self, record: &BackupRecord, expires: Option<OffsetDateTime>) -> Result<(), CatalogueError> {
        self.check_attempt("write").await?;
        self.catalogue.set_expiry(record, expires).await
    }

    async fn take(&self, wanted: &Use) -> Result<bool, CatalogueError> {
        self.catalogue.take(wanted).await
    }

    async fn give_back(&self, taken: &Use) -> Result<(), CatalogueError> {
        self.catalogue.give_back(taken).await
    }

    async fn plan(&self, server: ServerId) -> Result<Plan, CatalogueError> {
        self.catalogue.plan(server).await
    }

    async fn set_plan(&self, server: ServerId, plan: Plan) -> Result<(), CatalogueError> {
        self.catalogue.set_plan(server, plan).await
    }

    async fn servers(&self) -> Result<Vec<ServerId>, CatalogueError> {
        self.catalogue.servers().await
    }
}
