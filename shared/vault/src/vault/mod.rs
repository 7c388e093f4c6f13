//! [`Vault`]: backups, snapshots, exports, themes and schedules of servers, in a store and a catalogue.
//!
//! One file for each subject. Every operation may be repeated after a crash: objects of an interrupted one are in no list, and
//! [`Vault::recover`] completes or removes them.

mod backups;
mod expiry;
mod exports;
mod inspect;
mod plans;
mod read;
mod records;
mod recovery;
mod repeated;
mod retention;
mod schedule;
mod snapshots;
mod teardowns;
mod themes;
mod verify;
mod write;

use std::sync::Arc;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::catalogue::{Catalogue, Cursor, ListRequest, Page};
use crate::error::VaultError;
use crate::record::{BackupRecord, RecordKind};
use crate::server::ServerId;
use crate::sign::Signer;
use crate::store::ObjectStore;

pub use backups::{Expected, NewBackup, Trigger};
pub use exports::{Export, ExportsReport, ImageReferences};
pub use plans::{LimitPolicy, kept_for, theme_history};
pub use recovery::RecoveryReport;
pub use repeated::CreatedSnapshot;
pub use retention::RetentionReport;
pub use snapshots::{NewSnapshot, Snapshot};
pub use teardowns::UnfinishedTeardown;
pub use themes::{RebuiltRegistry, RegistryRebuild};
pub use verify::{UnusableObjects, VerifyReport};

/// What a [`Vault`] works with.
#[derive(Clone, Debug)]
pub struct VaultParts {
    /// Where objects are.
    pub store: Arc<dyn ObjectStore>,
    /// Where records are.
    pub catalogue: Arc<dyn Catalogue>,
    /// Signs backups, manifests, deployments and exports, and checks their signatures.
    pub signer: Arc<dyn Signer>,
    /// Whether plans limit operations, retention and the theme history.
    pub limits: LimitPolicy,
}

/// Backups and snapshots of servers.
#[derive(Clone, Debug)]
pub struct Vault {
    parts: VaultParts,
}

impl Vault {
    /// A vault in this store and catalogue. [`crate::open`] makes one from the configuration.
    #[must_use]
    pub fn new(parts: VaultParts) -> Self {
        Self { parts }
    }

    /// The store, for objects of others: states of gaib, shadows of manifests.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.parts.store
    }

    /// The signing key, for objects of others in the store.
    #[must_use]
    pub fn signer(&self) -> &Arc<dyn Signer> {
        &self.parts.signer
    }

    /// The catalogue.
    #[must_use]
    pub fn catalogue(&self) -> &Arc<dyn Catalogue> {
        &self.parts.catalogue
    }

    /// Whether plans limit operations, retention and the theme history.
    #[must_use]
    pub fn limits(&self) -> LimitPolicy {
        self.parts.limits
    }

    /// The newest backups or snapshots of a server, newest first, without expired ones; `after` is [`Page::next`] of the part before.
    ///
    /// # Errors
    /// The catalogue cannot be read. Damaged records are in [`Page::damaged`].
    pub async fn list(
        &self,
        server: ServerId,
        kind: RecordKind,
        limit: usize,
        after: Option<Cursor>,
        now: OffsetDateTime,
    ) -> Result<Page, VaultError> {
        let request = ListRequest {
            server,
            kind,
            limit,
            after,
            now: Some(now),
        };
        Ok(self.parts.catalogue.list(&request).await?)
    }

    /// The record of this kind with this id, of this server.
    ///
    /// # Errors
    /// [`VaultError::UnknownId`], [`VaultError::Expired`], [`VaultError::OtherServer`] where the id is one of another server.
    pub async fn find(
        &self,
        kind: RecordKind,
        id: Uuid,
        server: ServerId,
        now: OffsetDateTime,
    ) -> Result<BackupRecord, VaultError> {
        let record = self.find_even_expired(kind, id, server).await?;
        match record.expires {
            Some(expired) if record.is_expired(now) => Err(VaultError::Expired { kind, id, expired }),
            _ => Ok(record),
        }
    }

    /// The record of this kind with this id, of this server, also an expired one: a deletion that was interrupted leaves it.
    ///
    /// # Errors
    /// [`VaultError::UnknownId`], [`VaultError::OtherServer`] where the id is one of another server.
    pub async fn find_even_expired(
        &self,
        kind: RecordKind,
        id: Uuid,
        server: ServerId,
    ) -> Result<BackupRecord, VaultError> {
        let catalogue = &self.parts.catalogue;
        let mut found = catalogue.get(id, Some(server)).await?;
        if found.is_none() {
            // An id of another server is named as such.
            found = catalogue.get(id, None).await?;
        }
        let unknown = || VaultError::UnknownId {
            kind,
            id,
            catalogue: catalogue.describe(),
        };
        let record = found.filter(|record| record.kind == kind).ok_or_else(unknown)?;
        if record.server != server {
            return Err(VaultError::OtherServer {
                object: format!("the {kind} {id}"),
                found: record.server,
                wanted: server,
            });
        }
        Ok(record)
    }

    /// Deletes a backup or a snapshot: it expires first, so that nothing is listed that is not whole; then its objects are deleted, then
    /// the record. An interrupted deletion is completed by another one of the same record, and by [`Vault::recover`].
    ///
    /// # Errors
    /// The record or an object cannot be deleted.
    pub async fn delete(&self, record: &BackupRecord, now: OffsetDateTime) -> Result<(), VaultError> {
        self.expire(record, now).await?;
        for key in self.objects_of(record).await? {
            self.parts.store.delete(&key, None).await?;
        }
        Ok(self.parts.catalogue.delete(record).await?)
    }
}
