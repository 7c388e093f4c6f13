//! Inspection: checks of listed backups and snapshots that read no states and files. Nothing is written.

use std::collections::HashMap;

use super::Vault;
use crate::damage::Damage;
use crate::error::VaultError;
use crate::key::ObjectKey;
use crate::paths;
use crate::record::{BackupRecord, RecordKind};
use crate::server::ServerId;
use crate::store::StoreError;

/// Sizes of objects, as a list of the store has them. Those of an encrypted object are of its stored bytes.
type Sizes = HashMap<ObjectKey, u64>;

impl Vault {
    /// Checks the records of a list, which are of one kind: whether each of their objects exists and has the recorded size, and the
    /// signature; of a snapshot also the checksum of the manifest. The contents of states and files are not read: [`Vault::verify`] does that.
    ///
    /// Returns a result for each record, in their order: [`VaultError::Damaged`], [`VaultError::NotTrusted`], or why it could not be checked.
    ///
    /// # Errors
    /// The objects of the store cannot be listed.
    pub async fn inspect(
        &self,
        server: ServerId,
        records: &[BackupRecord],
    ) -> Result<Vec<Result<(), VaultError>>, VaultError> {
        let prefix = match records {
            [] => return Ok(Vec::new()),
            [record, ..] if record.kind == RecordKind::Backup => paths::backups(server),
            [record] => paths::snapshot(server, record.id),
            _ => paths::snapshots(server),
        };
        // After the records, so that an object which is stored meanwhile is in the list.
        let listed = self.parts.store.list(&prefix).await?;
        let sizes: Sizes = listed.into_iter().map(|object| (object.key, object.size)).collect();
        let mut results = Vec::new();
        for record in records {
            results.push(match record.kind {
                RecordKind::Backup => self.inspect_backup(record, &sizes).await,
                RecordKind::Snapshot => self.inspect_snapshot(record, &sizes).await,
            });
        }
        Ok(results)
    }

    async fn inspect_backup(&self, record: &BackupRecord, sizes: &Sizes) -> Result<(), VaultError> {
        let key = record.object()?;
        self.check_size(&key, record.size, sizes).await?;
        self.check_signature(&key, record).await
    }

    async fn inspect_snapshot(&self, record: &BackupRecord, sizes: &Sizes) -> Result<(), VaultError> {
        let key = record.object()?;
        let bytes = self.checked_bytes(&key, None, &record.checksum).await?;
        let manifest = self.open_manifest(&key, &bytes).await?;
        self.check_manifest(&key, &manifest, record)?;
        for (name, file) in &manifest.files {
            let file_key = paths::snapshot_file(manifest.server, manifest.id, name)
                .map_err(|error| self.damaged(&key, Damage::Content(error.to_string())))?;
            self.check_size(&file_key, file.size, sizes).await?;
        }
        Ok(())
    }

    /// Checks that an object exists and has this size.
    async fn check_size(&self, key: &ObjectKey, wanted: u64, sizes: &Sizes) -> Result<(), VaultError> {
        if sizes.get(key) == Some(&wanted) {
            return Ok(());
        }
        // Missing, damaged, or encrypted: then the store records the size of the content.
        match self.parts.store.head(key).await {
            Ok(head) if head.size == wanted => Ok(()),
            Ok(head) => Err(self.damaged(
                key,
                Damage::Size {
                    found: head.size,
                    wanted,
                },
            )),
            Err(StoreError::NotFound { .. }) => Err(self.damaged(key, Damage::Missing)),
            Err(error) => Err(error.into()),
        }
    }
}
