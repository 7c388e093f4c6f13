//! Holdings: the sum of a wallet's claims without its burns.

use arrakis_domain::{Address, Balance, LogPosition, Ranking, U256};

use crate::column::Column;
use crate::eligibility::Eligibility;
use crate::{DbError, TokenProfileId, named_query::named};

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

impl Eligibility<'_> {
    /// The wallets whose events do not add up to zero.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn synced_holdings(&mut self, token: &TokenProfileId) -> Result<Vec<SyncedHolding>, DbError> {
        let rows = named!(
            "eligibility_sync.holdings",
            sqlx::query!(
                r#"select address as "address!", abs(sum(amount))::text as "held!", sum(amount) < 0 as "is_overdrawn!",
                          max(array[block_number, log_index::bigint]) as "since!"
                     from (select address, amount, block_number, log_index
                             from eligibility_claim_events where token_profile_id = $1
                           union all
                           select address, -amount, block_number, log_index
                             from eligibility_burn_events where token_profile_id = $1) as events
                    group by address having sum(amount) <> 0"#,
                token.as_str()
            )
            .fetch_all(&mut *self.connection)
        )?;
        let column = |name| Column("eligibility_claim_events", name);
        rows.into_iter()
            .map(|row| {
                let [block, log_index] = row.since[..] else {
                    return Err(column("block_number").corrupt(row.since.len(), "not a block and an index"));
                };
                let held = if row.is_overdrawn {
                    U256::ZERO
                } else {
                    // More than 256 bits only by forged logs.
                    U256::from_str_radix(&row.held, 10).unwrap_or(U256::MAX)
                };
                Ok(SyncedHolding {
                    address: column("address").parse(&row.address)?,
                    held,
                    is_overdrawn: row.is_overdrawn,
                    since: LogPosition {
                        block: column("block_number").count(block)?,
                        log_index: column("log_index").count(log_index)?,
                    },
                })
            })
            .collect()
    }

    /// The whole stored ranking.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn ranking(&mut self, token: &TokenProfileId) -> Result<Ranking, DbError> {
        let rows = named!(
            "eligibility.ranking",
            sqlx::query!(
                r#"select address, held::text as "held!" from eligibility_current where token_profile_id = $1 order by rank"#,
                token.as_str()
            )
            .fetch_all(&mut *self.connection)
        )?;
        let column = |name| Column("eligibility_current", name);
        let wallets = rows.into_iter().map(|row| {
            let held: Balance = column("held").balance(&row.held)?;
            Ok((column("address").parse(&row.address)?, held))
        });
        Ok(Ranking::of_ordered(wallets.collect::<Result<_, DbError>>()?))
    }
}
