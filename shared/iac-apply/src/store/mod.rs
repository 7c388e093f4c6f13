//! Storage and locks of states.
//!
//! A [`Backend`] stores a state and a lock for each workspace; [`LocalStore`] uses files in `.gaib/`, [`RemoteStore`] an object
//! store that several machines share. The content of a state is opaque here: `arrakis-iac` parses it. A new backend implements
//! the trait and runs the same tests (`tests/it/store/common.rs`).

mod error;
mod file;
mod local;
mod lock;
mod name;
mod remote;
mod selection;
mod servers;

use std::fmt::{self, Debug};

use async_trait::async_trait;

pub use error::StoreError;
pub use local::LocalStore;
pub use lock::{HeldLock, LockHolder, LockRecord};
pub use name::WorkspaceName;
#[cfg(feature = "aws")]
pub use remote::DynamoLocks;
pub use remote::{LockTable, ObjectLocks, RemoteServerLock, RemoteServers, RemoteStore};
pub use servers::{ServerLock, ServerMarker, ServerRecords};

/// A store of states, by workspace.
#[async_trait]
pub trait Backend: Debug + Send + Sync {
    /// The name of a state in messages: its path, or a URL such as `s3://bucket/prefix/workspaces/default/state.json`.
    fn describe(&self, workspace: &WorkspaceName) -> String;

    /// The state; `None` if there is none.
    ///
    /// # Errors
    /// A file cannot be read.
    async fn read(&self, workspace: &WorkspaceName) -> Result<Option<Vec<u8>>, StoreError>;

    /// The state before the last operation that changed it.
    ///
    /// # Errors
    /// A file cannot be read.
    async fn read_previous(&self, workspace: &WorkspaceName) -> Result<Option<Vec<u8>>, StoreError>;

    /// Takes the lock for an operation.
    ///
    /// # Errors
    /// [`StoreError::Locked`], with the record of the holder.
    async fn lock(&self, workspace: &WorkspaceName, holder: &LockHolder) -> Result<Box<dyn StateLock>, StoreError> {
        self.lock_as(workspace, LockRecord::of_this_process(holder)).await
    }

    /// The same, with a record that the caller made and noted before: after an interruption it identifies its own lock.
    ///
    /// # Errors
    /// As [`Backend::lock`].
    async fn lock_as(&self, workspace: &WorkspaceName, record: LockRecord) -> Result<Box<dyn StateLock>, StoreError>;

    /// Takes the lock permanently, until [`Backend::unlock`].
    ///
    /// # Errors
    /// [`StoreError::Locked`], with the record of the holder.
    async fn lock_permanently(&self, workspace: &WorkspaceName, holder: &LockHolder) -> Result<LockRecord, StoreError>;

    /// The current lock.
    ///
    /// # Errors
    /// A file cannot be read.
    async fn held(&self, workspace: &WorkspaceName) -> Result<Option<HeldLock>, StoreError>;

    /// Removes the lock with this id. `force` also removes the lock of an operation that has ended, and its locks of servers; the
    /// lock of an operation that is running in this folder is never removed.
    ///
    /// # Errors
    /// [`StoreError::NotLocked`], [`StoreError::OtherLock`], [`StoreError::Alive`].
    async fn unlock(&self, workspace: &WorkspaceName, id: &str, force: bool) -> Result<LockRecord, StoreError>;

    /// Removes the records of locks that cannot be read, of the workspace and of servers, in a store where they are no files of this machine.
    /// Returns their names. No other command removes them: they have no id.
    ///
    /// # Errors
    /// The store cannot be read or written.
    async fn remove_unreadable_locks(&self, _workspace: &WorkspaceName) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    /// The names of all workspaces.
    ///
    /// # Errors
    /// The folder cannot be read.
    async fn workspaces(&self) -> Result<Vec<WorkspaceName>, StoreError>;

    /// Creates a workspace.
    ///
    /// # Errors
    /// [`StoreError::WorkspaceExists`].
    async fn create_workspace(&self, workspace: &WorkspaceName) -> Result<(), StoreError>;

    /// Deletes a workspace with its state. The caller checks that the state is empty.
    ///
    /// # Errors
    /// [`StoreError::NoWorkspace`], [`StoreError::Locked`].
    async fn delete_workspace(&self, workspace: &WorkspaceName) -> Result<(), StoreError>;

    /// The selected workspace; `None` if none is selected.
    ///
    /// # Errors
    /// A file cannot be read.
    async fn chosen(&self) -> Result<Option<WorkspaceName>, StoreError>;

    /// The selected workspace, or `default`.
    ///
    /// # Errors
    /// A file cannot be read.
    async fn selected(&self) -> Result<WorkspaceName, StoreError> {
        Ok(self.chosen().await?.unwrap_or_default())
    }

    /// Selects a workspace.
    ///
    /// # Errors
    /// [`StoreError::NoWorkspace`].
    async fn select(&self, workspace: &WorkspaceName) -> Result<(), StoreError>;
}

/// Why a state is set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetAside {
    /// It cannot be read.
    Damaged,
    /// Another backend has it now.
    Migrated,
}

impl fmt::Display for SetAside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Damaged => "damaged",
            Self::Migrated => "migrated",
        })
    }
}

/// A held lock of a workspace, which permits writes. Call [`StateLock::release`] in the end: only a local lock is released for
/// certain when it is dropped.
#[async_trait]
pub trait StateLock: Debug + Send + Sync {
    /// The record of the lock.
    fn record(&self) -> &LockRecord;

    /// The record of an abandoned lock that was taken over.
    fn left_behind(&self) -> Option<&LockRecord>;

    /// Renames the state, so that the next write replaces neither it nor the backup. Returns the new name; `None` if there is no
    /// state.
    ///
    /// # Errors
    /// The file cannot be renamed.
    async fn set_aside(&mut self, reason: SetAside) -> Result<Option<String>, StoreError>;

    /// Replaces the state atomically. The first write of a guard saves the earlier state as the backup.
    ///
    /// # Errors
    /// The file cannot be written; the old state is unchanged. [`StoreError::StateChanged`] where another operation has written
    /// the state since the lock was taken.
    async fn write(&mut self, state: &[u8]) -> Result<(), StoreError>;

    /// Releases the lock.
    ///
    /// # Errors
    /// The lock cannot be released.
    async fn release(self: Box<Self>) -> Result<(), StoreError>;
}
