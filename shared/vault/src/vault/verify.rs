//! Verification: reads a backup or a snapshot with all checks, and writes nothing.

use time::OffsetDateTime;

use super::{Expected, Vault};
use crate::catalogue::DamagedRecord;
use crate::error::VaultError;
use crate::record::{BackupRecord, RecordKind};
use crate::server::ServerId;

/// Objects that cannot be used here ([`VaultError::is_unusable`]), by the reason. Each error names its object.
#[derive(Debug, Default)]
pub struct UnusableObjects {
    /// Damaged or missing objects.
    pub damaged: Vec<VaultError>,
    /// Objects that are signed by a key that is not trusted here. They may be intact.
    pub not_trusted: Vec<VaultError>,
    /// Objects that are encrypted for another identity than those of this machine. They may be intact.
    pub encrypted: Vec<VaultError>,
    /// Files that this user may not read. They may be intact.
    pub unreadable: Vec<VaultError>,
}

impl UnusableObjects {
    pub(super) fn add(&mut self, error: VaultError) {
        let list = if error.is_damage() {
            &mut self.damaged
        } else if error.is_of_unknown_key() {
            &mut self.not_trusted
        } else if error.is_encrypted_for_others() {
            &mut self.encrypted
        } else {
            &mut self.unreadable
        };
        list.push(error);
    }
}

/// Result of [`Vault::verify_all`].
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// Number of backups and snapshots that passed all checks.
    pub whole: usize,
    /// Number of those of them without a signature: an earlier version created them, or the signature was removed.
    pub unsigned: usize,
    /// Number of those of them that are stored without encryption, in a store that encrypts.
    pub plain: usize,
    /// Number of deployments of the theme registry without a signature.
    pub unsigned_deployments: usize,
    /// Backups and snapshots that cannot be used here.
    pub unusable: UnusableObjects,
    /// Records that cannot be read. [`Vault::recover_record`] makes one again where its object is whole.
    pub records: Vec<DamagedRecord>,
    /// Deployments of the theme registry that are signed by a key that is not trusted here. They are listed, and a rollback to them requires
    /// the key.
    pub deployments_not_trusted: Vec<VaultError>,
    /// What is wrong with the theme registry, or why it cannot be read; `None` where it is whole, or there is none.
    pub registry: Option<VaultError>,
}

impl Vault {
    /// Checks a backup or a snapshot: every object with checksum and signature, and that its state is the recorded one.
    ///
    /// # Errors
    /// [`VaultError::Damaged`] with the object, [`VaultError::NotTrusted`], or the store cannot be read.
    pub async fn verify(&self, record: &BackupRecord) -> Result<(), VaultError> {
        let expected = Expected {
            server: record.server,
            lineage: None,
        };
        match record.kind {
            RecordKind::Backup => self.read_backup(record, &expected).await.map(drop),
            RecordKind::Snapshot => self.read_snapshot(record, &expected).await.map(drop),
        }
    }

    /// Whether a backup or a snapshot is stored without encryption, in a store that encrypts; for a snapshot, by its manifest.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn is_plain(&self, record: &BackupRecord) -> Result<bool, VaultError> {
        match self.parts.store.is_plain(&record.object()?).await {
            Err(error) if error.is_not_found() => Ok(false),
            found => Ok(found?),
        }
    }

    /// Checks every backup and snapshot of a server, and its theme registry. `progress` is called after each with its result.
    ///
    /// # Errors
    /// Store or catalogue fail. Damage is no error: it is in the report.
    pub async fn verify_all(
        &self,
        server: ServerId,
        now: OffsetDateTime,
        progress: &mut (dyn FnMut(&BackupRecord, Result<(), &VaultError>) + Send),
    ) -> Result<VerifyReport, VaultError> {
        let mut report = VerifyReport::default();
        for kind in [RecordKind::Backup, RecordKind::Snapshot] {
            let mut pages = self.pages(server, kind, Some(now));
            while let Some(page) = pages.next().await? {
                report.records.extend(page.damaged);
                for record in &page.records {
                    self.verify_one(record, &mut report, progress).await?;
                }
            }
        }
        match self.theme_registry(server).await {
            Err(error) if error.is_unusable() => report.registry = Some(error),
            Err(error) => return Err(error),
            Ok(registry) => {
                for deployment in &registry.deployments {
                    match self.verify_deployment(server, deployment).await {
                        Ok(()) => report.unsigned_deployments += usize::from(deployment.signature.is_none()),
                        Err(error) if error.is_of_unknown_key() => report.deployments_not_trusted.push(error),
                        Err(error) if error.is_damage() => report.registry = Some(error),
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        Ok(report)
    }

    async fn verify_one(
        &self,
        record: &BackupRecord,
        report: &mut VerifyReport,
        progress: &mut (dyn FnMut(&BackupRecord, Result<(), &VaultError>) + Send),
    ) -> Result<(), VaultError> {
        match self.verify(record).await {
            Ok(()) => {
                progress(record, Ok(()));
                report.whole += 1;
                report.unsigned += usize::from(!record.is_signed());
                report.plain += usize::from(self.is_plain(record).await?);
            }
            Err(error) if error.is_unusable() => {
                progress(record, Err(&error));
                report.unusable.add(error);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
