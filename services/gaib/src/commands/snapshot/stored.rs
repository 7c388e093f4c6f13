//! A snapshot that was read from the store, after all checks.

use std::collections::BTreeMap;

use arrakis_iac::model::Image;
use arrakis_iac::snapshot::{MembersRecord, RecordError, SERVER_FILE, ServerRecord};
use arrakis_iac::state::State;
use arrakis_iac_apply::ImageSource;
use arrakis_vault::{BackupRecord, Expected, MEMBERS_FILE, RecordKind, Snapshot, ThemeVersion};
use uuid::Uuid;

use crate::backups::Backups;
use crate::commands::backup::PresentState;
use crate::error::{Failure, Result};

/// A snapshot with its content.
#[derive(Debug)]
pub(super) struct StoredSnapshot {
    pub(super) record: BackupRecord,
    /// The theme that the server was made from, by the manifest.
    pub(super) theme: Option<ThemeVersion>,
    pub(super) server: ServerRecord,
    /// `None` where the server had no state.
    pub(super) state: Option<State>,
    /// `None` where Discord refused the list.
    pub(super) members: Option<MembersRecord>,
    /// The files by name.
    pub(super) files: SnapshotFiles,
}

/// The files of a snapshot, as a source of images.
#[derive(Clone, Debug)]
pub(super) struct SnapshotFiles(pub(super) BTreeMap<String, Vec<u8>>);

impl ImageSource for SnapshotFiles {
    fn bytes(&self, image: &Image) -> Result<Vec<u8>, String> {
        let found = self.0.get(&image.path).cloned();
        found.ok_or_else(|| format!("the snapshot has no file {}", image.path))
    }
}

/// Reads a snapshot with all checks. `expected` is what it must belong to.
pub(super) async fn read(backups: &Backups, id: Uuid, expected: &Expected) -> Result<(BackupRecord, Snapshot)> {
    let record = backups.find(RecordKind::Snapshot, id).await?;
    let snapshot = backups.vault.read_snapshot(&record, expected).await;
    let snapshot = snapshot.map_err(|error| Failure::of_record(&error, record.kind, record.id))?;
    Ok((record, snapshot))
}

impl StoredSnapshot {
    /// Reads a snapshot to be restored into the workspace, whose state is `present`.
    pub(super) async fn for_restore(backups: &Backups, id: Uuid, present: &PresentState) -> Result<Self> {
        let (record, snapshot) = read(backups, id, &present.expected(backups)).await?;
        Self::new(record, snapshot)
    }

    /// Reads a snapshot for a comparison.
    pub(super) async fn for_reading(backups: &Backups, id: Uuid) -> Result<Self> {
        let expected = Expected {
            server: backups.server(),
            lineage: None,
        };
        let (record, snapshot) = read(backups, id, &expected).await?;
        Self::new(record, snapshot)
    }

    fn new(record: BackupRecord, snapshot: Snapshot) -> Result<Self> {
        let id = record.id;
        let unreadable = |file: &str, error: &dyn std::fmt::Display| {
            Failure::new(format!("{file} of the snapshot {id} cannot be read: {error}"))
                .help("use a newer gaib, or another snapshot")
        };
        let state = snapshot.state().map(State::from_bytes).transpose();
        let state = state.map_err(|error| unreadable("the state", &error))?;
        let mut files = snapshot.files;
        let server = files.remove(SERVER_FILE).ok_or_else(|| {
            Failure::new(format!("the snapshot {id} has no {SERVER_FILE}, so its server is unknown")).help(
                "its state can be restored (the same command without --apply), and its configuration applied: `gaib server snapshot \
                 download`",
            )
        })?;
        let server = ServerRecord::from_bytes(&server).map_err(|error| unreadable(SERVER_FILE, &error))?;
        let members: Option<Result<MembersRecord, RecordError>> = files
            .remove(MEMBERS_FILE)
            .map(|bytes| MembersRecord::from_bytes(&bytes));
        let members = members.transpose().map_err(|error| unreadable(MEMBERS_FILE, &error))?;
        Ok(Self {
            record,
            theme: snapshot.manifest.theme,
            server,
            state,
            members,
            files: SnapshotFiles(files),
        })
    }

    /// Its name in messages.
    pub(super) fn name(&self) -> String {
        format!("the snapshot {}", self.record.id)
    }
}
