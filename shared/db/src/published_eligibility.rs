//! The ranking as the api publishes it: the eligible wallets, and the standing of one wallet, each with the snapshot that it is from.
//!
//! Each is one statement, so that wallets, ranks and snapshot are from the same moment although a sync may replace the ranking at any time.

use arrakis_domain::{Address, Balance, Rank};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::column::Column;
use crate::eligibility::Eligibility;
use crate::{DbError, TokenProfileId, named_query::named};

/// The snapshot from which published data are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedSnapshot {
    /// Id of the snapshot; `None` before the first sync.
    pub snapshot: Option<Uuid>,
    /// When the ranking was last synced; `None` before the first sync.
    pub as_of: Option<OffsetDateTime>,
    /// Block up to which logs were read; `None` before the first sync.
    pub block: Option<u64>,
}

/// The eligible wallets of a token profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedWallets {
    /// The snapshot.
    pub snapshot: PublishedSnapshot,
    /// The wallets, best rank first.
    pub wallets: Vec<Address>,
}

/// The standing of one wallet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedStanding {
    /// The snapshot.
    pub snapshot: PublishedSnapshot,
    /// Its rank; `None` when it is not in the ranking.
    pub rank: Option<Rank>,
    /// Its holding; zero when it is not in the ranking.
    pub held: Balance,
}

fn snapshot(
    snapshot: Option<Uuid>,
    as_of: Option<OffsetDateTime>,
    block: Option<i64>,
) -> Result<PublishedSnapshot, DbError> {
    let block = block.map(|block| Column("eligibility_health_status", "last_block").count(block));
    Ok(PublishedSnapshot {
        snapshot,
        as_of,
        block: block.transpose()?,
    })
}

impl Eligibility<'_> {
    /// The names of all token profiles, in alphabetical order.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn token_profile_ids(&mut self) -> Result<Vec<TokenProfileId>, DbError> {
        let names = named!(
            "token_profile.ids",
            sqlx::query_scalar!("select token_profile_id from token_profiles order by token_profile_id")
                .fetch_all(&mut *self.connection)
        )?;
        let column = Column("token_profiles", "token_profile_id");
        names.iter().map(|name| column.parse(name)).collect()
    }

    /// The wallets up to rank `last`; `None` when there is no such token profile.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn published_wallets(
        &mut self,
        token: &TokenProfileId,
        last: Rank,
    ) -> Result<Option<PublishedWallets>, DbError> {
        let row = named!(
            "eligibility.published_wallets",
            sqlx::query!(
                r#"select s.snapshot_id as "snapshot_id?", h.last_success_at as "as_of?", h.last_block as "block?",
                          array(select c.address from eligibility_current c
                                 where c.token_profile_id = p.token_profile_id and c.rank::int8 <= $2
                                 order by c.rank) as "wallets!"
                     from token_profiles p
                     left join eligibility_health_status h on h.token_profile_id = p.token_profile_id
                     left join lateral (select snapshot_id from eligibility_snapshots
                                         where token_profile_id = p.token_profile_id
                                         order by taken_at desc, snapshot_id desc limit 1) s on true
                    where p.token_profile_id = $1"#,
                token.as_str(),
                i64::from(last.get())
            )
            .fetch_optional(&mut *self.connection)
        )?;
        let Some(row) = row else { return Ok(None) };
        let column = Column("eligibility_current", "address");
        Ok(Some(PublishedWallets {
            snapshot: snapshot(row.snapshot_id, row.as_of, row.block)?,
            wallets: row
                .wallets
                .iter()
                .map(|wallet| column.parse(wallet))
                .collect::<Result<_, _>>()?,
        }))
    }

    /// The standing of a wallet; `None` when there is no such token profile.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn published_standing(
        &mut self,
        token: &TokenProfileId,
        address: Address,
    ) -> Result<Option<PublishedStanding>, DbError> {
        let row = named!(
            "eligibility.published_standing",
            sqlx::query!(
                r#"select s.snapshot_id as "snapshot_id?", h.last_success_at as "as_of?", h.last_block as "block?",
                          c.rank as "rank?", c.held::text as "held?"
                     from token_profiles p
                     left join eligibility_health_status h on h.token_profile_id = p.token_profile_id
                     left join lateral (select snapshot_id from eligibility_snapshots
                                         where token_profile_id = p.token_profile_id
                                         order by taken_at desc, snapshot_id desc limit 1) s on true
                     left join eligibility_current c on c.token_profile_id = p.token_profile_id and c.address = $2
                    where p.token_profile_id = $1"#,
                token.as_str(),
                address.to_string()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        let Some(row) = row else { return Ok(None) };
        let column = |name| Column("eligibility_current", name);
        let held = row.held.map(|held| column("held").balance(&held)).transpose()?;
        Ok(Some(PublishedStanding {
            snapshot: snapshot(row.snapshot_id, row.as_of, row.block)?,
            rank: row.rank.map(|rank| column("rank").rank(rank)).transpose()?,
            held: held.unwrap_or(Balance::ZERO),
        }))
    }
}
