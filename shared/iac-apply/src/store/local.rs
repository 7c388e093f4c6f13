//! Stores states in files: `.gaib/workspaces/{name}/state.json`, with `state.json.backup`, `lock` and `lock.json` beside it.
//! `.gaib/workspace` contains the name of the selected workspace.
//!
//! Files are small, so calls block and do not use a thread of their own.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use time::OffsetDateTime;

use super::file::{self, failed};
use super::lock::time_stamp;
use super::{Backend, HeldLock, LockHolder, LockRecord, SetAside, StateLock, StoreError, WorkspaceName, selection};

/// The store in a local folder.
#[derive(Clone, Debug)]
pub struct LocalStore {
    root: PathBuf,
    host: String,
}

impl LocalStore {
    /// A store in `root`, which is `.gaib` in the folder of the configuration. `host` is the name of this machine: locks of
    /// other machines never count as abandoned.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>, host: impl Into<String>) -> Self {
        Self {
            root: root.into(),
            host: host.into(),
        }
    }

    /// The path of the state of a workspace.
    #[must_use]
    pub fn state_path(&self, workspace: &WorkspaceName) -> PathBuf {
        self.folder(workspace).join("state.json")
    }

    /// The names of all workspaces.
    ///
    /// # Errors
    /// They cannot be listed.
    pub fn names(&self) -> Result<Vec<WorkspaceName>, StoreError> {
        let folder = self.root.join("workspaces");
        let mut names = vec![WorkspaceName::default()];
        match fs::read_dir(&folder) {
            Ok(entries) => {
                for entry in entries {
                    let entry = entry.map_err(|source| failed("list", &folder, source))?;
                    if !entry.path().is_dir() {
                        continue;
                    }
                    names.extend(entry.file_name().to_str().and_then(|name| name.parse().ok()));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(failed("list", &folder, source)),
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Removes a workspace whose folder contains no file except that of a free lock, and the folders above it that are empty then.
    /// Any other workspace stays.
    pub fn remove_unused(&self, workspace: &WorkspaceName) {
        let files = self.files(workspace);
        let Ok(entries) = fs::read_dir(&files.folder) else {
            return;
        };
        let is_lock = |entry: io::Result<fs::DirEntry>| entry.is_ok_and(|entry| entry.path() == files.lock);
        if !entries.into_iter().all(is_lock) {
            return;
        }
        let Ok(Some(_system)) = files.try_system_lock() else {
            return;
        };
        // A folder with a file that another process wrote since is not removed.
        let is_removed = fs::remove_file(&files.lock).and_then(|()| fs::remove_dir(&files.folder));
        if is_removed.is_ok() {
            let _ = fs::remove_dir(self.root.join("workspaces")).and_then(|()| fs::remove_dir(&self.root));
        }
    }

    fn folder(&self, workspace: &WorkspaceName) -> PathBuf {
        self.root.join("workspaces").join(workspace.as_str())
    }

    fn files(&self, workspace: &WorkspaceName) -> Files {
        let folder = self.folder(workspace);
        Files {
            state: folder.join("state.json"),
            previous: folder.join("state.json.backup"),
            lock: folder.join("lock"),
            record: folder.join("lock.json"),
            folder,
        }
    }

    /// Takes the lock of the operating system, and checks an existing record.
    fn acquire(&self, workspace: &WorkspaceName, record: LockRecord) -> Result<LocalGuard, StoreError> {
        let files = self.files(workspace);
        fs::create_dir_all(&files.folder).map_err(|source| failed("make", &files.folder, source))?;
        let locked = |record: LockRecord, alive| StoreError::Locked {
            workspace: workspace.clone(),
            record: Box::new(record),
            alive,
        };
        let Some(system) = files.try_system_lock()? else {
            // The holder writes its record after it takes the lock, so there may be none for a moment.
            return Err(match files.record()? {
                Some(record) => locked(record, true),
                None => StoreError::LockWithoutRecord(workspace.clone()),
            });
        };
        let left_behind = files.record()?;
        if let Some(record) = &left_behind
            && (record.process.is_none() || record.host != self.host)
        {
            return Err(locked(record.clone(), false));
        }
        let text = serde_json::to_vec_pretty(&record).map_err(|error| failed("write", &files.record, error.into()))?;
        file::replace(&files.record, &text)?;
        Ok(LocalGuard {
            files,
            record,
            left_behind,
            system,
            kept_previous: false,
            given_back: false,
        })
    }

    fn require(&self, workspace: &WorkspaceName) -> Result<(), StoreError> {
        if *workspace == WorkspaceName::default() || self.folder(workspace).is_dir() {
            Ok(())
        } else {
            Err(StoreError::NoWorkspace(workspace.clone()))
        }
    }
}

#[derive(Debug)]
struct Files {
    folder: PathBuf,
    state: PathBuf,
    previous: PathBuf,
    lock: PathBuf,
    record: PathBuf,
}

impl Files {
    /// The lock of the operating system; `None` while another process, or another guard of this process, holds it.
    fn try_system_lock(&self) -> Result<Option<File>, StoreError> {
        file::try_lock(&self.lock)
    }

    fn record(&self) -> Result<Option<LockRecord>, StoreError> {
        let Some(bytes) = file::read(&self.record)? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| StoreError::LockRecord {
                path: self.record.clone(),
                reason: error.to_string(),
                is_shared: false,
            })
    }
}

/// A held lock of the operating system.
#[derive(Debug)]
struct LocalGuard {
    files: Files,
    record: LockRecord,
    left_behind: Option<LockRecord>,
    /// The lock is held until the file is closed.
    system: File,
    kept_previous: bool,
    given_back: bool,
}

impl LocalGuard {
    /// The record is removed before the lock, so that the next holder does not find it.
    fn release_lock(&mut self) -> Result<(), StoreError> {
        if self.given_back {
            return Ok(());
        }
        self.given_back = true;
        file::remove(&self.files.record)?;
        self.system
            .unlock()
            .map_err(|source| failed("unlock", &self.files.lock, source))
    }

    /// Saves the current state as the backup, once for each operation: the backup is the state before an apply, not before
    /// its last step.
    fn keep_previous(&mut self) -> Result<(), StoreError> {
        if let Some(bytes) = file::read(&self.files.state)?.filter(|_| !self.kept_previous) {
            file::replace(&self.files.previous, &bytes)?;
        }
        self.kept_previous = true;
        Ok(())
    }
}

impl Drop for LocalGuard {
    fn drop(&mut self) {
        if let Err(error) = self.release_lock() {
            tracing::warn!(%error, "a lock could not be released");
        }
    }
}

#[async_trait]
impl StateLock for LocalGuard {
    fn record(&self) -> &LockRecord {
        &self.record
    }

    fn left_behind(&self) -> Option<&LockRecord> {
        self.left_behind.as_ref()
    }

    async fn set_aside(&mut self, reason: SetAside) -> Result<Option<String>, StoreError> {
        let stamp = time_stamp(OffsetDateTime::now_utc());
        let aside = self.files.folder.join(format!("state.json.{reason}-{stamp}"));
        match fs::rename(&self.files.state, &aside) {
            Ok(()) => Ok(Some(aside.display().to_string())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(failed("move away", &self.files.state, source)),
        }
    }

    async fn write(&mut self, state: &[u8]) -> Result<(), StoreError> {
        self.keep_previous()?;
        file::replace_target(&self.files.state, state)
    }

    async fn release(mut self: Box<Self>) -> Result<(), StoreError> {
        self.release_lock()
    }
}

#[async_trait]
impl Backend for LocalStore {
    fn describe(&self, workspace: &WorkspaceName) -> String {
        self.state_path(workspace).display().to_string()
    }

    async fn read(&self, workspace: &WorkspaceName) -> Result<Option<Vec<u8>>, StoreError> {
        file::read(&self.files(workspace).state)
    }

    async fn read_previous(&self, workspace: &WorkspaceName) -> Result<Option<Vec<u8>>, StoreError> {
        file::read(&self.files(workspace).previous)
    }

    async fn lock_as(&self, workspace: &WorkspaceName, record: LockRecord) -> Result<Box<dyn StateLock>, StoreError> {
        self.require(workspace)?;
        Ok(Box::new(self.acquire(workspace, record)?))
    }

    async fn lock_permanently(&self, workspace: &WorkspaceName, holder: &LockHolder) -> Result<LockRecord, StoreError> {
        self.require(workspace)?;
        let mut guard = self.acquire(workspace, LockRecord::permanent(holder))?;
        // The record stays after the lock of the operating system is released.
        guard.given_back = true;
        Ok(guard.record.clone())
    }

    async fn held(&self, workspace: &WorkspaceName) -> Result<Option<HeldLock>, StoreError> {
        let files = self.files(workspace);
        let Some(record) = files.record()? else { return Ok(None) };
        let alive = files.try_system_lock()?.is_none();
        Ok(Some(HeldLock { record, alive }))
    }

    async fn unlock(&self, workspace: &WorkspaceName, id: &str, force: bool) -> Result<LockRecord, StoreError> {
        let files = self.files(workspace);
        let record = files
            .record()?
            .ok_or_else(|| StoreError::NotLocked(workspace.clone()))?;
        if record.id != id {
            return Err(StoreError::OtherLock {
                workspace: workspace.clone(),
                held: record.id,
                asked: id.to_owned(),
            });
        }
        // Held while the record is removed, so that no new record is removed.
        let Some(_system) = files.try_system_lock()? else {
            return Err(StoreError::Alive(Box::new(record)));
        };
        if record.process.is_some() && !force {
            return Err(StoreError::OfAnOperation(Box::new(record)));
        }
        file::remove(&files.record)?;
        Ok(record)
    }

    async fn workspaces(&self) -> Result<Vec<WorkspaceName>, StoreError> {
        self.names()
    }

    async fn create_workspace(&self, workspace: &WorkspaceName) -> Result<(), StoreError> {
        let folder = self.folder(workspace);
        let parent = folder.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(|source| failed("make", parent, source))?;
        match fs::create_dir(&folder) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(StoreError::WorkspaceExists(workspace.clone()))
            }
            Err(source) => Err(failed("make", &folder, source)),
        }
    }

    async fn delete_workspace(&self, workspace: &WorkspaceName) -> Result<(), StoreError> {
        if !self.folder(workspace).is_dir() {
            return Err(StoreError::NoWorkspace(workspace.clone()));
        }
        let holder = LockHolder {
            who: "gaib".to_owned(),
            host: self.host.clone(),
            operation: "workspace delete".to_owned(),
        };
        let mut guard = self.acquire(workspace, LockRecord::of_this_process(&holder))?;
        guard.given_back = true;
        let folder = self.folder(workspace);
        fs::remove_dir_all(&folder).map_err(|source| failed("remove", &folder, source))
    }

    async fn chosen(&self) -> Result<Option<WorkspaceName>, StoreError> {
        selection::chosen(&self.root)
    }

    async fn select(&self, workspace: &WorkspaceName) -> Result<(), StoreError> {
        self.require(workspace)?;
        selection::select(&self.root, workspace)
    }
}
