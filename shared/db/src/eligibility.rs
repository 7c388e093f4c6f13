//! Who holds what: the ranking, what entry takes, and how old the last sync is. The same for every community.
//!
//! Reached from either kind of transaction, since these tables know no tenant. Refuses reading chains: a sync hands a
//! finished ranking to [`Eligibility::replace_ranking`].

use arrakis_domain::{Address, Balance, EntryThreshold, Rank, Standing, Zone, Zones};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::leaderboard::standing;
use crate::row::Column;
use crate::{DbError, GlobalTx, TenantTx, TokenProfileId, measure::named};

/// Ranks that a snapshot keeps: the last that any shipped rule set looks at, and some more.
const SNAPSHOT_RANKS: usize = 1_100;

/// A wallet in the ranking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The wallet.
    pub address: Address,
    /// Its place.
    pub rank: Rank,
    /// What it holds.
    pub held: Balance,
}

/// What answers show of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFace {
    /// Its symbol, such as `BGT`.
    pub symbol: String,
    /// As of when its ranking holds; `None` before the first sync.
    pub last_success_at: Option<OffsetDateTime>,
}

/// How the sync of a token profile fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncHealth {
    /// When a sync last succeeded; `None` when none has.
    pub last_success_at: Option<OffsetDateTime>,
    /// When one was last tried.
    pub last_attempt_at: Option<OffsetDateTime>,
    /// Block up to which logs were read.
    pub last_block: Option<u64>,
    /// Failures since the last success.
    pub consecutive_failures: u32,
    /// Why the last one failed.
    pub last_error: Option<String>,
}

/// Queries about the ranking.
#[derive(Debug)]
pub struct Eligibility<'a> {
    pub(crate) connection: &'a mut PgConnection,
}

impl TenantTx {
    /// The ranking, as this community sees it among its own rows.
    pub fn eligibility(&mut self) -> Eligibility<'_> {
        Eligibility {
            connection: &mut self.transaction,
        }
    }
}

impl GlobalTx {
    /// The ranking.
    pub fn eligibility(&mut self) -> Eligibility<'_> {
        Eligibility {
            connection: &mut self.transaction,
        }
    }
}

impl Eligibility<'_> {
    /// Rank and holding of a wallet; nothing of either for one that is not in the ranking.
    ///
    /// # Errors
    /// When the database is away or the row is corrupt.
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

    /// What the wallet of this rank holds; `None` when there are fewer wallets.
    ///
    /// # Errors
    /// When the database is away or the row is corrupt.
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

    /// What entry takes now: what the last eligible rank holds.
    ///
    /// # Errors
    /// When the database is away or a row is corrupt.
    pub async fn entry_threshold(&mut self, token: &TokenProfileId, zones: Zones) -> Result<EntryThreshold, DbError> {
        // One row, and not all of those above it: this is asked with every `/position`.
        if let Some(balance) = self.held_at(token, zones.entry).await? {
            return Ok(EntryThreshold::Holding { balance });
        }
        let taken = self.holder_count(token).await?;
        Ok(EntryThreshold::PlacesFree {
            free: zones.entry.get().saturating_sub(taken),
        })
    }

    /// The wallets from one rank to another, both included, the best first: the council, the waitlist zone.
    ///
    /// # Errors
    /// When the database is away or a row is corrupt.
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

    /// Wallets in the ranking.
    ///
    /// # Errors
    /// When the database is away.
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

    /// How the sync fares; [`SyncHealth::default`] before the first.
    ///
    /// # Errors
    /// When the database is away or the row is corrupt.
    pub async fn sync_health(&mut self, token: &TokenProfileId) -> Result<SyncHealth, DbError> {
        let row = named!(
            "eligibility.sync_health",
            sqlx::query!(
                "select last_success_at, last_attempt_at, last_block, consecutive_failures, last_error
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
        })
    }

    /// Writes down that a sync failed.
    ///
    /// # Errors
    /// When the database is away.
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

impl GlobalTx {
    /// Puts a new ranking in the place of the old: holdings in order of rank, the best first, as of `block`. Keeps a
    /// snapshot and notes the success. Readers see the old ranking until the commit and the new one after it, never a mixture;
    /// two replacements go one after the other.
    ///
    /// # Errors
    /// When the database is away, or an address is there twice (a conflict).
    pub async fn replace_ranking(
        &mut self,
        token: &TokenProfileId,
        holdings: &[(Address, Balance)],
        block: u64,
        at: OffsetDateTime,
    ) -> Result<(), DbError> {
        let block = i64::try_from(block).map_err(|_| {
            Column("eligibility_snapshots", "block_number").corrupt(block, "larger than the database can hold")
        })?;
        self.note_success(token, block, at).await?;
        let addresses: Vec<String> = holdings.iter().map(|(address, _)| address.to_string()).collect();
        let held: Vec<String> = holdings.iter().map(|(_, held)| held.units_text()).collect();
        let roles: Vec<String> = (1..)
            .zip(holdings)
            .map(|(rank, _)| role_of(Rank::new(rank)).to_owned())
            .collect();
        named!(
            "eligibility.clear",
            sqlx::query!(
                "delete from eligibility_current where token_profile_id = $1",
                token.as_str()
            )
            .execute(&mut *self.transaction)
        )?;
        named!(
            "eligibility.fill",
            sqlx::query!(
                "insert into eligibility_current (token_profile_id, address, rank, held, role)
                 select $1, address, rank, held::numeric, role
                   from unnest($2::text[], $3::text[], $4::text[]) with ordinality as row (address, held, role, rank)",
                token.as_str(),
                &addresses,
                &held,
                &roles
            )
            .execute(&mut *self.transaction)
        )?;
        self.keep_snapshot(token, holdings, block, at).await
    }

    /// First of all, since the row is also the lock by which two replacements go one after the other.
    async fn note_success(&mut self, token: &TokenProfileId, block: i64, at: OffsetDateTime) -> Result<(), DbError> {
        named!(
            "eligibility.note_success",
            sqlx::query!(
                "insert into eligibility_health_status (token_profile_id, last_attempt_at, last_success_at, last_block)
                 values ($1, $2, $2, $3)
                 on conflict (token_profile_id) do update
                    set last_attempt_at = excluded.last_attempt_at, last_success_at = excluded.last_success_at,
                        last_block = excluded.last_block, consecutive_failures = 0, last_error = null",
                token.as_str(),
                at,
                block
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(())
    }

    async fn keep_snapshot(
        &mut self,
        token: &TokenProfileId,
        holdings: &[(Address, Balance)],
        block: i64,
        at: OffsetDateTime,
    ) -> Result<(), DbError> {
        let ranking: Vec<_> = (1_u32..)
            .zip(holdings.iter().take(SNAPSHOT_RANKS))
            .map(|(rank, (address, held))| serde_json::json!({"rank": rank, "address": address, "held": held}))
            .collect();
        named!(
            "eligibility.keep_snapshot",
            sqlx::query!(
                "insert into eligibility_snapshots (token_profile_id, snapshot_id, taken_at, block_number, holders, ranking)
                 values ($1, $2, $3, $4, $5, $6)",
                token.as_str(),
                Uuid::now_v7(),
                at,
                block,
                i32::try_from(holdings.len()).unwrap_or(i32::MAX),
                serde_json::Value::Array(ranking)
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(())
    }
}

/// Zone of a rank, as the column `role` writes it.
fn role_of(rank: Option<Rank>) -> &'static str {
    match Zones::STANDARD.zone_of(rank) {
        Zone::Council => "council",
        Zone::Eligible => "eligible",
        Zone::Waitlist => "waitlist",
        Zone::Outside => "outside",
    }
}
