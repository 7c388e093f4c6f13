//! Storage and locks of states.
//!
//! A [`Backend`] stores a state and a lock for each workspace; [`LocalStore`] uses files in `.gaib/`. The content of a state is
//! opaque here: `arrakis-iac` parses it. A new backend implements the trait and runs the same tests.

mod error;
mod file;
mod local;
mod lock;
mod name;
mod servers;

use std::fmt::Debug;

use async_trait::async_trait;

pub use error::StoreError;
pub use local::LocalStore;
pub use lock::{HeldLock, LockHolder, LockRecord};
pub use name::WorkspaceName;
pub use servers::{ServerLock, ServerMarker, ServerRecords};

/// A store of states, by workspace.
#[async_trait]
pub trait Backend: Debug + Send + Sync {
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
    async fn lock(&self, workspace: &WorkspaceName, holder: &LockHolder) -> Result<Box<dyn StateLock>, StoreError>;

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

    /// Removes the lock with this id. `force` also removes the lock of an operation that has ended; the lock of an operation
    /// that is running on this machine is never removed.
    ///
    /// # Errors
    /// [`StoreError::NotLocked`], [`StoreError::OtherLock`], [`StoreError::Alive`].
    async fn unlock(&self, workspace: &WorkspaceName, id: &str, force: bool) -> Result<LockRecord, StoreError>;

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

/// A held lock of a workspace, which permits writes. Released when dropped.
#[async_trait]
pub trait StateLock: Debug + Send + Sync {
    /// The record of the lock.
    fn record(&self) -> &LockRecord;

    /// The record of an abandoned lock that was taken over.
    fn left_behind(&self) -> Option<&LockRecord>;

    /// Renames an invalid state, so that the next write replaces neither it nor the backup. Returns the new path; `None` if
    /// there is no state.
    ///
    /// # Errors
    /// The file cannot be renamed.
    async fn set_aside(&mut self) -> Result<Option<String>, StoreError>;

    /// Replaces the state atomically. The first write of a guard saves the earlier state as the backup.
    ///
    /// # Errors
    /// The file cannot be written; the old state is unchanged.
    async fn write(&mut self, state: &[u8]) -> Result<(), StoreError>;

    /// Releases the lock.
    ///
    /// # Errors
    /// The lock cannot be released.
    async fn release(self: Box<Self>) -> Result<(), StoreError>;
}
