//! `.gaib/migration.json`: a migration in progress, from its first lock to the release of its last one.
//!
//! Once `.gaib/config.yaml` names the new backend, only this file names the former one, whose states and locks an interrupted migration
//! leaves.

use std::path::{Path, PathBuf};

use arrakis_iac_apply::store::{StoreError, WorkspaceName};
use serde::{Deserialize, Serialize};

use super::Move;
use crate::backend::{BackendEntry, BackendSettings, StateStore};
use crate::error::{Failure, OrFail as _, Result};
use crate::files;
use crate::project::store_folder;
use crate::workspace::host;

const VERSION: u32 = 1;

/// The record of a migration.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Journal {
    version: u32,
    /// The machine of the process.
    host: String,
    from: BackendEntry,
    to: BackendEntry,
    locks: Vec<Locks>,
}

/// Ids of the locks of a workspace.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Locks {
    workspace: String,
    from: String,
    to: Option<String>,
}

impl Journal {
    pub(super) fn new(from: &BackendSettings, to: &BackendSettings) -> Self {
        Self {
            version: VERSION,
            host: host(),
            from: from.into(),
            to: to.into(),
            locks: Vec::new(),
        }
    }

    /// The journal of an interrupted migration; `None` where there is none.
    pub(super) fn read() -> Result<Option<Self>> {
        let path = path();
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).or_fail(format_args!("read {}", path.display())),
        };
        match serde_json::from_slice::<Self>(&bytes) {
            Ok(journal) if journal.version == VERSION => Ok(Some(journal)),
            Ok(journal) => Err(unreadable(&format!(
                "it has version {}, and this gaib reads version {VERSION}",
                journal.version
            ))),
            Err(error) => Err(unreadable(&error.to_string())),
        }
    }

    /// The former backend.
    pub(super) fn from(&self) -> Result<BackendSettings> {
        BackendSettings::try_from(&self.from).map_err(|reason| unreadable(&reason))
    }

    /// The new backend.
    pub(super) fn to(&self) -> Result<BackendSettings> {
        BackendSettings::try_from(&self.to).map_err(|reason| unreadable(&reason))
    }

    /// Writes the journal with the locks that are held.
    pub(super) fn write(&mut self, moves: &[Move]) -> Result<()> {
        let locks = moves.iter().map(|one| Locks {
            workspace: one.source.name.as_str().to_owned(),
            from: one.from.record().id.clone(),
            to: one.to.as_ref().map(|to| to.record().id.clone()),
        });
        self.locks = locks.collect();
        let bytes = serde_json::to_vec(self).or_fail("write the journal of the migration")?;
        files::write(&path(), &bytes)
    }

    /// Removes the journal.
    pub(super) fn remove() -> Result<()> {
        let path = path();
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).or_fail(format_args!("remove {}", path.display()))
            }
            _ => Ok(()),
        }
    }

    /// Releases the locks that the interrupted process left in both backends. Those of another machine stay: whether its process is
    /// running is not known here.
    ///
    /// # Errors
    /// When the process is running, or a backend fails.
    pub(super) async fn release_locks(&self, from: &StateStore, to: &StateStore) -> Result<()> {
        if self.host != host() {
            return Ok(());
        }
        for locks in &self.locks {
            let name: WorkspaceName = locks.workspace.parse()?;
            release(from, &name, &locks.from).await?;
            if let Some(id) = &locks.to {
                release(to, &name, id).await?;
            }
            // The lock of a server in the new backend has the id of the lock in the former one.
            release(to, &name, &locks.from).await?;
        }
        Ok(())
    }
}

async fn release(store: &StateStore, name: &WorkspaceName, id: &str) -> Result<()> {
    match store.unlock(name, id, true).await {
        Ok(_) | Err(StoreError::NotLocked(_) | StoreError::OtherLock { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn path() -> PathBuf {
    store_folder(Path::new("")).join("migration.json")
}

fn unreadable(reason: &str) -> Failure {
    Failure::new(format!(
        "the journal of an interrupted migration, {}, cannot be read: {reason}",
        path().display()
    ))
    .help("use a newer gaib; or delete the file: the former states then stay where they are")
}
