//! `.gaib/migration.json`: a migration in progress, from its first lock to the release of its last one.
//!
//! Once `.gaib/config.yaml` names the new backend, only this file names the former one, whose states and locks an interrupted migration
//! leaves.

use std::path::{Path, PathBuf};

use arrakis_iac_apply::store::{LockRecord, StoreError, WorkspaceName};
use serde::{Deserialize, Serialize};

use super::OPERATION;
use crate::backend::{BackendEntry, BackendSettings, StateStore};
use crate::error::{Failure, OrFail as _, Result};
use crate::files;
use crate::project::store_folder;
use crate::workspace::{host, lock_holder};

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

/// Ids of the locks of a workspace, from before they are taken.
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
        let bytes = match files::read_own(&path) {
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

    /// The record of a lock of a workspace in the former backend, which is about to be taken. Its id is in the journal before: the next
    /// migration identifies a lock whose process was killed immediately after it took it.
    pub(super) fn lock_in_former(&mut self, name: &WorkspaceName) -> Result<LockRecord> {
        let record = record();
        self.locks.push(Locks {
            workspace: name.as_str().to_owned(),
            from: record.id.clone(),
            to: None,
        });
        self.write()?;
        Ok(record)
    }

    /// The same in the new backend. An earlier lock of the workspace there is released already.
    pub(super) fn lock_in_new(&mut self, name: &WorkspaceName) -> Result<LockRecord> {
        let record = record();
        let locks = self.locks.iter_mut().rev();
        let mut of_workspace = locks.filter(|locks| locks.workspace == name.as_str());
        if let Some(locks) = of_workspace.next() {
            locks.to = Some(record.id.clone());
        }
        self.write()?;
        Ok(record)
    }

    fn write(&self) -> Result<()> {
        let bytes = serde_json::to_vec(self).or_fail("write the journal of the migration")?;
        files::write_own(&path(), &bytes)
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

    /// Releases the locks that the interrupted process left in the former backend. Those of another machine stay: whether its process is
    /// running is not known here.
    ///
    /// # Errors
    /// When the process is running, or the backend fails.
    pub(super) async fn release_in_former(&self, store: &StateStore) -> Result<()> {
        for locks in self.locks_of_this_machine() {
            release(store, &locks.workspace.parse()?, &locks.from).await?;
        }
        Ok(())
    }

    /// The same in the new backend.
    ///
    /// # Errors
    /// As [`Journal::release_in_former`].
    pub(super) async fn release_in_new(&self, store: &StateStore) -> Result<()> {
        for locks in self.locks_of_this_machine() {
            let name: WorkspaceName = locks.workspace.parse()?;
            if let Some(id) = &locks.to {
                release(store, &name, id).await?;
            }
            // The lock of a server in the new backend has the id of the lock in the former one.
            release(store, &name, &locks.from).await?;
        }
        Ok(())
    }

    /// The ids of the locks in the new backend.
    pub(super) fn ids_in_new(&self) -> Vec<&str> {
        self.locks.iter().filter_map(|locks| locks.to.as_deref()).collect()
    }

    fn locks_of_this_machine(&self) -> &[Locks] {
        match self.host == host() {
            true => &self.locks,
            false => &[],
        }
    }
}

fn record() -> LockRecord {
    LockRecord::of_this_process(&lock_holder(OPERATION))
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
