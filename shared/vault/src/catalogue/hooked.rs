//! [`HookedCatalogue`]: a catalogue that runs a hook before each write of a record.

use std::fmt::Debug;
use std::sync::Arc;

use arrakis_domain::Plan;
use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Catalogue, CatalogueError, ListRequest, Page};
use crate::limits::Use;
use crate::record::BackupRecord;
use crate::server::ServerId;

/// A write of a record, by the method of [`Catalogue`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordWrite {
    /// [`Catalogue::insert`].
    Insert,
    /// [`Catalogue::delete`].
    Delete,
    /// [`Catalogue::set_expiry`].
    SetExpiry,
}

/// Runs before each write of a record of a [`HookedCatalogue`].
#[async_trait]
pub trait CatalogueHook: Debug + Send + Sync {
    /// Runs before a write of a record of `catalogue`.
    ///
    /// # Errors
    /// The error becomes the result of the write, which is not sent to the catalogue.
    async fn before(
        &self,
        catalogue: &dyn Catalogue,
        write: RecordWrite,
        record: &BackupRecord,
    ) -> Result<(), CatalogueError>;
}

/// A catalogue that runs a hook before each write of a record. All other operations run without it.
#[derive(Clone, Debug)]
pub struct HookedCatalogue {
    catalogue: Arc<dyn Catalogue>,
    hook: Arc<dyn CatalogueHook>,
}

impl HookedCatalogue {
    /// The catalogue with this hook.
    #[must_use]
    pub fn new(catalogue: Arc<dyn Catalogue>, hook: Arc<dyn CatalogueHook>) -> Self {
        Self { catalogue, hook }
    }

    async fn before(&self, write: RecordWrite, record: &BackupRecord) -> Result<(), CatalogueError> {
        self.hook.before(&*self.catalogue, write, record).await
    }
}

#[async_trait]
impl Catalogue for HookedCatalogue {
    fn describe(&self) -> String {
        self.catalogue.describe()
    }

    async fn insert(&self, record: &BackupRecord) -> Result<(), CatalogueError> {
        self.before(RecordWrite::Insert, record).await?;
        self.catalogue.insert(record).await
    }

    async fn get(&self, id: Uuid, server: Option<ServerId>) -> Result<Option<BackupRecord>, CatalogueError> {
        self.catalogue.get(id, server).await
    }

    async fn list(&self, request: &ListRequest) -> Result<Page, CatalogueError> {
        self.catalogue.list(request).await
    }

    async fn delete(&self, record: &BackupRecord) -> Result<(), CatalogueError> {
        self.before(RecordWrite::Delete, record).await?;
        self.catalogue.delete(record).await
    }

    async fn set_expiry(&self, record: &BackupRecord, expires: Option<OffsetDateTime>) -> Result<(), CatalogueError> {
        self.before(RecordWrite::SetExpiry, record).await?;
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
