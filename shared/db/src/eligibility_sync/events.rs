//! Events: what adds to a holding (claims) and what subtracts from it (burns), in raw units.

use std::ops::RangeInclusive;

use arrakis_domain::{Address, U256};

use super::{StoredBlock, SyncRun};
use crate::column::Column;
use crate::{DbError, GlobalTx, TokenProfileId, named_query::named};

/// Events that are inserted by one statement.
const EVENTS_AT_ONCE: usize = 5_000;

/// A log that adds to the holding of a wallet or subtracts from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenEvent {
    /// Number of the log's block.
    pub block_number: u64,
    /// Hash of the log's block.
    pub block_hash: [u8; 32],
    /// Index of the log in its block.
    pub log_index: u64,
    /// Hash of the log's transaction.
    pub transaction_hash: [u8; 32],
    /// The wallet.
    pub address: Address,
    /// The amount in raw units.
    pub amount: U256,
}

/// The events of consecutive blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventBatch {
    /// The blocks.
    pub blocks: RangeInclusive<u64>,
    /// Hash of the last one.
    pub end_hash: [u8; 32],
    /// Events that add to holdings, at most one for each log.
    pub claims: Vec<TokenEvent>,
    /// Events that subtract from holdings, at most one for each log.
    pub burns: Vec<TokenEvent>,
}

/// The columns of several events.
#[derive(Default)]
struct Columns {
    blocks: Vec<i64>,
    log_indexes: Vec<i32>,
    block_hashes: Vec<Vec<u8>>,
    transactions: Vec<Vec<u8>>,
    addresses: Vec<String>,
    amounts: Vec<String>,
}

impl Columns {
    fn of(events: &[TokenEvent]) -> Result<Self, DbError> {
        let column = |name| Column("eligibility_claim_events", name);
        let mut columns = Self::default();
        for event in events {
            let index = i32::try_from(event.log_index)
                .map_err(|_| column("log_index").corrupt(event.log_index, "larger than an integer"))?;
            columns.blocks.push(column("block_number").bigint(event.block_number)?);
            columns.log_indexes.push(index);
            columns.block_hashes.push(event.block_hash.to_vec());
            columns.transactions.push(event.transaction_hash.to_vec());
            columns.addresses.push(event.address.to_string());
            columns.amounts.push(event.amount.to_string());
        }
        Ok(columns)
    }
}

impl GlobalTx {
    /// Stores a batch and moves the cursor behind it. Events of these blocks that were stored before are replaced: a log that is no
    /// longer part of the chain is not among the new ones. False, and nothing changed, when another run has begun or the cursor
    /// is not at the first block of the batch.
    ///
    /// # Errors
    /// When the database is unavailable, or two events have one log (a conflict).
    pub async fn store_event_batch(&mut self, run: &SyncRun, batch: &EventBatch) -> Result<bool, DbError> {
        let (first, last) = (*batch.blocks.start(), *batch.blocks.end());
        if !self.move_sync_cursor(run, first, last + 1).await? {
            return Ok(false);
        }
        self.allow_long_statements().await?;
        let token = &run.profile;
        self.delete_events_from(token, first).await?;
        for events in batch.claims.chunks(EVENTS_AT_ONCE) {
            self.insert_claims(token, &Columns::of(events)?).await?;
        }
        for events in batch.burns.chunks(EVENTS_AT_ONCE) {
            self.insert_burns(token, &Columns::of(events)?).await?;
        }
        self.hold_batch(token, first..last + 1).await?;
        let end = StoredBlock {
            number: last,
            hash: batch.end_hash,
        };
        self.store_block(token, end).await?;
        Ok(true)
    }

    async fn insert_claims(&mut self, token: &TokenProfileId, events: &Columns) -> Result<(), DbError> {
        named!(
            "eligibility_sync.insert_claims",
            sqlx::query!(
                "insert into eligibility_claim_events
                        (token_profile_id, block_number, log_index, block_hash, transaction_hash, address, amount)
                 select $1, block_number, log_index, block_hash, transaction_hash, address, amount::numeric
                   from unnest($2::int8[], $3::int4[], $4::bytea[], $5::bytea[], $6::text[], $7::text[])
                     as row (block_number, log_index, block_hash, transaction_hash, address, amount)",
                token.as_str(),
                &events.blocks,
                &events.log_indexes,
                &events.block_hashes,
                &events.transactions,
                &events.addresses,
                &events.amounts
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(())
    }

    async fn insert_burns(&mut self, token: &TokenProfileId, events: &Columns) -> Result<(), DbError> {
        named!(
            "eligibility_sync.insert_burns",
            sqlx::query!(
                "insert into eligibility_burn_events
                        (token_profile_id, block_number, log_index, block_hash, transaction_hash, address, amount)
                 select $1, block_number, log_index, block_hash, transaction_hash, address, amount::numeric
                   from unnest($2::int8[], $3::int4[], $4::bytea[], $5::bytea[], $6::text[], $7::text[])
                     as row (block_number, log_index, block_hash, transaction_hash, address, amount)",
                token.as_str(),
                &events.blocks,
                &events.log_indexes,
                &events.block_hashes,
                &events.transactions,
                &events.addresses,
                &events.amounts
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(())
    }
}

impl GlobalTx {
    /// Deletes the events of the blocks from `first` on; returns how many.
    pub(crate) async fn delete_events_from(&mut self, token: &TokenProfileId, first: u64) -> Result<u64, DbError> {
        let first = Column("eligibility_claim_events", "block_number").bigint(first)?;
        let claims = named!(
            "eligibility_sync.delete_claims",
            sqlx::query!(
                "delete from eligibility_claim_events where token_profile_id = $1 and block_number >= $2",
                token.as_str(),
                first
            )
            .execute(&mut *self.transaction)
        )?;
        let burns = named!(
            "eligibility_sync.delete_burns",
            sqlx::query!(
                "delete from eligibility_burn_events where token_profile_id = $1 and block_number >= $2",
                token.as_str(),
                first
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(claims.rows_affected() + burns.rows_affected())
    }
}
