//! Retention: what is older than the plan keeps expires. The newest good backup never does.

use std::collections::{BTreeMap, BTreeSet};

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{LimitPolicy, Vault, kept_for};
use crate::error::VaultError;
use crate::key::ObjectKey;
use crate::paths;
use crate::record::{BackupRecord, RecordKind};
use crate::server::ServerId;
use crate::store::{ListedObject, StoreError};

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
    /// Of each workspace, the newest backup and the newest snapshot that pass all checks stay, at any age. Where none passes, all
    /// of them stay. So does the newest export that passes its checks, with its images. What would expire is read before: what is damaged
    /// stays until a user deletes it.
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
}
