//! Counts of operations on demand, which the free plan limits.
//!
//! A folder belongs to its owner and has no limits. Where the platform has the plans, its api counts ([`crate::platform`]); else the
//! catalogue of the store does. To add another place: implement [`UseCounter`]. An operation that is killed and runs again is counted once:
//! see [`KeptId`]. The count is that of a client: who has the credentials of the store can write to it without gaib.

mod file;

use std::fmt::Debug;

use arrakis_contracts::servers::{BackupKind, CountBackupUse};
use arrakis_vault::{LimitPolicy, LimitReached, Operation, ServerId, Use, Vault, VaultError};
use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::Result;
use crate::platform::Platform;

pub use file::KeptId;

/// Counts operations of a server.
#[async_trait]
pub trait UseCounter: Debug + Send + Sync {
    /// Counts a use of an operation, before the operation. Counting the same id again changes nothing, so an interrupted operation
    /// that continues is counted once.
    ///
    /// # Errors
    /// When the limit of the plan is reached, with the time from which the operation is permitted again; when the use cannot be
    /// counted.
    async fn take(&self, server: ServerId, operation: Operation, id: Uuid) -> Result<()>;

    /// Gives a use back after an operation that changed nothing. A failure has no consequence but a use that stays counted.
    async fn give_back(&self, server: ServerId, operation: Operation, id: Uuid);
}

/// Counts nothing: the store belongs to its owner.
#[derive(Clone, Copy, Debug)]
pub struct Unlimited;

#[async_trait]
impl UseCounter for Unlimited {
    async fn take(&self, _server: ServerId, _operation: Operation, _id: Uuid) -> Result<()> {
        Ok(())
    }

    async fn give_back(&self, _server: ServerId, _operation: Operation, _id: Uuid) {}
}

/// Counts in the catalogue of the store.
#[derive(Clone, Debug)]
pub struct CatalogueUses {
    /// The vault with the catalogue.
    pub vault: Vault,
}

impl CatalogueUses {
    /// The use to be counted; `None` where nothing limits the operation.
    async fn wanted(&self, server: ServerId, operation: Operation, id: Uuid) -> Result<Option<Use>, VaultError> {
        if self.vault.limits() == LimitPolicy::Unlimited {
            return Ok(None);
        }
        let plan = self.vault.plan(server).await?;
        let wanted = Use::new(server, plan, operation, OffsetDateTime::now_utc());
        Ok(wanted.map(|wanted| Use { id, ..wanted }))
    }
}

#[async_trait]
impl UseCounter for CatalogueUses {
    async fn take(&self, server: ServerId, operation: Operation, id: Uuid) -> Result<()> {
        let Some(wanted) = self.wanted(server, operation, id).await? else {
            return Ok(());
        };
        let is_counted = self.vault.catalogue().take(&wanted).await.map_err(VaultError::from)?;
        if is_counted {
            return Ok(());
        }
        let reached = LimitReached {
            server,
            operation,
            limit: wanted.limit,
            frees: wanted.end(),
        };
        Err(VaultError::Limit(reached).into())
    }

    async fn give_back(&self, server: ServerId, operation: Operation, id: Uuid) {
        if let Ok(Some(taken)) = self.wanted(server, operation, id).await {
            let _ = self.vault.catalogue().give_back(&taken).await;
        }
    }
}

/// Counts at the platform.
#[derive(Clone, Debug)]
pub struct PlatformUses {
    /// The platform's api, for the server.
    pub platform: Platform,
}

#[async_trait]
impl UseCounter for PlatformUses {
    async fn take(&self, _server: ServerId, operation: Operation, id: Uuid) -> Result<()> {
        let request = CountBackupUse {
            kind: kind(operation),
            request_id: id,
            give_back: false,
        };
        let counted = self.platform.count_backup_use(&request).await;
        let what = format!("count the {}", request.kind.name());
        counted.map(drop).map_err(|error| self.platform.failure(&what, &error))
    }

    async fn give_back(&self, _server: ServerId, operation: Operation, id: Uuid) {
        let request = CountBackupUse {
            kind: kind(operation),
            request_id: id,
            give_back: true,
        };
        let _ = self.platform.count_backup_use(&request).await;
    }
}

const fn kind(operation: Operation) -> BackupKind {
    match operation {
        Operation::Backup => BackupKind::Backup,
        Operation::Restore => BackupKind::Restore,
        Operation::Snapshot => BackupKind::Snapshot,
        Operation::SnapshotRestore => BackupKind::SnapshotRestore,
    }
}
