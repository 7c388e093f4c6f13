//! Holdings: what a wallet claimed without what it burned, kept in `eligibility_holdings` while events are stored.

use std::collections::BTreeSet;
use std::ops::Range;

use arrakis_domain::{Address, Balance, LogPosition, Ranking, U256};

use super::{EVENTS_OF_A_STEP, SyncRun};
use crate::column::Column;
use crate::eligibility::Eligibility;
use crate::{DbError, GlobalTx, TokenProfileId, named_query::named};

/// Rows that are read or deleted by one statement.
const ROWS_AT_ONCE: i64 = 10_000;

/// The holding of a wallet by the stored events, in raw units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncedHolding {
    /// The wallet.
    pub address: Address,
    /// What it holds; zero when its burns exceed its claims.
    pub held: U256,
    /// Whether its burns exceed its claims: logs are missing.
    pub is_overdrawn: bool,
    /// The log that changed the holding last.
    pub since: LogPosition,
}

/// Progress of counting: how many stored events the holdings include.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldingsStep {
    /// The holdings include the events of all blocks below this number.
    pub held_block: u64,
    /// Whether the holdings include every stored event.
    pub is_done: bool,
}

impl GlobalTx {
    /// Counts stored events that the holdings do not include: those of a build before the holdings, and all after a reset. At most
    /// 20,000 events, or one block. `None`, and nothing changed, when another run has begun.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn count_holdings_step(&mut self, run: &SyncRun) -> Result<Option<HoldingsStep>, DbError> {
        self.allow_long_statements().await?;
        let Some(cursor) = self.lock_sync_cursor(run).await? else {
            return Ok(None);
        };
        let (token, next) = (&run.profile, cursor.next_block);
        let Some(held) = cursor.held_block else {
            let is_empty = self.delete_some_holdings(token).await?;
            if is_empty {
                self.set_held_block(token, 0).await?;
            }
            return Ok(Some(HoldingsStep {
                held_block: 0,
                is_done: is_empty && next == 0,
            }));
        };
        if held >= next {
            return Ok(Some(HoldingsStep {
                held_block: held,
                is_done: true,
            }));
        }
        let last = self.last_of_first_events(token, held).await?;
        let end = last.map_or(next, |last| next.min(last + 1));
        self.add_to_holdings(token, held..end).await?;
        self.set_held_block(token, end).await?;
        Ok(Some(HoldingsStep {
            held_block: end,
            is_done: end == next,
        }))
    }

    /// Adds the events of a batch to the holdings, where these include all events before it. Otherwise
    /// [`GlobalTx::count_holdings_step`] does it later.
    pub(super) async fn hold_batch(&mut self, token: &TokenProfileId, blocks: Range<u64>) -> Result<(), DbError> {
        let column = Column("eligibility_sync_cursors", "held_block");
        let moved = named!(
            "eligibility_sync.hold",
            sqlx::query!(
                "update eligibility_sync_cursors set held_block = $3 where token_profile_id = $1 and held_block = $2",
                token.as_str(),
                column.bigint(blocks.start)?,
                column.bigint(blocks.end)?
            )
            .execute(&mut *self.transaction)
        )?;
        if moved.rows_affected() == 0 {
            return Ok(());
        }
        self.add_to_holdings(token, blocks).await
    }

    /// Adds the events of these blocks, which are later than all that the holdings include.
    async fn add_to_holdings(&mut self, token: &TokenProfileId, blocks: Range<u64>) -> Result<(), DbError> {
        let column = Column("eligibility_claim_events", "block_number");
        named!(
            "eligibility_holding.add",
            sqlx::query!(
                "insert into eligibility_holdings as known (token_profile_id, address, amount, since_block, since_log_index)
                 select $1, address, sum(amount), (max(array[block_number, log_index]))[1],
                        (max(array[block_number, log_index]))[2]::integer
                   from (select address, amount, block_number, log_index::bigint
                           from eligibility_claim_events
                          where token_profile_id = $1 and block_number >= $2 and block_number < $3
                         union all
                         select address, -amount, block_number, log_index::bigint
                           from eligibility_burn_events
                          where token_profile_id = $1 and block_number >= $2 and block_number < $3) as events
                  group by address
                 on conflict (token_profile_id, address) do update
                    set amount = known.amount + excluded.amount, since_block = excluded.since_block,
                        since_log_index = excluded.since_log_index",
                token.as_str(),
                column.bigint(blocks.start)?,
                column.bigint(blocks.end)?
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(())
    }

    /// Subtracts the events of these blocks, the latest that the holdings include. A wallet without earlier events is deleted.
    pub(super) async fn subtract_from_holdings(
        &mut self,
        token: &TokenProfileId,
        blocks: Range<u64>,
    ) -> Result<(), DbError> {
        let column = Column("eligibility_claim_events", "block_number");
        let (start, end) = (column.bigint(blocks.start)?, column.bigint(blocks.end)?);
        named!(
            "eligibility_holding.subtract",
            sqlx::query!(
                "with events as (
                     select address, amount from eligibility_claim_events
                      where token_profile_id = $1 and block_number >= $2 and block_number < $3
                     union all
                     select address, -amount from eligibility_burn_events
                      where token_profile_id = $1 and block_number >= $2 and block_number < $3),
                 sums as (select address, sum(amount) as amount from events group by address),
                 earlier as (
                     select s.address, s.amount, latest.block_number, latest.log_index
                       from sums s left join lateral (
                           select block_number, log_index
                             from (select block_number, log_index from eligibility_claim_events
                                    where token_profile_id = $1 and address = s.address and block_number < $2
                                   union all
                                   select block_number, log_index from eligibility_burn_events
                                    where token_profile_id = $1 and address = s.address and block_number < $2) as all_earlier
                            order by block_number desc, log_index desc limit 1) as latest on true),
                 without as (
                     delete from eligibility_holdings h using earlier e
                      where h.token_profile_id = $1 and h.address = e.address and e.block_number is null)
                 update eligibility_holdings h
                    set amount = h.amount - e.amount, since_block = e.block_number, since_log_index = e.log_index
                   from earlier e
                  where h.token_profile_id = $1 and h.address = e.address and e.block_number is not null",
                token.as_str(),
                start,
                end
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(())
    }

    /// Deletes holdings of a profile; returns whether none is left.
    async fn delete_some_holdings(&mut self, token: &TokenProfileId) -> Result<bool, DbError> {
        let deleted = named!(
            "eligibility_holding.delete",
            sqlx::query!(
                "delete from eligibility_holdings
                  where token_profile_id = $1
                    and address in (select address from eligibility_holdings where token_profile_id = $1 limit $2)",
                token.as_str(),
                ROWS_AT_ONCE
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(i64::try_from(deleted.rows_affected()).unwrap_or(i64::MAX) < ROWS_AT_ONCE)
    }

    async fn set_held_block(&mut self, token: &TokenProfileId, block: u64) -> Result<(), DbError> {
        named!(
            "eligibility_sync.set_held_block",
            sqlx::query!(
                "update eligibility_sync_cursors set held_block = $2, updated_at = now() where token_profile_id = $1",
                token.as_str(),
                Column("eligibility_sync_cursors", "held_block").bigint(block)?
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(())
    }

    /// The block up to which there are [`EVENTS_OF_A_STEP`] events from `from` on; `None` when there are fewer.
    async fn last_of_first_events(&mut self, token: &TokenProfileId, from: u64) -> Result<Option<u64>, DbError> {
        let column = Column("eligibility_claim_events", "block_number");
        let last = named!(
            "eligibility_sync.first_events",
            sqlx::query_scalar!(
                r#"select block_number as "block_number!"
                     from ((select block_number from eligibility_claim_events
                             where token_profile_id = $1 and block_number >= $2 order by block_number limit $3)
                           union all
                           (select block_number from eligibility_burn_events
                             where token_profile_id = $1 and block_number >= $2 order by block_number limit $3)) as first
                    order by block_number offset $3 - 1 limit 1"#,
                token.as_str(),
                column.bigint(from)?,
                EVENTS_OF_A_STEP
            )
            .fetch_optional(&mut *self.transaction)
        )?;
        last.map(|block| column.count(block)).transpose()
    }
}

impl Eligibility<'_> {
    /// The wallets whose events do not add up to zero, as far as they are counted: [`GlobalTx::count_holdings_step`].
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn synced_holdings(&mut self, token: &TokenProfileId) -> Result<Vec<SyncedHolding>, DbError> {
        let mut holdings = Vec::new();
        let mut after = String::new();
        loop {
            let rows = named!(
                "eligibility_holding.list",
                sqlx::query!(
                    r#"select address, abs(amount)::text as "held!", amount < 0 as "is_overdrawn!", since_block, since_log_index
                         from eligibility_holdings
                        where token_profile_id = $1 and address > $2 and amount <> 0 order by address limit $3"#,
                    token.as_str(),
                    after,
                    ROWS_AT_ONCE
                )
                .fetch_all(&mut *self.connection)
            )?;
            let Some(last) = rows.last() else {
                return Ok(holdings);
            };
            after.clone_from(&last.address);
            let column = |name| Column("eligibility_holdings", name);
            for row in rows {
                let held = if row.is_overdrawn {
                    U256::ZERO
                } else {
                    // More than 256 bits only by forged logs.
                    U256::from_str_radix(&row.held, 10).unwrap_or(U256::MAX)
                };
                holdings.push(SyncedHolding {
                    address: column("address").parse(&row.address)?,
                    held,
                    is_overdrawn: row.is_overdrawn,
                    since: LogPosition {
                        block: column("since_block").count(row.since_block)?,
                        log_index: column("since_log_index").count(i64::from(row.since_log_index))?,
                    },
                });
            }
        }
    }

    /// The whole stored ranking.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn ranking(&mut self, token: &TokenProfileId) -> Result<Ranking, DbError> {
        let column = |name| Column("eligibility_current", name);
        let (mut wallets, mut by_override) = (Vec::<(Address, Balance)>::new(), BTreeSet::new());
        let mut after = 0;
        loop {
            let rows = named!(
                "eligibility.ranking",
                sqlx::query!(
                    r#"select address, rank, held::text as "held!", by_override from eligibility_current
                        where token_profile_id = $1 and rank > $2 order by rank limit $3"#,
                    token.as_str(),
                    after,
                    ROWS_AT_ONCE
                )
                .fetch_all(&mut *self.connection)
            )?;
            let Some(last) = rows.last() else {
                return Ok(Ranking::of_ordered(wallets).with_overrides(by_override));
            };
            after = last.rank;
            for row in rows {
                let address = column("address").parse(&row.address)?;
                wallets.push((address, column("held").balance(&row.held)?));
                if row.by_override {
                    by_override.insert(address);
                }
            }
        }
    }
}
