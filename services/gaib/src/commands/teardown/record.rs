//! The record of a teardown: what its stages have done, so that the same command continues after an interruption.
//!
//! It is written before each stage that follows from it. The state of the workspace has the resources that are still to be deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use arrakis_iac::model::{Address, Snowflake};
use arrakis_iac_apply::digest;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::error::{CHECK_PATH_AND_DISK, Failure, Result};
use crate::files;

/// Version of the file.
const VERSION: u32 = 1;
/// Name of the file of a teardown that is not finished.
const FILE: &str = "record.json";
/// How long a request for a checkpoint whose response is missing is repeated with its id. Later the settings of the community may differ, and
/// another checkpoint is stored.
const REPEATED_WITHIN: Duration = Duration::HOUR;
/// Resources that a refusal names.
const NAMED: usize = 10;

/// What the stages of a teardown have done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stages {
    version: u32,
    guild: Snowflake,
    #[serde(with = "time::serde::rfc3339")]
    begun_at: OffsetDateTime,
    export: Option<ExportRecord>,
    /// The snapshot in the store of backups.
    snapshot: Option<Uuid>,
    /// Whether the snapshot has the roles of the members.
    #[serde(default)]
    snapshot_has_members: bool,
    /// The request for the checkpoint, from before it is sent until its response is recorded.
    checkpoint_request: Option<CheckpointRequest>,
    checkpoint: Option<CheckpointRecord>,
    /// The reason why there is no checkpoint.
    without_checkpoint: Option<String>,
    /// Whether the deletion has begun.
    deleting: bool,
}

/// A request for a checkpoint: repeated with its id, it stores no second one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckpointRequest {
    id: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    sent_at: OffsetDateTime,
}

/// The export of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportRecord {
    /// Its path, relative to the folder of the record.
    file: PathBuf,
    sha256: String,
    /// The addresses of the export, with the ids before the teardown.
    addresses: BTreeMap<Address, Snowflake>,
}

/// The snapshot in the store of backups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SnapshotRecord {
    pub(super) id: Uuid,
    /// Whether it has the roles of the members. Discord lists them only to some applications.
    pub(super) has_members: bool,
}

/// The checkpoint at the platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckpointRecord {
    pub(super) id: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    pub(super) expires_at: OffsetDateTime,
    /// Address of the platform's api.
    pub(super) platform: String,
}

/// The record with its folder.
#[derive(Clone, Debug)]
pub(super) struct Record {
    folder: PathBuf,
    stages: Stages,
}

impl Record {
    /// The record of an interrupted teardown, or a new one, which is not written yet.
    ///
    /// # Errors
    /// When it cannot be read, or is of another server.
    pub(super) fn open(folder: PathBuf, guild: Snowflake) -> Result<Self> {
        let path = folder.join(FILE);
        let damaged = |why: String| {
            Failure::new(format!(
                "could not read the record of an interrupted teardown, {}: {why}",
                path.display()
            ))
            .help("delete the file to begin the teardown again, with an export of what the server still has")
        };
        let stages = match files::read_own(&path) {
            Ok(bytes) => {
                let stages: Stages = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
                if stages.version != VERSION || stages.guild != guild {
                    return Err(damaged(format!(
                        "it has version {} and is of server {}",
                        stages.version, stages.guild
                    )));
                }
                stages
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Stages {
                version: VERSION,
                guild,
                begun_at: OffsetDateTime::now_utc(),
                export: None,
                snapshot: None,
                snapshot_has_members: false,
                checkpoint_request: None,
                checkpoint: None,
                without_checkpoint: None,
                deleting: false,
            },
            Err(error) => return Err(damaged(error.to_string())),
        };
        Ok(Self { folder, stages })
    }

    /// Whether the deletion has begun, so that the server is not whole any more.
    pub(super) const fn is_deleting(&self) -> bool {
        self.stages.deleting
    }

    /// When the teardown began. No other one has this time.
    pub(super) const fn begun_at(&self) -> OffsetDateTime {
        self.stages.begun_at
    }

    /// The addresses of the export, with the ids before the teardown.
    pub(super) fn addresses(&self) -> BTreeMap<Address, Snowflake> {
        let export = self.stages.export.as_ref();
        export.map(|export| export.addresses.clone()).unwrap_or_default()
    }

    /// The checkpoint, while the platform keeps it.
    pub(super) fn checkpoint(&self) -> Option<&CheckpointRecord> {
        let checkpoint = self.stages.checkpoint.as_ref();
        checkpoint.filter(|checkpoint| checkpoint.expires_at > OffsetDateTime::now_utc())
    }

    /// The reason why there is no checkpoint.
    pub(super) fn without_checkpoint(&self) -> Option<&str> {
        self.stages.without_checkpoint.as_deref()
    }

    /// A path for a new export, in a folder that does not exist yet: earlier exports stay. `name` is the time.
    pub(super) fn new_export(&self, name: &str) -> PathBuf {
        let mut folder = self.folder.join(name);
        let mut number = 2;
        while folder.exists() {
            folder = self.folder.join(format!("{name}-{number}"));
            number += 1;
        }
        folder.join("server.yaml")
    }

    /// The path of the export; `None` before the first stage.
    pub(super) fn export(&self) -> Option<PathBuf> {
        self.stages.export.as_ref().map(|export| self.folder.join(&export.file))
    }

    /// The snapshot in the store of backups.
    pub(super) fn snapshot(&self) -> Option<SnapshotRecord> {
        let id = self.stages.snapshot?;
        let has_members = self.stages.snapshot_has_members;
        Some(SnapshotRecord { id, has_members })
    }

    /// Refuses an export that is missing or was changed once the deletion has begun: the server could not be recovered from it. Before, the
    /// server is exported again.
    ///
    /// # Errors
    /// The reason.
    pub(super) fn check_export(&self) -> Result<()> {
        let Some(export) = self.stages.export.as_ref().filter(|_| self.is_deleting()) else {
            return Ok(());
        };
        let path = self.folder.join(&export.file);
        let why = match files::read(&path) {
            Ok(bytes) if digest(&bytes) == export.sha256 => return Ok(()),
            Ok(_) => "it was changed since".to_owned(),
            Err(error) => error.to_string(),
        };
        Err(Failure::new(format!(
            "the export of the interrupted teardown, {}, cannot be used: {why}",
            path.display()
        ))
        .help(format!(
            "restore the file; or delete {} to begin the teardown again, with an export of what the server still has",
            self.path().display()
        )))
    }

    /// Refuses the deletion of resources that the export does not have: `created`, by their addresses. They were created after it, for
    /// example by a recovery of the server that the teardown had emptied when it was killed.
    ///
    /// # Errors
    /// When there are such resources.
    pub(super) fn refuse_created(&self, created: &[Address]) -> Result<()> {
        if created.is_empty() {
            return Ok(());
        }
        let named: Vec<String> = created.iter().take(NAMED).map(Address::to_string).collect();
        let others = match created.len() - named.len() {
            0 => String::new(),
            count => format!(", and {count} more"),
        };
        let failure = Failure::new(format!(
            "the server has resources that the export of this teardown does not have, since they were created after it: {}{others}",
            named.join(", ")
        ));
        Err(match self.is_deleting() {
            false => failure.help("run the same command again: it exports the server again"),
            true => failure.help(format!(
                "delete {} to begin another teardown, which exports them first (the earlier export stays beside it); or delete these \
                 resources manually, and run the same command again",
                self.path().display()
            )),
        })
    }

    /// Ids of the resources that the export has.
    pub(super) fn exported(&self) -> BTreeSet<Snowflake> {
        let export = self.stages.export.iter();
        export.flat_map(|export| export.addresses.values().copied()).collect()
    }

    /// The path of the record.
    fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// Records the first stage.
    ///
    /// # Errors
    /// When the export cannot be read, or the record cannot be written.
    pub(super) fn set_export(&mut self, path: &Path, addresses: BTreeMap<Address, Snowflake>) -> Result<()> {
        let bytes = files::read(path).map_err(|error| {
            Failure::new(format!("could not read the export {}: {error}", path.display())).help(CHECK_PATH_AND_DISK)
        })?;
        self.stages.export = Some(ExportRecord {
            file: path.strip_prefix(&self.folder).unwrap_or(path).to_owned(),
            sha256: digest(&bytes),
            addresses,
        });
        self.stages.snapshot = None;
        self.save()
    }

    /// Records the snapshot that follows the export.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub(super) fn set_snapshot(&mut self, snapshot: SnapshotRecord) -> Result<()> {
        self.stages.snapshot = Some(snapshot.id);
        self.stages.snapshot_has_members = snapshot.has_members;
        self.save()
    }

    /// The id of the request for a checkpoint, which is recorded before it is sent: that of an interrupted run, or a new one.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub(super) fn checkpoint_request(&mut self) -> Result<Uuid> {
        let now = OffsetDateTime::now_utc();
        let sent = self.stages.checkpoint_request.as_ref();
        if let Some(sent) = sent.filter(|sent| sent.sent_at + REPEATED_WITHIN > now) {
            return Ok(sent.id);
        }
        self.new_checkpoint_request()
    }

    /// Id of another request for a checkpoint, recorded before it is sent.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub(super) fn new_checkpoint_request(&mut self) -> Result<Uuid> {
        let (id, sent_at) = (Uuid::new_v4(), OffsetDateTime::now_utc());
        self.stages.checkpoint_request = Some(CheckpointRequest { id, sent_at });
        self.save()?;
        Ok(id)
    }

    /// Records the second stage with a checkpoint.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub(super) fn set_checkpoint(&mut self, checkpoint: CheckpointRecord) -> Result<()> {
        self.stages.checkpoint_request = None;
        self.stages.checkpoint = Some(checkpoint);
        self.stages.without_checkpoint = None;
        self.save()
    }

    /// Records the second stage without a checkpoint.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub(super) fn set_without_checkpoint(&mut self, reason: &str) -> Result<()> {
        self.stages.checkpoint_request = None;
        self.stages.checkpoint = None;
        self.stages.without_checkpoint = Some(reason.to_owned());
        self.save()
    }

    /// Records that the deletion begins.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub(super) fn set_deleting(&mut self) -> Result<()> {
        if self.stages.deleting {
            return Ok(());
        }
        self.stages.deleting = true;
        self.save()
    }

    /// Ends the teardown: the record moves beside the export, and a further teardown begins anew.
    ///
    /// # Errors
    /// When a file cannot be written or removed.
    pub(super) fn finish(&self) -> Result<()> {
        let open = self.path();
        if let Some(export) = self.export() {
            files::write_own(&export.with_file_name("teardown.json"), &self.bytes())?;
        }
        match std::fs::remove_file(&open) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Failure::new(format!("could not delete {}: {error}", open.display())).help(CHECK_PATH_AND_DISK))
            }
            _ => Ok(()),
        }
    }

    fn save(&self) -> Result<()> {
        files::write_own(&self.path(), &self.bytes())
    }

    fn bytes(&self) -> Vec<u8> {
        // Structs with text keys: serde_json cannot fail on them.
        let mut bytes = serde_json::to_vec_pretty(&self.stages).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guild() -> Snowflake {
        Snowflake::written("1200000000000000777").unwrap()
    }

    #[test]
    fn record_is_read_again_and_ends_beside_its_export() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Record::open(folder.path().to_owned(), guild()).unwrap();
        let mut record = open();
        assert_eq!((record.export(), record.is_deleting()), (None, false));
        let export = record.new_export("20261121T120000Z");
        files::write(&export, b"roles: {}\n").unwrap();
        let other = record.new_export("20261121T120000Z");
        assert_eq!(other, folder.path().join("20261121T120000Z-2/server.yaml"));
        let addresses = BTreeMap::from([("role.naib".parse().unwrap(), guild())]);
        record.set_export(&export, addresses.clone()).unwrap();
        assert_eq!(record.exported(), BTreeSet::from([guild()]));
        // Before the deletion, the server is exported again.
        files::write(&export, b"roles: {} # changed\n").unwrap();
        record.check_export().unwrap();
        files::write(&export, b"roles: {}\n").unwrap();
        let snapshot = SnapshotRecord {
            id: Uuid::from_u128(7),
            has_members: true,
        };
        record.set_snapshot(snapshot).unwrap();
        record.set_without_checkpoint("a test").unwrap();
        record.set_deleting().unwrap();
        let again = open();
        assert_eq!((again.addresses(), again.export()), (addresses, Some(export.clone())));
        assert_eq!(again.without_checkpoint(), Some("a test"));
        assert_eq!(again.snapshot(), Some(snapshot));
        assert!(again.is_deleting());
        again.check_export().unwrap();
        files::write(&export, b"roles: {} # changed\n").unwrap();
        assert!(again.check_export().unwrap_err().summary().contains("was changed"));
        again.finish().unwrap();
        assert!(!open().is_deleting());
        assert!(export.with_file_name("teardown.json").is_file());
    }

    #[test]
    fn damaged_record_and_one_of_another_server_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut record = Record::open(folder.path().to_owned(), guild()).unwrap();
        record.set_deleting().unwrap();
        let other = Snowflake::written("1200000000000000778").unwrap();
        for guild in [other, guild()] {
            let refused = Record::open(folder.path().to_owned(), guild).map(|_| ());
            assert_eq!(refused.is_err(), guild == other);
        }
        files::write(&folder.path().join(FILE), b"{").unwrap();
        let refused = Record::open(folder.path().to_owned(), guild()).unwrap_err();
        assert!(
            refused
                .what_to_do()
                .is_some_and(|help| help.contains("delete the file")),
            "{refused:?}"
        );
    }

    #[test]
    fn request_for_a_checkpoint_has_the_same_id_until_its_response_is_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Record::open(folder.path().to_owned(), guild()).unwrap();
        let id = open().checkpoint_request().unwrap();
        let mut killed = open();
        assert_eq!(killed.checkpoint_request().unwrap(), id);
        let sent = killed.stages.checkpoint_request.as_mut().unwrap();
        sent.sent_at -= Duration::HOUR;
        assert_ne!(killed.checkpoint_request().unwrap(), id);
        killed.set_without_checkpoint("a test").unwrap();
        assert_eq!(open().stages.checkpoint_request, None);
    }

    #[test]
    fn what_was_created_after_the_export_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let mut record = Record::open(folder.path().to_owned(), guild()).unwrap();
        record.refuse_created(&[]).unwrap();
        let created: [Address; 1] = ["channel.late".parse().unwrap()];
        let before = record.refuse_created(&created).unwrap_err();
        assert!(before.summary().ends_with("channel.late"), "{before:?}");
        assert!(
            before
                .what_to_do()
                .is_some_and(|help| help.contains("exports the server again"))
        );
        record.set_deleting().unwrap();
        let during = record.refuse_created(&created).unwrap_err();
        assert!(
            during.what_to_do().is_some_and(|help| help.contains(FILE)),
            "{during:?}"
        );
    }

    #[test]
    fn expired_checkpoint_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let mut record = Record::open(folder.path().to_owned(), guild()).unwrap();
        let mut checkpoint = CheckpointRecord {
            id: Uuid::from_u128(1),
            expires_at: OffsetDateTime::now_utc() + Duration::DAY,
            platform: "https://api.example.org/".to_owned(),
        };
        record.set_checkpoint(checkpoint.clone()).unwrap();
        assert!(record.checkpoint().is_some());
        checkpoint.expires_at -= Duration::days(2);
        record.set_checkpoint(checkpoint).unwrap();
        assert!(record.checkpoint().is_none());
    }
}
