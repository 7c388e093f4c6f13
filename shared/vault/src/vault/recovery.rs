//! Recovery: completes or removes what an interrupted process left behind, and makes a lost catalogue again.

use std::collections::BTreeSet;

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::Vault;
use crate::catalogue::CatalogueError;
use crate::error::VaultError;
use crate::key::ObjectKey;
use crate::paths;
use crate::record::{BackupRecord, RecordKind};
use crate::server::ServerId;
use crate::store::StoreError;

/// Age from which objects without a record are taken for those of a process that has died. A creation takes seconds.
const INTERRUPTED_AFTER: Duration = Duration::HOUR;

/// What a recovery did.
#[derive(Debug, Default)]
pub struct RecoveryReport {
    /// Backups and snapshots that were whole and in no list, and are listed now.
    pub recovered: Vec<BackupRecord>,
    /// Expired backups and snapshots that were deleted.
    pub deleted: Vec<BackupRecord>,
    /// Objects of snapshots without a manifest, which were removed, or tagged for the store to remove.
    pub removed: Vec<ObjectKey>,
    /// Objects without a record that are damaged. They stay as they are.
    pub damaged: Vec<VaultError>,
}

impl Vault {
    /// Completes what processes that died left behind for a server, from an hour ago on:
    ///
    /// - a whole backup or snapshot without a record, or with one that cannot be read, gets its record again. With an empty catalogue that
    ///   is all of them;
    /// - the files of a snapshot without a manifest are removed;
    /// - the deletion of an expired backup or snapshot is completed: its objects are deleted, or tagged where the store deletes them.
    ///
    /// # Errors
    /// Store or catalogue fail. What was done until then stays.
    pub async fn recover(&self, server: ServerId, now: OffsetDateTime) -> Result<RecoveryReport, VaultError> {
        let mut report = RecoveryReport::default();
        self.recover_backups(server, now, &mut report).await?;
        self.recover_snapshots(server, now, &mut report).await?;
        for kind in [RecordKind::Backup, RecordKind::Snapshot] {
            for record in self.all_records(server, kind).await? {
                if record.expires.is_some_and(|expires| expires + INTERRUPTED_AFTER <= now) {
                    self.complete_deletion(record, now, &mut report).await?;
                }
            }
        }
        Ok(report)
    }

    async fn recover_backups(
        &self,
        server: ServerId,
        now: OffsetDateTime,
        report: &mut RecoveryReport,
    ) -> Result<(), VaultError> {
        // Objects are listed before records, so that a backup which is created meanwhile has its record.
        let mut objects = self.parts.store.list(&paths::backups(server)).await?;
        objects.retain(|object| object.modified + INTERRUPTED_AFTER <= now);
        let records = self.all_records(server, RecordKind::Backup).await?;
        let listed: BTreeSet<ObjectKey> = records.iter().filter_map(|record| record.object().ok()).collect();
        for object in objects {
            let is_backup = paths::parse_backup(server, &object.key).is_some();
            if !is_backup || listed.contains(&object.key) || self.is_retired(&object.key).await? {
                continue;
            }
            let made = self.record_of_backup(server, &object.key).await;
            self.insert_recovered(made, report).await?;
        }
        Ok(())
    }

    async fn recover_snapshots(
        &self,
        server: ServerId,
        now: OffsetDateTime,
        report: &mut RecoveryReport,
    ) -> Result<(), VaultError> {
        let mut objects = self.parts.store.list(&paths::snapshots(server)).await?;
        objects.retain(|object| object.modified + INTERRUPTED_AFTER <= now);
        let records = self.all_records(server, RecordKind::Snapshot).await?;
        let listed: BTreeSet<Uuid> = records.iter().map(|record| record.id).collect();
        let ids = objects
            .iter()
            .filter_map(|object| paths::parse_snapshot(server, &object.key));
        let ids: BTreeSet<Uuid> = ids.map(|(id, _)| id).filter(|id| !listed.contains(id)).collect();
        for id in ids {
            let manifest = paths::manifest(server, id)?;
            let folder = paths::snapshot(server, id);
            let files = objects.iter().filter(|object| object.key.as_str().starts_with(&folder));
            if files.clone().any(|object| object.key == manifest) {
                if !self.is_retired(&manifest).await? {
                    let made = self.record_of_snapshot(server, id).await;
                    self.insert_recovered(made, report).await?;
                }
                continue;
            }
            // The manifest may have been written after the objects were listed.
            let has_manifest = match self.parts.store.head(&manifest).await {
                Ok(_) => true,
                Err(error) if error.is_not_found() => false,
                Err(error @ StoreError::Foreign { .. }) => {
                    report.damaged.push(error.into());
                    true
                }
                // A store that fails does not make a snapshot incomplete.
                Err(error) => return Err(error.into()),
            };
            if has_manifest {
                continue;
            }
            for object in files {
                if self.retire(&object.key).await? {
                    report.removed.push(object.key.clone());
                }
            }
        }
        Ok(())
    }

    async fn complete_deletion(
        &self,
        record: BackupRecord,
        now: OffsetDateTime,
        report: &mut RecoveryReport,
    ) -> Result<(), VaultError> {
        if self.parts.store.deletes_tagged() {
            // The store deletes the objects, and the catalogue the record.
            return self.expire(&record, now).await;
        }
        self.delete(&record, now).await?;
        report.deleted.push(record);
        Ok(())
    }

    async fn insert_recovered(
        &self,
        made: Result<BackupRecord, VaultError>,
        report: &mut RecoveryReport,
    ) -> Result<(), VaultError> {
        match made {
            Ok(record) => {
                self.insert_whole(&record).await?;
                report.recovered.push(record);
            }
            Err(error) if error.is_damage() => report.damaged.push(error),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Inserts the record of an object that is whole. A record of it that cannot be read is replaced: lists leave it out, and no command
    /// could delete it.
    async fn insert_whole(&self, record: &BackupRecord) -> Result<(), VaultError> {
        let catalogue = &self.parts.catalogue;
        match catalogue.insert(record).await {
            Err(CatalogueError::Damaged { item, reason }) => {
                tracing::warn!(%item, %reason, "the damaged record of a whole object is replaced");
                catalogue.delete(record).await?;
                Ok(catalogue.insert(record).await?)
            }
            inserted => Ok(inserted?),
        }
    }
}
