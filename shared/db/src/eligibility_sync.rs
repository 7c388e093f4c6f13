//! What the eligibility sync stores: how far the logs were read, the events, the holdings that follow from them, and the changes of
//! the ranking.
//!
//! One run at a time writes: [`GlobalTx::begin_sync`] replaces the run of the cursor, and every later write names its run. A run that was
//! replaced, or whose block another write has passed, changes nothing and gets `false` or `None`. So a process that was suspended and
//! continues later cannot damage the work of its successor.
//!
//! A token may have a million events and holders, so no statement handles all of them: holdings are kept in `eligibility_holdings` as
//! logs are stored, and what must be deleted or counted anew is handled in steps of `EVENTS_OF_A_STEP`, each a transaction of its own.

mod changes;
mod events;
mod holdings;
mod overrides;
mod roll_back;

use std::time::Duration;

use arrakis_domain::Rank;
use uuid::Uuid;

pub use events::{EventBatch, TokenEvent};
pub use holdings::{HoldingsStep, SyncedHolding};
pub use overrides::{NewOverride, StoredOverride};
pub use roll_back::RollBackStep;

use crate::column::Column;
use crate::eligibility::Eligibility;
use crate::{DbError, GlobalTx, TokenProfile, TokenProfileId, named_query::named};

/// Blocks whose hashes are kept for each profile. A chain finalises blocks, so a reorganisation deeper than a few is unheard of.
const BLOCKS_KEPT: i64 = 1_000;
/// Events that a step deletes or counts; more where a single block has more.
const EVENTS_OF_A_STEP: i64 = 20_000;
/// Time limit of a statement in a transaction of the sync that writes many rows: [`GlobalTx::allow_long_statements`].
const LONG_STATEMENT: Duration = Duration::from_secs(120);

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
    /// The holdings are those of the events before this block; `None`: they have to be counted anew.
    pub held_block: Option<u64>,
    /// The events from this block on are to be deleted, before logs are read again.
    pub roll_back_to: Option<u64>,
    /// The chain's finalised block when a sync last read it.
    pub finalized_block: Option<u64>,
}

impl SyncCursor {
    /// Blocks up to the finalised one whose logs are not stored; zero before the first sync.
    #[must_use]
    pub fn blocks_behind(&self) -> u64 {
        let end = self.finalized_block.map_or(0, |block| block.saturating_add(1));
        end.saturating_sub(self.next_block)
    }
}

/// A row of `eligibility_sync_cursors`.
struct CursorRow {
    next_block: i64,
    run_id: Uuid,
    held_block: Option<i64>,
    roll_back_to: Option<i64>,
    finalized_block: Option<i64>,
}

impl TryFrom<CursorRow> for SyncCursor {
    type Error = DbError;

    fn try_from(row: CursorRow) -> Result<Self, DbError> {
        let block = |name, block: Option<i64>| {
            let block = block.map(|block| Column("eligibility_sync_cursors", name).count(block));
            block.transpose()
        };
        Ok(Self {
            next_block: Column("eligibility_sync_cursors", "next_block").count(row.next_block)?,
            run: row.run_id,
            held_block: block("held_block", row.held_block)?,
            roll_back_to: block("roll_back_to", row.roll_back_to)?,
            finalized_block: block("finalized_block", row.finalized_block)?,
        })
    }
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
            sqlx::query_as!(
                CursorRow,
                "select next_block, run_id, held_block, roll_back_to, finalized_block
                   from eligibility_sync_cursors where token_profile_id = $1",
                token.as_str()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        row.map(SyncCursor::try_from).transpose()
    }

    /// The stored blocks before `end`, in the order of their numbers: at most a thousand and one.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn stored_blocks(&mut self, token: &TokenProfileId, end: u64) -> Result<Vec<StoredBlock>, DbError> {
        let column = |name| Column("eligibility_sync_blocks", name);
        let rows = named!(
            "eligibility_sync.blocks",
            sqlx::query!(
                "select block_number, block_hash from eligibility_sync_blocks
                  where token_profile_id = $1 and block_number < $2 order by block_number",
                token.as_str(),
                column("block_number").bigint(end)?
            )
            .fetch_all(&mut *self.connection)
        )?;
        rows.into_iter()
            .map(|row| {
                let hash = <[u8; 32]>::try_from(row.block_hash.as_slice())
                    .map_err(|why| column("block_hash").corrupt(row.block_number, why))?;
                Ok(StoredBlock {
                    number: column("block_number").count(row.block_number)?,
                    hash,
                })
            })
            .collect()
    }

    /// Discards what the sync has stored about a profile but its ranking, and ends a run that may be active: the next run deletes the
    /// events, then reads from the profile's first block. Writes the cursor also when there is none, so that a first run which
    /// begins at the same time ends.
    pub(crate) async fn discard_synced(&mut self, profile: &TokenProfile) -> Result<(), DbError> {
        let token = profile.id.as_str();
        named!(
            "eligibility_sync.reset",
            sqlx::query!(
                "insert into eligibility_sync_cursors (token_profile_id, next_block, run_id, roll_back_to)
                 values ($1, $2, $3, 0)
                 on conflict (token_profile_id) do update
                    set next_block = excluded.next_block, run_id = excluded.run_id, roll_back_to = 0, held_block = null,
                        updated_at = now()",
                token,
                Column("token_profiles", "start_block").bigint(profile.start_block)?,
                Uuid::now_v7()
            )
            .execute(&mut *self.connection)
        )?;
        named!(
            "eligibility_sync.reset_blocks",
            sqlx::query!("delete from eligibility_sync_blocks where token_profile_id = $1", token)
                .execute(&mut *self.connection)
        )?;
        Ok(())
    }
}

impl GlobalTx {
    /// Begins a run, and ends every earlier run of this profile. Returns the profile as it is stored now, and the cursor; `None` when
    /// there is no such profile. A profile that is changed later so that it counts other logs ends the run.
    ///
    /// # Errors
    /// When the database is unavailable, or the profile's row is corrupt.
    pub async fn begin_sync(
        &mut self,
        token: &TokenProfileId,
        run: Uuid,
    ) -> Result<Option<(TokenProfile, SyncCursor)>, DbError> {
        let row = named!(
            "eligibility_sync.begin",
            sqlx::query_as!(
                CursorRow,
                "insert into eligibility_sync_cursors (token_profile_id, next_block, run_id, held_block)
                 select token_profile_id, start_block, $2::uuid, start_block from token_profiles where token_profile_id = $1
                 on conflict (token_profile_id) do update set run_id = excluded.run_id, updated_at = now()
                 returning next_block, run_id, held_block, roll_back_to, finalized_block",
                token.as_str(),
                run
            )
            .fetch_optional(&mut *self.transaction)
        )?;
        let Some(row) = row else { return Ok(None) };
        // After the cursor is locked: a change of the profile that this does not show waits for the lock, and ends the run.
        let profile = self.eligibility().token_profile(token).await?;
        let cursor = SyncCursor::try_from(row)?;
        Ok(profile.map(|profile| (profile, cursor)))
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
                  where token_profile_id = $1 and run_id = $2 and next_block = $3 and roll_back_to is null",
                run.profile.as_str(),
                run.run,
                column.bigint(from)?,
                column.bigint(to)?
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(moved.rows_affected() > 0)
    }

    /// Locks the cursor of a run until the transaction ends; `None` when another run has begun.
    pub(crate) async fn lock_sync_cursor(&mut self, run: &SyncRun) -> Result<Option<SyncCursor>, DbError> {
        let row = named!(
            "eligibility_sync.lock",
            sqlx::query_as!(
                CursorRow,
                "select next_block, run_id, held_block, roll_back_to, finalized_block
                   from eligibility_sync_cursors where token_profile_id = $1 and run_id = $2 for update",
                run.profile.as_str(),
                run.run
            )
            .fetch_optional(&mut *self.transaction)
        )?;
        row.map(SyncCursor::try_from).transpose()
    }

    /// Stores the finalised block up to which a run reads. False when another run has begun.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn set_sync_target(&mut self, run: &SyncRun, finalized: u64) -> Result<bool, DbError> {
        let done = named!(
            "eligibility_sync.target",
            sqlx::query!(
                "update eligibility_sync_cursors set finalized_block = $3, updated_at = now()
                  where token_profile_id = $1 and run_id = $2",
                run.profile.as_str(),
                run.run,
                Column("eligibility_sync_cursors", "finalized_block").bigint(finalized)?
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(done.rows_affected() > 0)
    }

    /// Discards the events of a profile, so that the next run deletes them and reads from its first block. The ranking stays until then.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn reset_sync(&mut self, profile: &TokenProfile) -> Result<(), DbError> {
        self.eligibility().discard_synced(profile).await
    }

    /// Allows each statement of this transaction two minutes: statements about tens of thousands of rows, on a server that is busy.
    /// Other transactions keep the limit of their connection.
    pub(crate) async fn allow_long_statements(&mut self) -> Result<(), DbError> {
        let limit = LONG_STATEMENT.as_millis().to_string();
        named!(
            "transaction.allow_long_statements",
            sqlx::query!("select set_config('statement_timeout', $1, true)", limit).fetch_one(&mut *self.transaction)
        )?;
        Ok(())
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
