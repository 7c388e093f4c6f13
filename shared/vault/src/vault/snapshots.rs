//! Snapshots: the whole server in several objects, with a signed manifest.

use std::collections::BTreeMap;

use time::OffsetDateTime;
use uuid::Uuid;

use super::backups::{TIER, state_version};
use super::read::text;
use super::repeated::{CreatedSnapshot, Earlier};
use super::write::to_millisecond;
use super::{Expected, Trigger, Vault};
use crate::checksum::checksum;
use crate::damage::Damage;
use crate::error::VaultError;
use crate::gzip;
use crate::key::ObjectKey;
use crate::limits::Operation;
use crate::manifest::{
    CONFIG_FILE, MANIFEST_VERSION, Manifest, ManifestFile, ResourceCounts, STATE_FILE, THEME_REGISTRY_FILE,
    ThemeVersion,
};
use crate::paths;
use crate::record::{BackupRecord, RecordKind, StateVersion};
use crate::sealed;
use crate::server::ServerId;
use crate::sign::SigningPurpose;
use crate::store::{Condition, NewObject};

/// A snapshot to be created.
#[derive(Clone, Debug)]
pub struct NewSnapshot<'a> {
    /// The id, where the caller chose and recorded it before: then a creation that is repeated after an interruption finds the snapshot, and
    /// creates no second one of the same content. Where the content is another one, the snapshot gets another id. `None` for a random id.
    pub id: Option<Uuid>,
    /// The Discord server.
    pub server: ServerId,
    /// Workspace of the state.
    pub workspace: &'a str,
    /// The state, where the server has one: JSON with `lineage`, `serial` and `guild_id`.
    pub state: Option<&'a [u8]>,
    /// The live server as a configuration (YAML).
    pub config: &'a [u8],
    /// Further files by name, such as [`crate::MEMBERS_FILE`] or `images/{digest}`.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Numbers of resources.
    pub counts: ResourceCounts,
    /// The theme, where the server has one.
    pub theme: Option<ThemeVersion>,
    /// The author's message.
    pub message: Option<&'a str>,
    /// Why it is created.
    pub trigger: Trigger,
}

/// A snapshot that was read, after all checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The manifest.
    pub manifest: Manifest,
    /// The manifest as stored, with checksum and signature.
    pub manifest_bytes: Vec<u8>,
    /// The files by name, decompressed.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Snapshot {
    /// The state; `None` where the server had none.
    #[must_use]
    pub fn state(&self) -> Option<&[u8]> {
        self.files.get(STATE_FILE).map(Vec::as_slice)
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &[u8] {
        self.files.get(CONFIG_FILE).map(Vec::as_slice).unwrap_or_default()
    }
}

impl Vault {
    /// Creates a snapshot: its files, then the manifest, then the record. The theme registry is added to the files.
    ///
    /// A process that ends during a creation leaves objects that are in no list; [`Vault::recover`] makes the record, or removes the objects
    /// where the manifest is missing.
    ///
    /// # Errors
    /// [`VaultError::NotAState`], [`VaultError::Limit`], [`VaultError::Sign`], or an error of store or catalogue.
    pub async fn create_snapshot(&self, new: NewSnapshot<'_>, now: OffsetDateTime) -> Result<BackupRecord, VaultError> {
        Ok(Box::pin(self.create_or_finish_snapshot(new, now)).await?.record)
    }

    /// The same, with what interrupted creations with the same id left.
    ///
    /// # Errors
    /// As [`Vault::create_snapshot`].
    pub async fn create_or_finish_snapshot(
        &self,
        new: NewSnapshot<'_>,
        now: OffsetDateTime,
    ) -> Result<CreatedSnapshot, VaultError> {
        let state = new.state.map(|state| state_version(new.server, state)).transpose()?;
        let Earlier { id, same, listed } = Box::pin(self.earlier_snapshots(&new, state.as_ref(), now)).await?;
        if let Some(record) = same {
            return Ok(CreatedSnapshot {
                record,
                is_finished: true,
                listed,
            });
        }
        let taken = match new.trigger {
            Trigger::OnDemand => self.take_use(new.server, Operation::Snapshot, now).await?,
            Trigger::Automatic => None,
        };
        let created = self.write_snapshot(NewSnapshot { id, ..new }, state, now).await;
        if created.is_err() {
            self.give_back(taken).await;
        }
        Ok(CreatedSnapshot {
            record: created?,
            is_finished: false,
            listed,
        })
    }

    async fn write_snapshot(
        &self,
        new: NewSnapshot<'_>,
        state: Option<StateVersion>,
        now: OffsetDateTime,
    ) -> Result<BackupRecord, VaultError> {
        let mut manifest = Manifest {
            version: MANIFEST_VERSION.to_owned(),
            id: new.id.unwrap_or_else(Uuid::new_v4),
            server: new.server,
            workspace: new.workspace.to_owned(),
            created: to_millisecond(now),
            state,
            message: new.message.map(str::to_owned),
            plan: self.plan(new.server).await?,
            counts: new.counts,
            theme: new.theme.clone(),
            files: BTreeMap::new(),
        };
        // An interrupted creation with the same id may have left files, and no manifest.
        let condition = match new.id {
            Some(_) => Condition::Any,
            None => Condition::Absent,
        };
        for (name, content) in self.contents(new).await? {
            let file = self.write_file(&manifest, &name, &content, &condition).await?;
            manifest.files.insert(name, file);
        }
        let key = paths::manifest(manifest.server, manifest.id);
        let bytes = sealed::seal_signed(&manifest, SigningPurpose::Manifest, &*self.parts.signer).await;
        let bytes = bytes.map_err(|error| self.unsealed(&key, error))?;
        let record = record_of(&manifest, &bytes);
        let object = NewObject::new(bytes).tagged(TIER, manifest.plan.as_str());
        self.parts.store.put(&key, object, &Condition::Absent).await?;
        self.parts.catalogue.insert(&record).await?;
        Ok(record)
    }

    /// The files of a new snapshot by name.
    async fn contents(&self, new: NewSnapshot<'_>) -> Result<BTreeMap<String, Vec<u8>>, VaultError> {
        let mut files = new.files;
        files.insert(CONFIG_FILE.to_owned(), new.config.to_vec());
        let registry = self.theme_registry_bytes(new.server).await?;
        files.insert(THEME_REGISTRY_FILE.to_owned(), registry);
        if let Some(state) = new.state {
            files.insert(STATE_FILE.to_owned(), state.to_vec());
        }
        Ok(files)
    }

    async fn write_file(
        &self,
        manifest: &Manifest,
        name: &str,
        content: &[u8],
        condition: &Condition,
    ) -> Result<ManifestFile, VaultError> {
        let key = paths::snapshot_file(manifest.server, manifest.id, name)?;
        let bytes = gzip::compress(content).map_err(|error| VaultError::encode(&self.name(&key), &error))?;
        let file = ManifestFile {
            path: format!("{name}.gz"),
            checksum: checksum(&bytes),
            size: bytes.len() as u64,
        };
        let object = NewObject::new(bytes).tagged(TIER, manifest.plan.as_str());
        self.parts.store.put(&key, object, condition).await?;
        Ok(file)
    }

    /// A snapshot with all of its files, after all checks: signature and checksum of the manifest, checksum of each file, server and
    /// lineage. Nothing is written.
    ///
    /// # Errors
    /// [`VaultError::Damaged`] with the object, [`VaultError::NotTrusted`], [`VaultError::OtherServer`], [`VaultError::OtherLineage`].
    pub async fn read_snapshot(&self, record: &BackupRecord, expected: &Expected) -> Result<Snapshot, VaultError> {
        let key = record.object()?;
        if record.kind != RecordKind::Snapshot {
            return Err(self.differs(&key, "kind", record.kind.as_str(), "snapshot"));
        }
        if record.server != expected.server {
            return Err(self.other_server(&key, record.server, expected.server));
        }
        let manifest_bytes = self.checked_bytes(&key, None, &record.checksum).await?;
        let manifest = self.open_manifest(&key, &manifest_bytes).await?;
        self.check_manifest(&key, &manifest, record)?;
        let mut files = BTreeMap::new();
        for (name, file) in &manifest.files {
            files.insert(name.clone(), self.read_file(&key, &manifest, name, file).await?);
        }
        if let Some(state) = files.get(STATE_FILE) {
            self.check_state(&key, state, record, expected)?;
        } else if let Some(version) = &record.state {
            return Err(self.differs(&key, "state version", "none", &text(Some(version))));
        }
        Ok(Snapshot {
            manifest,
            manifest_bytes,
            files,
        })
    }

    /// The manifest in these bytes, after its own checks.
    pub(super) async fn open_manifest(&self, key: &ObjectKey, bytes: &[u8]) -> Result<Manifest, VaultError> {
        let opened: Result<Manifest, Damage> =
            sealed::open_signed(bytes, SigningPurpose::Manifest, &*self.parts.signer).await;
        let manifest = opened.map_err(|damage| self.damaged(key, damage))?;
        if manifest.version == MANIFEST_VERSION {
            return Ok(manifest);
        }
        let reason = format!(
            "the manifest has version {}, and this program reads {MANIFEST_VERSION}; use a newer one",
            manifest.version
        );
        Err(self.damaged(key, Damage::Content(reason)))
    }

    /// Checks that a manifest is the one of its record.
    pub(super) fn check_manifest(
        &self,
        key: &ObjectKey,
        manifest: &Manifest,
        record: &BackupRecord,
    ) -> Result<(), VaultError> {
        if manifest.server != record.server {
            return Err(self.other_server(key, manifest.server, record.server));
        }
        let (found, wanted) = (manifest.id.to_string(), record.id.to_string());
        if found != wanted {
            return Err(self.differs(key, "id", &found, &wanted));
        }
        if manifest.workspace != record.workspace {
            return Err(self.differs(key, "workspace", &manifest.workspace, &record.workspace));
        }
        if manifest.created != record.created {
            let (found, wanted) = (paths::time_text(manifest.created), paths::time_text(record.created));
            return Err(self.differs(key, "time", &found, &wanted));
        }
        if manifest.state != record.state {
            let (found, wanted) = (text(manifest.state.as_ref()), text(record.state.as_ref()));
            return Err(self.differs(key, "state version", &found, &wanted));
        }
        Ok(())
    }

    async fn read_file(
        &self,
        manifest_key: &ObjectKey,
        manifest: &Manifest,
        name: &str,
        file: &ManifestFile,
    ) -> Result<Vec<u8>, VaultError> {
        let wanted = format!("{name}.gz");
        if file.path != wanted {
            let reason = format!(
                "the manifest has the path {} for the file {name}, not {wanted}",
                file.path
            );
            return Err(self.damaged(manifest_key, Damage::Content(reason)));
        }
        let key = paths::snapshot_file(manifest.server, manifest.id, name)
            .map_err(|error| self.damaged(manifest_key, Damage::Content(error.to_string())))?;
        let bytes = self.checked_bytes(&key, Some(file.size), &file.checksum).await?;
        self.content(&key, &bytes)
    }

    /// The record of a snapshot that is in no list, made from its manifest, after all checks.
    pub(super) async fn record_of_snapshot(&self, server: ServerId, id: Uuid) -> Result<BackupRecord, VaultError> {
        let key = paths::manifest(server, id);
        let bytes = self.bytes_of(&key).await?;
        let manifest = self.open_manifest(&key, &bytes).await?;
        let mut record = record_of(&manifest, &bytes);
        // The folder decides which server and snapshot it has to be.
        (record.server, record.id) = (server, id);
        let expected = Expected { server, lineage: None };
        self.read_snapshot(&record, &expected).await?;
        Ok(record)
    }
}

fn record_of(manifest: &Manifest, manifest_bytes: &[u8]) -> BackupRecord {
    let files: u64 = manifest.files.values().map(|file| file.size).sum();
    BackupRecord {
        id: manifest.id,
        kind: RecordKind::Snapshot,
        server: manifest.server,
        workspace: manifest.workspace.clone(),
        created: manifest.created,
        state: manifest.state.clone(),
        message: manifest.message.clone(),
        plan: manifest.plan,
        size: files + manifest_bytes.len() as u64,
        checksum: checksum(manifest_bytes),
        expires: None,
        signature: None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrakis_domain::Plan;

    use super::*;
    use crate::catalogue::FileCatalogue;
    use crate::sign::LocalSigner;
    use crate::store::FolderStore;
    use crate::vault::{LimitPolicy, VaultParts};

    #[tokio::test]
    async fn other_path_of_a_file_is_damage_of_the_manifest() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::new(VaultParts {
            store: Arc::new(FolderStore::new(folder.path())),
            catalogue: Arc::new(FileCatalogue::new(folder.path().join("catalogue"))),
            signer: Arc::new(LocalSigner::generate().unwrap()),
            limits: LimitPolicy::Unlimited,
        });
        let manifest = Manifest {
            version: MANIFEST_VERSION.to_owned(),
            id: Uuid::from_u128(1),
            server: ServerId::new(7),
            workspace: "default".to_owned(),
            created: OffsetDateTime::UNIX_EPOCH,
            state: None,
            message: None,
            plan: Plan::Free,
            counts: ResourceCounts::default(),
            theme: None,
            files: BTreeMap::new(),
        };
        let file = ManifestFile {
            path: "other.gz".to_owned(),
            checksum: String::new(),
            size: 0,
        };
        let key = paths::manifest(manifest.server, manifest.id);
        let read = vault.read_file(&key, &manifest, STATE_FILE, &file).await;
        let error = read.unwrap_err().to_string();
        let reason = "the manifest has the path other.gz for the file state.json, not state.json.gz";
        assert!(
            error.contains("manifest.json is damaged") && error.contains(reason),
            "{error}"
        );
    }
}
