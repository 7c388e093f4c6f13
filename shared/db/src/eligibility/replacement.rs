//! Replaces the ranking in one transaction. Rows that stay as they are are not written, and no statement is about more than some
//! thousand rows: a token may have a million holders.

use arrakis_domain::{Address, Balance, Rank, Zone, Zones};
use time::OffsetDateTime;
use uuid::Uuid;

use super::SNAPSHOT_RANKS;
use crate::column::Column;
use crate::{DbError, GlobalTx, TokenProfileId, named_query::named};

/// Rows that are read, deleted or inserted by one statement.
const ROWS_AT_ONCE: usize = 10_000;

/// What differs between the stored ranking and the new one.
#[derive(Default)]
struct Differences {
    /// Ranks of stored rows to delete.
    outdated: Vec<i32>,
    /// Indexes of the new ranking to insert.
    new: Vec<usize>,
}

impl GlobalTx {
    /// Replaces the ranking by `holdings`, in order of rank, best rank first, as of `block`. Also stores a snapshot and
    /// records the success. Readers see the old ranking until the commit and the new one after it, never a mixture.
    /// Concurrent replacements run one after the other. Returns the id of the snapshot.
    ///
    /// # Errors
    /// When the database is unavailable, or an address occurs twice (a conflict).
    pub async fn replace_ranking(
        &mut self,
        token: &TokenProfileId,
        holdings: &[(Address, Balance)],
        block: u64,
        at: OffsetDateTime,
    ) -> Result<Uuid, DbError> {
        let block = Column("eligibility_snapshots", "block_number").bigint(block)?;
        self.allow_long_statements().await?;
        self.record_success(token, block, at).await?;
        let differences = self.ranking_differences(token, holdings).await?;
        for ranks in differences.outdated.chunks(ROWS_AT_ONCE) {
            named!(
                "eligibility.clear",
                sqlx::query!(
                    "delete from eligibility_current where token_profile_id = $1 and rank = any($2)",
                    token.as_str(),
                    ranks
                )
                .execute(&mut *self.transaction)
            )?;
        }
        for indexes in differences.new.chunks(ROWS_AT_ONCE) {
            self.insert_ranks(token, holdings, indexes).await?;
        }
        self.store_snapshot(token, holdings, block, at).await
    }

    /// Marks these wallets, and no others, as having their eligible rank by an override alone. Follows [`GlobalTx::replace_ranking`]
    /// in its transaction.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn mark_overrides<'a>(
        &mut self,
        token: &TokenProfileId,
        by_override: impl IntoIterator<Item = &'a Address>,
        zones: Zones,
    ) -> Result<(), DbError> {
        let addresses: Vec<String> = by_override.into_iter().map(ToString::to_string).collect();
        named!(
            "eligibility.mark_overrides",
            sqlx::query!(
                "update eligibility_current set by_override = not by_override
                  where token_profile_id = $1 and rank <= $2 and by_override <> (address = any($3))",
                token.as_str(),
                i32::try_from(zones.entry.get()).unwrap_or(i32::MAX),
                &addresses
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(())
    }

    /// Compares the stored ranking with the new one.
    async fn ranking_differences(
        &mut self,
        token: &TokenProfileId,
        holdings: &[(Address, Balance)],
    ) -> Result<Differences, DbError> {
        let mut differences = Differences::default();
        let mut is_stored = vec![false; holdings.len()];
        let mut after = 0;
        loop {
            let rows = named!(
                "eligibility.stored",
                sqlx::query!(
                    r#"select rank, address, held::text as "held!" from eligibility_current
                        where token_profile_id = $1 and rank > $2 order by rank limit $3"#,
                    token.as_str(),
                    after,
                    i64::try_from(ROWS_AT_ONCE).unwrap_or(i64::MAX)
                )
                .fetch_all(&mut *self.transaction)
            )?;
            let Some(last) = rows.last() else { break };
            after = last.rank;
            for row in rows {
                let index = usize::try_from(row.rank).unwrap_or_default().saturating_sub(1);
                // By their texts: a corrupt row is replaced like any other.
                let stays = holdings
                    .get(index)
                    .is_some_and(|(address, held)| row.held == held.units_text() && row.address == address.to_string());
                match is_stored.get_mut(index) {
                    Some(is_stored) if stays => *is_stored = true,
                    _ => differences.outdated.push(row.rank),
                }
            }
        }
        let indexes = is_stored.into_iter().enumerate();
        differences.new = indexes
            .filter(|(_, is_stored)| !is_stored)
            .map(|(index, _)| index)
            .collect();
        Ok(differences)
    }

    async fn insert_ranks(
        &mut self,
        token: &TokenProfileId,
        holdings: &[(Address, Balance)],
        indexes: &[usize],
    ) -> Result<(), DbError> {
        let (mut ranks, mut addresses) = (Vec::with_capacity(indexes.len()), Vec::with_capacity(indexes.len()));
        let (mut held, mut roles) = (Vec::with_capacity(indexes.len()), Vec::with_capacity(indexes.len()));
        for index in indexes {
            let Some((address, balance)) = holdings.get(*index) else {
                continue;
            };
            let rank = u32::try_from(index + 1).unwrap_or(u32::MAX);
            ranks.push(i32::try_from(rank).unwrap_or(i32::MAX));
            addresses.push(address.to_string());
            held.push(balance.units_text());
            roles.push(role_of(Rank::new(rank)).to_owned());
        }
        named!(
            "eligibility.fill",
            sqlx::query!(
                "insert into eligibility_current (token_profile_id, address, rank, held, role)
                 select $1, address, rank, held::numeric, role
                   from unnest($2::text[], $3::int4[], $4::text[], $5::text[]) as row (address, rank, held, role)",
                token.as_str(),
                &addresses,
                &ranks,
                &held,
                &roles
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(())
    }

    /// The first statement of a replacement: its row lock makes concurrent replacements run one after the other.
    async fn record_success(&mut self, token: &TokenProfileId, block: i64, at: OffsetDateTime) -> Result<(), DbError> {
        named!(
            "eligibility.record_success",
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

    async fn store_snapshot(
        &mut self,
        token: &TokenProfileId,
        holdings: &[(Address, Balance)],
        block: i64,
        at: OffsetDateTime,
    ) -> Result<Uuid, DbError> {
        let id = Uuid::now_v7();
        let ranking: Vec<_> = (1_u32..)
            .zip(holdings.iter().take(SNAPSHOT_RANKS))
            .map(|(rank, (address, held))| serde_json::json!({"rank": rank, "address": address, "held": held}))
            .collect();
        named!(
            "eligibility.store_snapshot",
            sqlx::query!(
                "insert into eligibility_snapshots (token_profile_id, snapshot_id, taken_at, block_number, holders, ranking)
                 values ($1, $2, $3, $4, $5, $6)",
                token.as_str(),
                id,
                at,
                block,
                i32::try_from(holdings.len()).unwrap_or(i32::MAX),
                serde_json::Value::Array(ranking)
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(id)
    }
}

/// Zone of a rank, as the column `role` stores it.
fn role_of(rank: Option<Rank>) -> &'static str {
    match Zones::STANDARD.zone_of(rank) {
        Zone::Council => "council",
        Zone::Eligible => "eligible",
        Zone::Waitlist => "waitlist",
        Zone::Outside => "outside",
    }
}
