//! Where the state lives, and who may write it.
//!
//! A [`Backend`] keeps bytes by workspace and one lock each; [`Local`] is the one with files below `.gaib/`. Nothing here
//! knows what a state says: reading and checking it is `arrakis-iac`'s. Another backend (S3) implements the trait and runs
//! through the same tests.

mod error;
mod file;
mod local;
mod lock;
mod name;
mod servers;

use std::fmt::Debug;

use async_trait::async_trait;

pub use error::StoreError;
pub use local::Local;
pub use lock::{HeldLock, Holder, LockRecord};
pub use name::WorkspaceName;
pub use servers::{Owner, ServerLock, Servers};

/// Somewhere to keep states.
#[async_trait]
pub trait Backend: Debug + Send + Sync {
    /// The state, or `None` where there is none yet.
    ///
    /// # Errors
    /// It cannot be read.
    async fn read(&self, workspace: &WorkspaceName) -> Result<Option<Vec<u8>>, StoreError>;

    /// The state as it was before the last operation that wrote.
    ///
    /// # Errors
    /// It cannot be read.
    async fn read_previous(&self, workspace: &WorkspaceName) -> Result<Option<Vec<u8>>, StoreError>;

    /// Takes the lock for an operation.
    ///
    /// # Errors
    /// [`StoreError::Locked`], naming who holds it.
    async fn lock(&self, workspace: &WorkspaceName, holder: &Holder) -> Result<Box<dyn Guard>, StoreError>;

    /// Takes the lock and leaves it taken when this process ends, until [`Backend::unlock`].
    ///
    /// # Errors
    /// [`StoreError::Locked`], naming who holds it.
    async fn lock_for_long(&self, workspace: &WorkspaceName, holder: &Holder) -> Result<LockRecord, StoreError>;

    /// Who holds the lock.
    ///
    /// # Errors
    /// It cannot be read.
    async fn held(&self, workspace: &WorkspaceName) -> Result<Option<HeldLock>, StoreError>;

    /// Takes the lock away from whoever holds it under this id. With `force`, also from an operation that has gone; never
    /// from one that is alive on this machine.
    ///
    /// # Errors
    /// [`StoreError::NotLocked`], [`StoreError::OtherLock`], [`StoreError::Alive`].
    async fn unlock(&self, workspace: &WorkspaceName, id: &str, force: bool) -> Result<LockRecord, StoreError>;

    /// All workspaces by name.
    ///
    /// # Errors
    /// They cannot be listed.
    async fn workspaces(&self) -> Result<Vec<WorkspaceName>, StoreError>;

    /// Makes a workspace.
    ///
    /// # Errors
    /// [`StoreError::WorkspaceExists`].
    async fn create_workspace(&self, workspace: &WorkspaceName) -> Result<(), StoreError>;

    /// Deletes a workspace with its state. Whether the state still manages something is the caller's to ask.
    ///
    /// # Errors
    /// [`StoreError::NoWorkspace`], [`StoreError::Locked`].
    async fn delete_workspace(&self, workspace: &WorkspaceName) -> Result<(), StoreError>;

    /// The workspace that was chosen; `None` when none was.
    ///
    /// # Errors
    /// It cannot be read.
    async fn chosen(&self) -> Result<Option<WorkspaceName>, StoreError>;

    /// The workspace that was chosen, else `default`.
    ///
    /// # Errors
    /// It cannot be read.
    async fn selected(&self) -> Result<WorkspaceName, StoreError> {
        Ok(self.chosen().await?.unwrap_or_default())
    }

    /// Chooses a workspace.
    ///
    /// # Errors
    /// [`StoreError::NoWorkspace`].
    async fn select(&self, workspace: &WorkspaceName) -> Result<(), StoreError>;
}

/// The lock of a workspace, held. Only its holder writes. Dropping it gives it back.
#[async_trait]
pub trait Guard: Debug + Send + Sync {
    /// What others see of it.
    fn record(&self) -> &LockRecord;

    /// A lock that a process left behind when it died, and that was taken over.
    fn left_behind(&self) -> Option<&LockRecord>;

    /// Moves a damaged state away, so that the next write replaces neither it nor the previous one. Returns its new name,
    /// `None` where there is no state.
    ///
    /// # Errors
    /// It cannot be moved.
    async fn set_aside(&mut self) -> Result<Option<String>, StoreError>;

    /// Replaces the state: either whole or not at all. The first write of a guard keeps what was there as the previous one.
    ///
    /// # Errors
    /// It cannot be written; the old one is untouched.
    async fn write(&mut self, state: &[u8]) -> Result<(), StoreError>;

    /// Gives the lock back.
    ///
    /// # Errors
    /// It cannot be given back.
    async fn release(self: Box<Self>) -> Result<(), StoreError>;
}
