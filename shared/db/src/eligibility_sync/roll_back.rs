//! Rolling back: events that are no longer part of the chain, or that a profile no longer counts, are deleted in steps, the latest first.
//!
//! The cursor is moved back at once, and `roll_back_to` states what is still to be deleted: a process that ends leaves a rollback that
//! the next run continues, whatever the endpoints show by then.

use super::{EVENTS_OF_A_STEP, SyncRun};
use crate::column::Column;
use crate::{DbError, GlobalTx, TokenProfileId, named_query::named};

/// What a step of a rollback did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RollBackStep {
    /// Events that it deleted.
    pub deleted: u64,
    /// Whether the rollback is complete.
    pub is_done: bool,
}

impl GlobalTx {
    /// Moves the cursor of a run back to `to`: the blocks from there on are no longer part of the chain. Their events are deleted by
    /// [`GlobalTx::roll_back_step`]. False, and nothing changed, when another run has begun or the cursor is not at `from`.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn begin_roll_back(&mut self, run: &SyncRun, from: u64, to: u64) -> Result<bool, DbError> {
        let column = Column("eligibility_sync_cursors", "next_block");
        let moved = named!(
            "eligibility_sync.begin_roll_back",
            sqlx::query!(
                "update eligibility_sync_cursors
                    set next_block = $4, roll_back_to = least($4, coalesce(roll_back_to, $4)), updated_at = now()
                  where token_profile_id = $1 and run_id = $2 and next_block = $3",
                run.profile.as_str(),
                run.run,
                column.bigint(from)?,
                column.bigint(to)?
            )
            .execute(&mut *self.transaction)
        )?;
        if moved.rows_affected() == 0 {
            return Ok(false);
        }
        named!(
            "eligibility_sync.delete_blocks",
            sqlx::query!(
                "delete from eligibility_sync_blocks where token_profile_id = $1 and block_number >= $2",
                run.profile.as_str(),
                Column("eligibility_sync_blocks", "block_number").bigint(to)?
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(true)
    }

    /// Deletes the latest of the events that are to be deleted, and subtracts them from the holdings. `None`, and nothing changed, when
    /// another run has begun. A step of a run without a rollback is complete at once.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn roll_back_step(&mut self, run: &SyncRun) -> Result<Option<RollBackStep>, DbError> {
        self.allow_long_statements().await?;
        let Some(cursor) = self.lock_sync_cursor(run).await? else {
            return Ok(None);
        };
        let Some(to) = cursor.roll_back_to else {
            return Ok(Some(RollBackStep {
                deleted: 0,
                is_done: true,
            }));
        };
        let first = self
            .first_of_latest_events(&run.profile, to)
            .await?
            .unwrap_or(to)
            .max(to);
        if let Some(held) = cursor.held_block
            && first < held
        {
            self.subtract_from_holdings(&run.profile, first..held).await?;
        }
        let deleted = self.delete_events_from(&run.profile, first).await?;
        let is_done = first == to;
        let column = Column("eligibility_sync_cursors", "held_block");
        named!(
            "eligibility_sync.roll_back",
            sqlx::query!(
                "update eligibility_sync_cursors
                    set held_block = least(held_block, $2), updated_at = now(),
                        roll_back_to = case when $3::boolean then null else roll_back_to end
                  where token_profile_id = $1",
                run.profile.as_str(),
                cursor
                    .held_block
                    .map(|held| column.bigint(held.min(first)))
                    .transpose()?,
                is_done
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(Some(RollBackStep { deleted, is_done }))
    }

    /// The block from which on there are [`EVENTS_OF_A_STEP`] events; `None` when fewer are to be deleted.
    async fn first_of_latest_events(&mut self, token: &TokenProfileId, to: u64) -> Result<Option<u64>, DbError> {
        let column = Column("eligibility_claim_events", "block_number");
        let first = named!(
            "eligibility_sync.latest_events",
            sqlx::query_scalar!(
                r#"select block_number as "block_number!"
                     from ((select block_number from eligibility_claim_events
                             where token_profile_id = $1 and block_number >= $2 order by block_number desc limit $3)
                           union all
                           (select block_number from eligibility_burn_events
                             where token_profile_id = $1 and block_number >= $2 order by block_number desc limit $3)) as latest
                    order by block_number desc offset $3 - 1 limit 1"#,
                token.as_str(),
                column.bigint(to)?,
                EVENTS_OF_A_STEP
            )
            .fetch_optional(&mut *self.transaction)
        )?;
        first.map(|block| column.count(block)).transpose()
    }
}
