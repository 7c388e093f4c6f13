//! The ranking of wallets by their holding, the entry threshold, and the state of the sync. The same for every community.
//!
//! Both kinds of transaction give access, because these tables have no tenant. Does not read chains: a sync passes a
//! finished ranking to [`GlobalTx::replace_ranking`], which is in `replacement.rs`. What the sync stores before that is in `eligibility_sync`.

mod replacement;

use arrakis_domain::{Address, Balance, EntryThreshold, Rank, Standing, Zones};
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::column::Column;
use crate::leaderboard::standing;
use crate::{DbError, GlobalTx, TenantTx, TokenProfileId, named_query::named};

/// Number of ranks that a snapshot keeps: more than any shipped rule set considers.
pub const SNAPSHOT_RANKS: usize = 1_100;

/// A wallet in the ranking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The wallet.
    pub address: Address,
    /// Its rank.
    pub rank: Rank,
    /// Its holding.
    pub held: Balance,
}

/// A token as replies show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSummary {
    /// Its symbol, such as `BGT`.
    pub symbol: String,
    /// When its ranking was last synced; `None` before the first sync.
    pub last_success_at: Option<OffsetDateTime>,
}

/// State of the sync of a token profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncHealth {
    /// When a sync last succeeded; `None` before the first success.
    pub last_success_at: Option<OffsetDateTime>,
    /// When a sync was last attempted.
    pub last_attempt_at: Option<OffsetDateTime>,
    /// Block up to which the last sync read logs.
    pub last_block: Option<u64>,
    /// Failures since the last success.
    pub consecutive_failures: u32,
    /// Error of the last failure.
    pub last_error: Option<String>,
    /// Wallets whose holding differed from the chain's balance in the last sync.
    pub mismatches: u32,
    /// The chain's finalised block when the last sync read it.
    pub finalized_block: Option<u64>,
}

/// Queries about the ranking.
#[derive(Debug)]
pub struct Eligibility<'a> {
    pub(crate) connection: &'a mut PgConnection,
}

impl TenantTx {
    /// Queries about the ranking, in the same transaction as the community's rows.
    pub fn eligibility(&mut self) -> Eligibility<'_> {
        Eligibility {
            connection: &mut self.transaction,
        }
    }
}

impl GlobalTx {
    /// Queries about the ranking.
    pub fn eligibility(&mut self) -> Eligibility<'_> {
        Eligibility {
            connection: &mut self.transaction,
        }
    }
}

impl Eligibility<'_> {
    /// Rank and holding of a wallet; no rank and a zero holding for a wallet that is not in the ranking.
    ///
    /// # Errors
    /// When the database is unavailable or the row is corrupt.
    pub async fn standing(&mut self, token: &TokenProfileId, address: Address) -> Result<Standing, DbError> {
        let row = named!(
            "eligibility.standing",
            sqlx::query!(
                r#"select rank, held::text as "held!" from eligibility_current
                    where token_profile_id = $1 and address = $2"#,
                token.as_str(),
                address.to_string()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        match row {
            Some(row) => standing(Some(row.rank), Some(&row.held)),
            None => standing(None, None),
        }
    }

    /// Holding of the wallet with this rank; `None` when there are fewer wallets.
    ///
    /// # Errors
    /// When the database is unavailable or the row is corrupt.
    pub async fn held_at(&mut self, token: &TokenProfileId, rank: Rank) -> Result<Option<Balance>, DbError> {
        let Ok(rank) = i32::try_from(rank.get()) else {
            return Ok(None);
        };
        let held = named!(
            "eligibility.held_at",
            sqlx::query_scalar!(
                r#"select held::text as "held!" from eligibility_current where token_profile_id = $1 and rank = $2"#,
                token.as_str(),
                rank
            )
            .fetch_optional(&mut *self.connection)
        )?;
        held.map(|held| Column("eligibility_current", "held").balance(&held))
            .transpose()
    }

    /// The entry threshold: the holding of the last eligible wallet whose rank is not by an override alone
    /// ([`arrakis_domain::Ranking::entry_threshold`]).
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn entry_threshold(&mut self, token: &TokenProfileId, zones: Zones) -> Result<EntryThreshold, DbError> {
        // One row and not all above it: every `/position` runs this query.
        let held = named!(
            "eligibility.entry_threshold",
            sqlx::query_scalar!(
                r#"select held::text as "held!" from eligibility_current
                    where token_profile_id = $1 and rank <= $2
                      and exists (select from eligibility_current where token_profile_id = $1 and rank = $2)
                    order by by_override, rank desc limit 1"#,
                token.as_str(),
                i32::try_from(zones.entry.get()).unwrap_or(i32::MAX)
            )
            .fetch_optional(&mut *self.connection)
        )?;
        if let Some(held) = held {
            let balance = Column("eligibility_current", "held").balance(&held)?;
            return Ok(EntryThreshold::Holding { balance });
        }
        let taken = self.holder_count(token).await?;
        Ok(EntryThreshold::PlacesFree {
            free: zones.entry.get().saturating_sub(taken),
        })
    }

    /// The wallets from rank `first` to rank `last`, both included, best rank first.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn holders(&mut self, token: &TokenProfileId, first: Rank, last: Rank) -> Result<Vec<Holder>, DbError> {
        let rows = named!(
            "eligibility.holders",
            sqlx::query!(
                r#"select address, rank, held::text as "held!" from eligibility_current
                    where token_profile_id = $1 and rank between $2::int8 and $3::int8 order by rank"#,
                token.as_str(),
                i64::from(first.get()),
                i64::from(last.get())
            )
            .fetch_all(&mut *self.connection)
        )?;
        let column = |name| Column("eligibility_current", name);
        rows.into_iter()
            .map(|row| {
                Ok(Holder {
                    address: column("address").parse(&row.address)?,
                    rank: column("rank").rank(row.rank)?,
                    held: column("held").balance(&row.held)?,
                })
            })
            .collect()
    }

    /// Number of wallets in the ranking.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn holder_count(&mut self, token: &TokenProfileId) -> Result<u32, DbError> {
        let count = named!(
            "eligibility.count",
            sqlx::query_scalar!(
                r#"select count(*) as "count!" from eligibility_current where token_profile_id = $1"#,
                token.as_str()
            )
            .fetch_one(&mut *self.connection)
        )?;
        Column("eligibility_current", "count").count(count)
    }

    /// State of the sync; [`SyncHealth::default`] before the first one.
    ///
    /// # Errors
    /// When the database is unavailable or the row is corrupt.
    pub async fn sync_health(&mut self, token: &TokenProfileId) -> Result<SyncHealth, DbError> {
        let row = named!(
            "eligibility.sync_health",
            sqlx::query!(
                "select last_success_at, last_attempt_at, last_block, consecutive_failures, last_error, mismatches,
                        finalized_block
                   from eligibility_health_status where token_profile_id = $1",
                token.as_str()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        let column = |name| Column("eligibility_health_status", name);
        let Some(row) = row else {
            return Ok(SyncHealth::default());
        };
        Ok(SyncHealth {
            last_success_at: row.last_success_at,
            last_attempt_at: row.last_attempt_at,
            last_block: row
                .last_block
                .map(|block| column("last_block").count(block))
                .transpose()?,
            consecutive_failures: column("consecutive_failures").count(i64::from(row.consecutive_failures))?,
            last_error: row.last_error,
            mismatches: column("mismatches").count(i64::from(row.mismatches))?,
            finalized_block: row
                .finalized_block
                .map(|block| column("finalized_block").count(block))
                .transpose()?,
        })
    }

    /// Records that a sync failed.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn record_failure(
        &mut self,
        token: &TokenProfileId,
        error: &str,
        at: OffsetDateTime,
    ) -> Result<(), DbError> {
        named!(
            "eligibility.record_failure",
            sqlx::query!(
                "insert into eligibility_health_status as known
                        (token_profile_id, last_attempt_at, consecutive_failures, last_error)
                 values ($1, $2, 1, $3)
                 on conflict (token_profile_id) do update
                    set last_attempt_at = excluded.last_attempt_at, last_error = excluded.last_error,
                        consecutive_failures = known.consecutive_failures + 1",
                token.as_str(),
                at,
                error
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }
}
