//! Retention: what is older than the plan keeps expires. The newest good backup never does.

use std::collections::{BTreeMap, BTreeSet};

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{LimitPolicy, Vault, kept_for};
use crate::catalogue::{DamagedRecord, ListRequest};
use crate::error::VaultError;
use crate::key::ObjectKey;
use crate::paths;
use crate::record::{BackupRecord, RecordKind};
use crate::server::ServerId;
use crate::store::{ListedObject, StoreError};

/// Tag of objects that the store may delete, by its lifecycle rules.
const RETAIN: (&str, &str) = ("Retain", "expired");
/// Records that one request of a list returns.
const PAGE: usize = 100;

/// What a run of the retention did.
#[derive(Debug, Default)]
pub struct RetentionReport {
    /// Backups and snapshots that expired in this run.
    pub expired: Vec<BackupRecord>,
    /// Backups and snapshots that are older than the plan keeps and stay, each as the newest good one of its workspace.
    pub kept: Vec<BackupRecord>,
    /// Exports and images of exports that expired in this run.
    pub exports: Vec<ObjectKey>,
    /// Objects that were found to be damaged. They do not count as the newest good one, and stay.
    pub damaged: Vec<VaultError>,
}

impl Vault {
    /// Expires the backups, snapshots and exports of a server that are older than the plan keeps: the record gets its expiry, each object
    /// the tag `Retain=expired`. Where the store does not delete tagged objects by itself, objects and record are deleted. Does nothing
    /// without limits. Completes an interrupted run.
    ///
    /// Of each workspace, the newest backup and the newest snapshot that pass all checks stay, whatever their age. Where none passes, all
    /// of them stay. So does the newest export that passes its checks, with its images. What would expire is read before: what is damaged
    /// stays, until someone deletes it.
    ///
    /// # Errors
    /// Store or catalogue fail. What was expired until then stays expired.
    pub async fn apply_retention(&self, server: ServerId, now: OffsetDateTime) -> Result<RetentionReport, VaultError> {
        let mut report = RetentionReport::default();
        if self.parts.limits == LimitPolicy::Unlimited {
            return Ok(report);
        }
        for kind in [RecordKind::Backup, RecordKind::Snapshot] {
            let mut workspaces: BTreeMap<String, Vec<BackupRecord>> = BTreeMap::new();
            for record in self.all_records(server, kind).await? {
                workspaces.entry(record.workspace.clone()).or_default().push(record);
            }
            for records in workspaces.into_values() {
                self.retain(records, now, &mut report).await?;
            }
        }
        self.retain_exports(server, now, &mut report).await?;
        Ok(report)
    }

    /// Every record of a server, also expired ones, newest first. Records that cannot be read are left out.
    pub(super) async fn all_records(
        &self,
        server: ServerId,
        kind: RecordKind,
    ) -> Result<Vec<BackupRecord>, VaultError> {
        Ok(self.all_and_damaged(server, kind).await?.0)
    }

    /// Every record of a server, also expired ones, newest first; and the records that cannot be read.
    pub(super) async fn all_and_damaged(
        &self,
        server: ServerId,
        kind: RecordKind,
    ) -> Result<(Vec<BackupRecord>, Vec<DamagedRecord>), VaultError> {
        let mut request = ListRequest {
            server,
            kind,
            limit: PAGE,
            after: None,
            now: None,
        };
        let (mut records, mut damaged) = (Vec::new(), Vec::new());
        loop {
            let page = self.parts.catalogue.list(&request).await?;
            records.extend(page.records);
            damaged.extend(page.damaged);
            match page.next {
                Some(next) => request.after = Some(next),
                None => return Ok((records, damaged)),
            }
        }
    }

    /// Applies the retention to the records of one kind and workspace, newest first.
    async fn retain(
        &self,
        records: Vec<BackupRecord>,
        now: OffsetDateTime,
        report: &mut RetentionReport,
    ) -> Result<(), VaultError> {
        let is_old = |record: &BackupRecord| record.created + kept_for(record.plan) <= now;
        if !records.iter().any(is_old) {
            return Ok(());
        }
        let mut damaged = BTreeSet::new();
        let Some(good) = self.newest_good(&records, &mut damaged, report).await? else {
            return Ok(());
        };
        for record in records {
            if record.id == good {
                if record.expires.is_some() {
                    // Newer ones have become damaged since it expired.
                    self.unexpire(&record).await?;
                }
                if is_old(&record) {
                    report.kept.push(record);
                }
            } else if is_old(&record) && !self.is_damaged(&record, &damaged, report).await? {
                let is_new = record.expires.is_none();
                self.expire(&record, now).await?;
                if !self.parts.store.deletes_tagged() {
                    self.delete(&record, now).await?;
                }
                if is_new {
                    report.expired.push(record);
                }
            }
        }
        Ok(())
    }

    /// Id of the newest record that passes all checks. Expired ones are considered last. The ids of damaged ones are added to `damaged`.
    async fn newest_good(
        &self,
        records: &[BackupRecord],
        damaged: &mut BTreeSet<Uuid>,
        report: &mut RetentionReport,
    ) -> Result<Option<Uuid>, VaultError> {
        let (listed, expired): (Vec<_>, Vec<_>) = records.iter().partition(|record| record.expires.is_none());
        for record in listed.into_iter().chain(expired) {
            match self.check_for_retention(record).await {
                Ok(()) => return Ok(Some(record.id)),
                // The objects of an expired record may be deleted already.
                Err(error) if error.is_unusable() && record.expires.is_some() => {}
                Err(error) if error.is_unusable() => {
                    damaged.insert(record.id);
                    report.damaged.push(error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Checks a record. A backup whose key is not trusted here has passed all other checks: it is good for those who trust its key.
    async fn check_for_retention(&self, record: &BackupRecord) -> Result<(), VaultError> {
        match self.verify(record).await {
            Err(error) if record.kind == RecordKind::Backup && error.is_of_unknown_key() => Ok(()),
            checked => checked,
        }
    }

    /// Whether a record that would expire is damaged; `damaged` has the ids of those that were found. One that has expired is not read:
    /// its objects may be deleted already.
    async fn is_damaged(
        &self,
        record: &BackupRecord,
        damaged: &BTreeSet<Uuid>,
        report: &mut RetentionReport,
    ) -> Result<bool, VaultError> {
        if record.expires.is_some() || damaged.contains(&record.id) {
            return Ok(record.expires.is_none());
        }
        match self.check_for_retention(record).await {
            Ok(()) => Ok(false),
            Err(error) if error.is_unusable() => {
                report.damaged.push(error);
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    async fn retain_exports(
        &self,
        server: ServerId,
        now: OffsetDateTime,
        report: &mut RetentionReport,
    ) -> Result<(), VaultError> {
        let kept = kept_for(self.plan(server).await?);
        let is_old = |export: &ListedObject| {
            let time = paths::parse_export(server, &export.key);
            time.is_some_and(|time| time + kept <= now)
        };
        let exports = self.exports(server).await?;
        if !exports.iter().any(is_old) {
            return self.retain_images(server, kept, now, None, report).await;
        }
        let mut newest = None;
        let mut expired = Vec::new();
        for export in exports {
            let key = export.key.clone();
            if newest.is_some() && (!is_old(&export) || self.is_retired(&key).await?) {
                continue;
            }
            match self.export_of_any_key(server, &key).await {
                Ok(_) if newest.is_some() => expired.push(key),
                Ok(content) => {
                    // Newer ones may have become damaged since it expired.
                    self.untag(&key).await?;
                    newest = Some(content);
                }
                // Deleted meanwhile.
                Err(VaultError::Store(StoreError::NotFound { .. })) => {}
                Err(error) if error.is_unusable() => report.damaged.push(error),
                Err(error) => return Err(error),
            }
        }
        for key in expired {
            if self.retire(&key).await? {
                report.exports.push(key);
            }
        }
        self.retain_images(server, kept, now, newest, report).await
    }

    /// Retires the images of exports that are older than the plan keeps, but for those of the newest export, and of `good`, the newest one
    /// that passes its checks.
    async fn retain_images(
        &self,
        server: ServerId,
        kept: Duration,
        now: OffsetDateTime,
        good: Option<Vec<u8>>,
        report: &mut RetentionReport,
    ) -> Result<(), VaultError> {
        let mut images = self.parts.store.list(&paths::export_images(server)).await?;
        images.retain(|image| image.modified + kept <= now);
        if images.is_empty() {
            return Ok(());
        }
        let newest = match self.export_of_any_key(server, &paths::latest_export(server)).await {
            Ok(newest) => newest,
            Err(VaultError::Store(StoreError::NotFound { .. })) => Vec::new(),
            Err(error) if error.is_unusable() => {
                report.damaged.push(error);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let good = good.unwrap_or_default();
        let (newest, good) = (String::from_utf8_lossy(&newest), String::from_utf8_lossy(&good));
        for image in images {
            let name = image.key.as_str().rsplit('/').next().unwrap_or_default();
            if !newest.contains(name) && !good.contains(name) && self.retire(&image.key).await? {
                report.exports.push(image.key);
            }
        }
        Ok(())
    }

    /// Removes a record from lists and tags its objects. Can be repeated.
    pub(super) async fn expire(&self, record: &BackupRecord, now: OffsetDateTime) -> Result<(), VaultError> {
        if !record.is_expired(now) {
            self.parts.catalogue.set_expiry(record, Some(now)).await?;
        }
        for key in self.objects_of(record).await? {
            self.tag_expired(&key).await?;
        }
        Ok(())
    }

    async fn unexpire(&self, record: &BackupRecord) -> Result<(), VaultError> {
        for key in self.objects_of(record).await? {
            self.untag(&key).await?;
        }
        Ok(self.parts.catalogue.set_expiry(record, None).await?)
    }

    /// Removes the tag of expired ones.
    async fn untag(&self, key: &ObjectKey) -> Result<(), VaultError> {
        let mut tags = self.parts.store.tags(key).await?;
        if tags.remove(RETAIN.0).is_some() {
            self.parts.store.set_tags(key, &tags).await?;
        }
        Ok(())
    }

    /// Tags an object for the store to delete, or deletes it where the store does not. Returns whether that is new.
    pub(super) async fn retire(&self, key: &ObjectKey) -> Result<bool, VaultError> {
        if self.parts.store.deletes_tagged() {
            return self.tag_expired(key).await;
        }
        self.parts.store.delete(key, None).await?;
        Ok(true)
    }

    /// Whether an object has the tag of expired ones; also where it does not exist any more.
    pub(super) async fn is_retired(&self, key: &ObjectKey) -> Result<bool, VaultError> {
        match self.parts.store.tags(key).await {
            Ok(tags) => Ok(tags.get(RETAIN.0).is_some_and(|value| value == RETAIN.1)),
            Err(StoreError::NotFound { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Adds the tag. Returns whether it is new: not where the object does not exist any more.
    async fn tag_expired(&self, key: &ObjectKey) -> Result<bool, VaultError> {
        let tagged = async {
            let mut tags = self.parts.store.tags(key).await?;
            if tags.insert(RETAIN.0.to_owned(), RETAIN.1.to_owned()).as_deref() == Some(RETAIN.1) {
                return Ok(false);
            }
            self.parts.store.set_tags(key, &tags).await?;
            Ok::<bool, StoreError>(true)
        };
        match tagged.await {
            Err(StoreError::NotFound { .. }) => Ok(false),
            tagged => Ok(tagged?),
        }
    }

    /// The objects of a record: the compressed state, or everything in the folder of a snapshot, its manifest last.
    pub(super) async fn objects_of(&self, record: &BackupRecord) -> Result<Vec<ObjectKey>, VaultError> {
        let main = record.object()?;
        let mut keys = Vec::new();
        if record.kind == RecordKind::Snapshot {
            let listed = self
                .parts
                .store
                .list(&paths::snapshot(record.server, record.id))
                .await?;
            keys.extend(listed.into_iter().map(|object| object.key).filter(|key| *key != main));
        }
        keys.push(main);
        Ok(keys)
    }
}
