//! Reorganisations: the chain has other blocks than those whose logs are stored.

use arrakis_chain::{BlockRef, EndpointBlock};
use arrakis_db::{RollBackStep, StoredBlock, SyncRun};
use time::OffsetDateTime;

use super::error::SyncError;
use super::sync::ProfileSync;

/// Blocks from which a reorganisation is deep: a second endpoint must confirm it, because one endpoint alone would delete days of logs.
const DEEP: u64 = 64;

impl ProfileSync<'_> {
    /// Whether the last stored block is still part of the chain; true without one. Called after a batch was read and before it is stored:
    /// a comparison before the reading would miss a reorganisation between the two.
    ///
    /// # Errors
    /// If no endpoint responds, or none has the block: they may lag, and a reorganisation replaces a final block by another one.
    pub(super) async fn is_on_chain(&self, stored: Option<StoredBlock>) -> Result<bool, SyncError> {
        let Some(stored) = stored else { return Ok(true) };
        match self.chain.block(stored.number).await? {
            Some(block) => Ok(block.hash == stored.hash),
            None => Err(SyncError::BlockUnavailable(stored.number)),
        }
    }

    /// Deletes the events of blocks that are no longer part of the chain; returns the next block to read and the stored block before
    /// it. A chain that ends before the last stored block is no reorganisation: its endpoints lag.
    pub(super) async fn undo_reorganisation(
        &self,
        run: &SyncRun,
        next: u64,
    ) -> Result<(u64, Option<StoredBlock>), SyncError> {
        let stored = self.stored_blocks(next).await?;
        let Some(last) = stored.last().copied() else {
            return Ok((next, None));
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
        let Some((common, replaced)) = self.first_replaced(&stored).await? else {
            return Ok((next, Some(last)));
        };
        let start = common.map_or(self.profile.start_block, |block| block.number + 1);
        self.confirm(replaced, (last.number + 1).saturating_sub(start)).await?;
        let mut tx = self.services.database.global().await?;
        let begun = tx.begin_roll_back(run, next, start).await?;
        tx.commit().await?;
        if !begun {
            return Err(SyncError::Superseded);
        }
        self.services.metrics.eligibility.reorganised(&self.profile.id);
        tracing::warn!(
            token_profile = %self.profile.id,
            from_block = start,
            to_block = last.number,
            "the chain was reorganised; its logs are read again from the last common block"
        );
        self.finish_roll_back(run, start).await?;
        Ok((start, common))
    }

    /// The last stored block that is part of the chain, and the first one that is not; `None` when all are. Of a chain, the blocks
    /// before one that is part of it are so, too: a binary search takes ten requests.
    async fn first_replaced(
        &self,
        stored: &[StoredBlock],
    ) -> Result<Option<(Option<StoredBlock>, StoredBlock)>, SyncError> {
        if self.is_on_chain(stored.last().copied()).await? {
            return Ok(None);
        }
        let (mut low, mut high) = (0, stored.len().saturating_sub(1));
        while low < high {
            let middle = low + (high - low) / 2;
            if self.is_on_chain(stored.get(middle).copied()).await? {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let common = high.checked_sub(1).and_then(|before| stored.get(before)).copied();
        Ok(stored.get(high).map(|replaced| (common, *replaced)))
    }

    /// Of a deep reorganisation, a second endpoint must report the same other block, where there is a second endpoint, and no endpoint
    /// may still report the stored one.
    async fn confirm(&self, replaced: StoredBlock, depth: u64) -> Result<(), SyncError> {
        if depth < DEEP {
            return Ok(());
        }
        let reports = self.chain.block_by_endpoint(replaced.number).await;
        if is_confirmed(replaced, &reports) {
            return Ok(());
        }
        let report = |report: &EndpointBlock| {
            let what = match &report.block {
                Ok(Some(block)) if block.hash == replaced.hash => "reports the stored block".to_owned(),
                Ok(Some(_)) => "reports another block".to_owned(),
                Ok(None) => "does not have the block".to_owned(),
                Err(failure) => failure.detail.clone(),
            };
            format!("{}: {what}", report.endpoint)
        };
        let reports: Vec<_> = reports.iter().map(report).collect();
        Err(SyncError::Unconfirmed {
            profile: self.profile.id.clone(),
            depth,
            block: replaced.number,
            reports: reports.join("; "),
        })
    }

    /// Completes a rollback that this run or an earlier one began: deletes the rest of its events in steps. `next` is the next block to
    /// read, for the log.
    ///
    /// # Errors
    /// [`SyncError::Superseded`] if another run has begun, or if Postgres is unavailable.
    pub(super) async fn finish_roll_back(&self, run: &SyncRun, next: u64) -> Result<(), SyncError> {
        let mut deleted = 0;
        loop {
            let mut tx = self.services.database.global().await?;
            let step = tx.roll_back_step(run).await?;
            tx.commit().await?;
            let RollBackStep { deleted: more, is_done } = step.ok_or(SyncError::Superseded)?;
            deleted += more;
            if is_done {
                // Also the end of a first sync and of one without replaced blocks.
                if deleted > 0 {
                    tracing::info!(token_profile = %self.profile.id, next, deleted, "events of replaced blocks are deleted");
                }
                return Ok(());
            }
            tracing::info!(token_profile = %self.profile.id, next, deleted, "deleting events of replaced blocks");
            self.report_step(deleted).await?;
        }
    }

    /// The blocks below `end` whose hashes are stored, which are compared with the chain.
    pub(super) async fn stored_blocks(&self, end: u64) -> Result<Vec<StoredBlock>, SyncError> {
        let mut tx = self.services.database.global().await?;
        let blocks = tx.eligibility().stored_blocks(&self.profile.id, end).await?;
        tx.commit().await?;
        Ok(blocks)
    }
}

/// Whether two endpoints, or the only one, report the same block instead of the stored one, and none reports the stored one.
fn is_confirmed(replaced: StoredBlock, reports: &[EndpointBlock]) -> bool {
    let blocks = reports.iter().filter_map(|report| report.block.as_ref().ok()?.as_ref());
    let hashes: Vec<[u8; 32]> = blocks.map(|block| block.hash).collect();
    let agree = hashes
        .iter()
        .all(|hash| hashes.first() == Some(hash) && *hash != replaced.hash);
    agree && hashes.len() >= reports.len().min(2)
}

#[cfg(test)]
mod tests {
    use arrakis_chain::{EndpointFailure, FailureKind};

    use super::*;

    const REPLACED: StoredBlock = StoredBlock {
        number: 7,
        hash: [7; 32],
    };

    fn report(block: Option<Option<u8>>) -> EndpointBlock {
        let block = match block {
            Some(hash) => Ok(hash.map(|hash| BlockRef {
                number: 7,
                hash: [hash; 32],
                timestamp: OffsetDateTime::UNIX_EPOCH,
            })),
            None => Err(EndpointFailure {
                endpoint: "a".to_owned(),
                kind: FailureKind::Transport,
                detail: "connection refused".to_owned(),
            }),
        };
        EndpointBlock {
            endpoint: "a".to_owned(),
            block,
        }
    }

    #[test]
    fn deep_reorganisation_needs_two_endpoints_where_there_are_two() {
        let other = Some(Some(9));
        for (reports, confirmed) in [
            (vec![other], true),
            (vec![other, other], true),
            (vec![other, other, None], true),
            (vec![other, Some(None), other], true),
            (vec![other, None], false),
            (vec![other, Some(None)], false),
            (vec![other, Some(Some(8))], false),
            (vec![other, other, Some(Some(7))], false),
            (vec![None], false),
        ] {
            let reports: Vec<_> = reports.into_iter().map(report).collect();
            assert_eq!(is_confirmed(REPLACED, &reports), confirmed, "{reports:?}");
        }
    }
}
