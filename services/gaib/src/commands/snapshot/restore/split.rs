//! The lock of a state during a restore: each write of the working state is split into the state of the workspace and the journal.

use arrakis_iac::snapshot::{Restoration, StateParts};
use arrakis_iac::state::State;
use arrakis_iac_apply::store::{LockRecord, SetAside, StateLock, StoreError};
use async_trait::async_trait;

use super::journal::Journal;

/// A held lock that writes the working state of a restore.
#[derive(Debug)]
pub(super) struct SplitLock<'a> {
    inner: &'a mut dyn StateLock,
    restoration: &'a Restoration,
    journal: &'a mut Journal,
    /// Whether the workspace has a state. None is created for a workspace that manages nothing.
    has_state: bool,
}

impl<'a> SplitLock<'a> {
    pub(super) fn new(
        inner: &'a mut dyn StateLock,
        restoration: &'a Restoration,
        journal: &'a mut Journal,
        has_state: bool,
    ) -> Self {
        Self {
            inner,
            restoration,
            journal,
            has_state,
        }
    }
}

#[async_trait]
impl StateLock for SplitLock<'_> {
    fn record(&self) -> &LockRecord {
        self.inner.record()
    }

    fn left_behind(&self) -> Option<&LockRecord> {
        self.inner.left_behind()
    }

    async fn set_aside(&mut self, reason: SetAside) -> Result<Option<String>, StoreError> {
        self.inner.set_aside(reason).await
    }

    /// Writes the journal first: a pending creation of a borrowed resource must be known before its request.
    async fn write(&mut self, state: &[u8]) -> Result<(), StoreError> {
        let working = State::from_bytes(state).map_err(|error| StoreError::Backend(error.to_string()))?;
        let StateParts { managed, borrowed } = self.restoration.split(&working);
        let journal = self.journal.write(borrowed);
        journal.map_err(|failure| StoreError::Backend(failure.summary().to_owned()))?;
        if managed.is_empty() && !self.has_state {
            return Ok(());
        }
        self.inner.write(&managed.to_bytes()).await?;
        self.has_state = true;
        Ok(())
    }

    /// The lock belongs to the caller.
    async fn release(self: Box<Self>) -> Result<(), StoreError> {
        Ok(())
    }
}
