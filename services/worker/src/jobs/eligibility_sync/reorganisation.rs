//! Reorganisations: the chain has other blocks than those whose logs are stored.

use arrakis_chain::BlockRef;
use arrakis_db::{StoredBlock, SyncRun};
use time::OffsetDateTime;

use super::error::SyncError;
use super::sync::ProfileSync;

impl ProfileSync<'_> {
    /// Whether the last stored block is part of the chain. To be called after a batch was read and before it is stored: a comparison
    /// before the reading would miss a reorganisation between the two.
    ///
    /// A block that no endpoint has is an error: they may lag, and a reorganisation replaces a final block by another one.
    pub(super) async fn is_on_chain(&self, stored: Option<StoredBlock>) -> Result<bool, SyncError> {
        let Some(stored) = stored else { return Ok(true) };
        match self.chain.block(stored.number).await? {
            Some(block) => Ok(block.hash == stored.hash),
            None => Err(SyncError::BlockUnavailable(stored.number)),
        }
    }

    /// Deletes the events of blocks that are no longer part of the chain; returns the next block to read. A chain that ends before the
    /// last stored block is no reorganisation: its endpoints lag.
    pub(super) async fn undo_reorganisation(&self, run: &SyncRun, next: u64) -> Result<u64, SyncError> {
        let Some(last) = self.stored_block(next.saturating_sub(1)).await? else {
            return Ok(next);
        };
        self.chain.set_finalized(BlockRef {
            number: last.number,
            hash: last.hash,
            timestamp: OffsetDateTime::UNIX_EPOCH,
        });
        let finalized = self.chain.finalized().await?.number;
        if finalized < last.number {
            return Err(SyncError::Lagging {
                profile: self.profile.id.clone(),
                read: last.number,
                finalized,
            });
        }
        let mut common = Some(last);
        while let Some(block) = common
            && !self.is_on_chain(Some(block)).await?
        {
            common = match block.number.checked_sub(1) {
                Some(before) => self.stored_block(before).await?,
                None => None,
            };
        }
        if common == Some(last) {
            return Ok(next);
        }
        let start = common.map_or(self.profile.start_block, |block| block.number + 1);
        let mut tx = self.services.database.global().await?;
        let deleted = tx.roll_back_sync(run, next, start).await?;
        tx.commit().await?;
        let deleted = deleted.ok_or(SyncError::Superseded)?;
        self.services.metrics.eligibility.reorganised(&self.profile.id);
        tracing::warn!(
            token_profile = %self.profile.id,
            from_block = start,
            to_block = last.number,
            deleted_events = deleted,
            "the chain was reorganised; its logs are read again from the last common block"
        );
        Ok(start)
    }

    pub(super) async fn stored_block(&self, highest: u64) -> Result<Option<StoredBlock>, SyncError> {
        let mut tx = self.services.database.global().await?;
        let block = tx.eligibility().stored_block(&self.profile.id, highest).await?;
        tx.commit().await?;
        Ok(block)
    }
}
