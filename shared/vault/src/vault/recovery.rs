//! Recovery: completes or removes the incomplete objects of interrupted processes, and restores a lost catalogue.

use std::collections::BTreeSet;

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::Vault;
use super::backups::id_of;
use crate::catalogue::CatalogueError;
use crate::damage::Damage;
use crate::error::VaultError;
use crate::key::ObjectKey;
use crate::paths;
use crate::record::{BackupRecord, RecordKind};
use crate::server::ServerId;

/// Age from which objects without a record count as those of a process that ended during a creation. A creation takes seconds.
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
    /// Objects without a record that are damaged, signed by a key that is not trusted, or encrypted for another identity. They stay as they
    /// are.
    pub damaged: Vec<VaultError>,
}

impl Vault {
    /// Completes what interrupted processes left incomplete for a server more than an hour ago:
    ///
    /// - a whole backup or snapshot without a record, or with one that cannot be read, gets its record again. With an empty catalogue that
    ///   is all of them;
    /// - the files of a snapshot without a manifest are removed, unless it has a record that cannot be read: then they are damaged;
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

    /// Makes the record of a backup or a snapshot again, where it cannot be read, from the object after all checks. The object may be young:
    /// with a record, its creation is complete. `None` where the server has no such object, or it is expired.
    ///
    /// # Errors
    /// The object is damaged or not trusted; store or catalogue fail.
    pub async fn recover_record(
        &self,
        kind: RecordKind,
        id: Uuid,
        server: ServerId,
    ) -> Result<Option<BackupRecord>, VaultError> {
        let record = match kind {
            RecordKind::Backup => self.backup_without_record(server, id).await?,
            RecordKind::Snapshot => self.snapshot_without_record(server, id).await?,
        };
        if let Some(record) = &record {
            self.insert_whole(record).await?;
        }
        Ok(record)
    }

    /// The backup with this id among those without a record that can be read.
    async fn backup_without_record(&self, server: ServerId, id: Uuid) -> Result<Option<BackupRecord>, VaultError> {
        let objects = self.parts.store.list(&paths::backups(server)).await?;
        let records = self.all_records(server, RecordKind::Backup).await?;
        let listed: BTreeSet<ObjectKey> = records.iter().filter_map(|record| record.object().ok()).collect();
        for object in objects {
            let key = object.key;
            if paths::parse_backup(server, &key).is_none() || listed.contains(&key) || self.is_retired(&key).await? {
                continue;
            }
            let head = match self.parts.store.head(&key).await {
                Ok(head) => head,
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error.into()),
            };
            if id_of(&key, &head.metadata) == id {
                return Ok(Some(self.record_of_backup(server, &key).await?));
            }
        }
        Ok(None)
    }

    async fn snapshot_without_record(&self, server: ServerId, id: Uuid) -> Result<Option<BackupRecord>, VaultError> {
        // An object that does not exist counts as retired.
        if self.is_retired(&paths::manifest(server, id)).await? {
            return Ok(None);
        }
        Ok(Some(self.record_of_snapshot(server, id).await?))
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
        let (records, unreadable) = self.all_and_damaged(server, RecordKind::Snapshot).await?;
        let listed: BTreeSet<Uuid> = records.iter().map(|record| record.id).collect();
        let ids = objects
            .iter()
            .filter_map(|object| paths::parse_snapshot(server, &object.key));
        let ids: BTreeSet<Uuid> = ids.map(|(id, _)| id).filter(|id| !listed.contains(id)).collect();
        for id in ids {
            let manifest = paths::manifest(server, id);
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
                Err(error) => {
                    let error = VaultError::from(error);
                    if !error.is_unusable() {
                        // A store that fails does not make a snapshot incomplete.
                        return Err(error);
                    }
                    report.damaged.push(error);
                    true
                }
            };
            if has_manifest {
                continue;
            }
            // A record is written after the manifest: this snapshot was whole, and its files may be all that is left of it.
            if unreadable.iter().any(|record| record.id == Some(id)) {
                report.damaged.push(self.damaged(&manifest, Damage::Missing));
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
            Err(error) if error.is_unusable() => report.damaged.push(error),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Inserts the record of an object that is whole. A record of it that cannot be read is replaced: lists leave it out, and no command
    /// could delete it.
    pub(super) async fn insert_whole(&self, record: &BackupRecord) -> Result<(), VaultError> {
        let catalogue = &self.parts.catalogue;
        match catalogue.insert(record).await {
            Err(CatalogueError::Damaged { item, reason }) => {
                tracing::warn!(%item, %reason, "replacing a damaged catalogue record; its object passed all checks");
                catalogue.delete(record).await?;
                Ok(catalogue.insert(record).await?)
            }
            inserted => Ok(inserted?),
        }
    }
}
