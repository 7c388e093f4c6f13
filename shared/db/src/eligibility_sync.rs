//! What the eligibility sync stores: how far the logs were read, the events, the holdings that follow from them, and the changes of
//! the ranking.
//!
//! One run at a time writes: [`GlobalTx::begin_sync`] replaces the run of the cursor, and every later write names its run and the
//! next block that it expects. A run that was replaced, or whose block another write has passed, changes nothing and gets
//! `false`. So a process that was suspended and continues later cannot damage the work of its successor.

mod changes;
mod events;
mod holdings;
mod overrides;

use arrakis_domain::Rank;
use uuid::Uuid;

pub use events::{EventBatch, TokenEvent};
pub use holdings::SyncedHolding;
pub use overrides::{NewOverride, StoredOverride};

use crate::column::Column;
use crate::eligibility::Eligibility;
use crate::{DbError, GlobalTx, TokenProfile, TokenProfileId, named_query::named};

/// Blocks whose hashes are kept for each profile. A chain finalises blocks, so a reorganisation deeper than a few is unheard of.
const BLOCKS_KEPT: i64 = 1_000;

/// A run of the sync of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncRun {
    /// The profile.
    pub profile: TokenProfileId,
    /// Id of the run.
    pub run: Uuid,
}

/// How far the logs of a profile were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncCursor {
    /// The first block that was not read.
    pub next_block: u64,
    /// The run that reads, or that read last.
    pub run: Uuid,
}

/// Number and hash of the last block of a stored batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredBlock {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: [u8; 32],
}

impl Eligibility<'_> {
    /// How far the logs of a profile were read; `None` before the first sync.
    ///
    /// # Errors
    /// When the database is unavailable or the row is corrupt.
    pub async fn sync_cursor(&mut self, token: &TokenProfileId) -> Result<Option<SyncCursor>, DbError> {
        let row = named!(
            "eligibility_sync.cursor",
            sqlx::query!(
                "select next_block, run_id from eligibility_sync_cursors where token_profile_id = $1",
                token.as_str()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(SyncCursor {
            next_block: Column("eligibility_sync_cursors", "next_block").count(row.next_block)?,
            run: row.run_id,
        }))
    }

    /// The stored block with the greatest number that is at most `highest`.
    ///
    /// # Errors
    /// When the database is unavailable or the row is corrupt.
    pub async fn stored_block(&mut self, token: &TokenProfileId, highest: u64) -> Result<Option<StoredBlock>, DbError> {
        let column = |name| Column("eligibility_sync_blocks", name);
        let row = named!(
            "eligibility_sync.block",
            sqlx::query!(
                "select block_number, block_hash from eligibility_sync_blocks
                  where token_profile_id = $1 and block_number <= $2 order by block_number desc limit 1",
                token.as_str(),
                column("block_number").bigint(highest)?
            )
            .fetch_optional(&mut *self.connection)
        )?;
        let Some(row) = row else { return Ok(None) };
        let hash = <[u8; 32]>::try_from(row.block_hash.as_slice())
            .map_err(|why| column("block_hash").corrupt(row.block_number, why))?;
        Ok(Some(StoredBlock {
            number: column("block_number").count(row.block_number)?,
            hash,
        }))
    }

    /// Deletes everything that the sync has stored about a profile but its ranking, and ends a run that may be active: the next run
    /// reads from the profile's first block.
    pub(crate) async fn delete_synced(&mut self, profile: &TokenProfile) -> Result<(), DbError> {
        let token = profile.id.as_str();
        let start = Column("token_profiles", "start_block").bigint(profile.start_block)?;
        named!(
            "eligibility_sync.reset",
            sqlx::query!(
                "update eligibility_sync_cursors set next_block = $2, run_id = $3, updated_at = now()
                  where token_profile_id = $1",
                token,
                start,
                Uuid::now_v7()
            )
            .execute(&mut *self.connection)
        )?;
        self.delete_events_from(&profile.id, 0).await?;
        named!(
            "eligibility_sync.reset_blocks",
            sqlx::query!("delete from eligibility_sync_blocks where token_profile_id = $1", token)
                .execute(&mut *self.connection)
        )?;
        Ok(())
    }
}

impl GlobalTx {
    /// Begins a run, and ends every earlier run of this profile. Returns the next block to read.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn begin_sync(&mut self, profile: &TokenProfile, run: Uuid) -> Result<u64, DbError> {
        let column = Column("eligibility_sync_cursors", "next_block");
        let next = named!(
            "eligibility_sync.begin",
            sqlx::query_scalar!(
                "insert into eligibility_sync_cursors (token_profile_id, next_block, run_id) values ($1, $2, $3)
                 on conflict (token_profile_id) do update set run_id = excluded.run_id, updated_at = now()
                 returning next_block",
                profile.id.as_str(),
                column.bigint(profile.start_block)?,
                run
            )
            .fetch_one(&mut *self.transaction)
        )?;
        column.count(next)
    }

    /// Moves the cursor of a run from one block to another. False, and nothing changed, when another run has begun or the cursor is
    /// elsewhere. The cursor's row is locked until the transaction ends, so this comes first in each transaction of a sync.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn move_sync_cursor(&mut self, run: &SyncRun, from: u64, to: u64) -> Result<bool, DbError> {
        let column = Column("eligibility_sync_cursors", "next_block");
        let moved = named!(
            "eligibility_sync.move",
            sqlx::query!(
                "update eligibility_sync_cursors set next_block = $4, updated_at = now()
                  where token_profile_id = $1 and run_id = $2 and next_block = $3",
                run.profile.as_str(),
                run.run,
                column.bigint(from)?,
                column.bigint(to)?
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(moved.rows_affected() > 0)
    }

    /// Deletes all events of a profile, so that the next run reads from its first block. The ranking stays until then.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn reset_sync(&mut self, profile: &TokenProfile) -> Result<(), DbError> {
        self.eligibility().delete_synced(profile).await
    }

    /// Deletes the events and blocks from `to` on, and moves the cursor back to it: these blocks are no longer part of the chain.
    /// Returns the number of deleted events; `None`, and nothing changed, when another run has begun.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn roll_back_sync(&mut self, run: &SyncRun, from: u64, to: u64) -> Result<Option<u64>, DbError> {
        if !self.move_sync_cursor(run, from, to).await? {
            return Ok(None);
        }
        let deleted = self.eligibility().delete_events_from(&run.profile, to).await?;
        named!(
            "eligibility_sync.delete_blocks",
            sqlx::query!(
                "delete from eligibility_sync_blocks where token_profile_id = $1 and block_number >= $2",
                run.profile.as_str(),
                Column("eligibility_sync_blocks", "block_number").bigint(to)?
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(Some(deleted))
    }

    /// Stores number and hash of a batch's last block, and deletes the blocks that are older than the last thousand.
    pub(crate) async fn store_block(&mut self, token: &TokenProfileId, block: StoredBlock) -> Result<(), DbError> {
        let number = Column("eligibility_sync_blocks", "block_number").bigint(block.number)?;
        named!(
            "eligibility_sync.store_block",
            sqlx::query!(
                "with stored as (
                     insert into eligibility_sync_blocks (token_profile_id, block_number, block_hash) values ($1, $2, $3)
                     on conflict (token_profile_id, block_number) do update set block_hash = excluded.block_hash)
                 delete from eligibility_sync_blocks where token_profile_id = $1 and block_number < (
                     select block_number from eligibility_sync_blocks
                      where token_profile_id = $1 order by block_number desc offset $4 limit 1)",
                token.as_str(),
                number,
                block.hash.as_slice(),
                BLOCKS_KEPT
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(())
    }

    /// Stores what the last sync found beside the ranking; follows [`GlobalTx::replace_ranking`].
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn record_sync_figures(
        &mut self,
        token: &TokenProfileId,
        mismatches: u32,
        finalized_block: u64,
    ) -> Result<(), DbError> {
        named!(
            "eligibility_sync.record_figures",
            sqlx::query!(
                "update eligibility_health_status set mismatches = $2, finalized_block = $3 where token_profile_id = $1",
                token.as_str(),
                i32::try_from(mismatches).unwrap_or(i32::MAX),
                Column("eligibility_health_status", "finalized_block").bigint(finalized_block)?
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(())
    }
}

/// A rank as a column stores it.
fn rank_column(rank: Rank) -> i32 {
    i32::try_from(rank.get()).unwrap_or(i32::MAX)
}
