//! Members and the ranking: standings, the leaderboard, counts of a community's members.

use std::collections::BTreeMap;

use arrakis_domain::{Address, Balance, Rank, Standing, TierId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::column::Column;
use crate::{DbError, Profiles, TokenProfileId, UserId, named_query::named};

/// An entry of the leaderboard. Serialised for the cache only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderboardEntry {
    /// Position among the members of this community, from 1.
    pub position: u32,
    /// The member.
    pub user: UserId,
    /// Name in this community.
    pub display_name: String,
    /// Their wallet.
    pub wallet: Address,
    /// Rank among all wallets of the ranking.
    pub rank: Rank,
    /// Holding of the wallet.
    pub held: Balance,
    /// Tier as of the last evaluation.
    pub tier: Option<TierId>,
}

/// A page of the leaderboard. Serialised for the cache only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderboardPage {
    /// Its entries, best first.
    pub entries: Vec<LeaderboardEntry>,
    /// Number of entries on all pages.
    pub total: u32,
}

/// A member with rank, holding, and the result of the last evaluation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStanding {
    /// The member.
    pub user: UserId,
    /// Name in this community.
    pub display_name: String,
    /// Verified wallet.
    pub wallet: Option<Address>,
    /// Rank and holding; no rank and a zero holding without a wallet or outside of the ranking.
    pub standing: Standing,
    /// Tier as of the last evaluation.
    pub tier: Option<TierId>,
    /// Best tier ever held.
    pub highest_tier: Option<TierId>,
    /// Roles of this member are not changed by rules.
    pub protected: bool,
    /// When the member left; `None` while present.
    pub left_at: Option<OffsetDateTime>,
}

/// Counts of a community's present members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommunityCounts {
    /// Members.
    pub members: u32,
    /// Members with a verified wallet.
    pub verified: u32,
    /// Members by tier; tiers without members are absent.
    pub by_tier: BTreeMap<TierId, u32>,
}

pub(crate) struct StandingRow {
    pub(crate) user_id: i64,
    pub(crate) display_name: String,
    pub(crate) wallet: Option<String>,
    pub(crate) tier: Option<String>,
    pub(crate) highest_tier: Option<String>,
    pub(crate) protected: bool,
    pub(crate) left_at: Option<OffsetDateTime>,
    pub(crate) rank: Option<i32>,
    pub(crate) held: Option<String>,
}

impl TryFrom<StandingRow> for MemberStanding {
    type Error = DbError;

    fn try_from(row: StandingRow) -> Result<Self, DbError> {
        let column = |name| Column("profiles", name);
        Ok(Self {
            user: column("user_id").user(row.user_id)?,
            display_name: row.display_name,
            wallet: column("wallet").parse_some(row.wallet.as_deref())?,
            standing: standing(row.rank, row.held.as_deref())?,
            tier: column("tier").parse_some(row.tier.as_deref())?,
            highest_tier: column("highest_tier").parse_some(row.highest_tier.as_deref())?,
            protected: row.protected,
            left_at: row.left_at,
        })
    }
}

pub(crate) fn standing(rank: Option<i32>, held: Option<&str>) -> Result<Standing, DbError> {
    let rank = rank
        .map(|rank| Column("eligibility_current", "rank").rank(rank))
        .transpose()?;
    let held = held
        .map(|held| Column("eligibility_current", "held").balance(held))
        .transpose()?;
    Ok(Standing::new(rank, held.unwrap_or(Balance::ZERO)))
}

impl Profiles<'_> {
    /// A member, present or not, with rank and holding.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn standing(&mut self, token: &TokenProfileId, user: UserId) -> Result<Option<MemberStanding>, DbError> {
        let row = named!(
            "profile.standing",
            sqlx::query_as!(
                StandingRow,
                r#"select p.user_id, p.display_name, p.wallet, p.tier, p.highest_tier, p.protected, p.left_at,
                          e.rank as "rank?", e.held::text as held
                     from profiles p
                     left join eligibility_current e on e.token_profile_id = $3 and e.address = p.wallet
                    where p.community_id = $1 and p.user_id = $2"#,
                self.community.uuid(),
                user.stored(),
                token.as_str()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        row.map(MemberStanding::try_from).transpose()
    }

    /// Present members with rank and holding, ordered by user id, after `after`. A sync reads them page by page.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn standings(
        &mut self,
        token: &TokenProfileId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<MemberStanding>, DbError> {
        let rows = named!(
            "profile.standings",
            sqlx::query_as!(
                StandingRow,
                r#"select p.user_id, p.display_name, p.wallet, p.tier, p.highest_tier, p.protected, p.left_at,
                          e.rank as "rank?", e.held::text as held
                     from profiles p
                     left join eligibility_current e on e.token_profile_id = $4 and e.address = p.wallet
                    where p.community_id = $1 and p.left_at is null and p.user_id > $2
                    order by p.user_id limit $3"#,
                self.community.uuid(),
                after.map_or(0, UserId::stored),
                i64::from(limit),
                token.as_str()
            )
            .fetch_all(&mut *self.connection)
        )?;
        rows.into_iter().map(MemberStanding::try_from).collect()
    }

    /// Entries of the leaderboard from `offset` on (0 is the first): present members with a rank, best first.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn leaderboard(
        &mut self,
        token: &TokenProfileId,
        offset: u32,
        limit: u32,
    ) -> Result<LeaderboardPage, DbError> {
        let rows = named!(
            "leaderboard.page",
            sqlx::query!(
                // One pass over the members gives page and count.
                r#"select user_id as "user_id!", display_name as "display_name!", wallet as "wallet!", tier,
                          rank as "rank!", held::text as "held!", total as "total!"
                     from (select p.user_id, p.display_name, p.wallet, p.tier, e.rank, e.held, count(*) over () as total
                             from profiles p
                             join eligibility_current e on e.token_profile_id = $2 and e.address = p.wallet
                            where p.community_id = $1 and p.left_at is null
                            order by e.rank offset $3 limit $4) page
                    order by rank"#,
                self.community.uuid(),
                token.as_str(),
                i64::from(offset),
                i64::from(limit)
            )
            .fetch_all(&mut *self.connection)
        )?;
        let total = match rows.first() {
            Some(row) => row.total,
            None if offset == 0 => 0,
            // Behind the last entry: no row carries the count.
            None => self.ranked(token).await?,
        };
        let column = |name| Column("profiles", name);
        let entries: Result<Vec<_>, DbError> = rows
            .into_iter()
            .zip(offset.saturating_add(1)..)
            .map(|(row, position)| {
                Ok(LeaderboardEntry {
                    position,
                    user: column("user_id").user(row.user_id)?,
                    display_name: row.display_name,
                    wallet: column("wallet").parse(&row.wallet)?,
                    rank: Column("eligibility_current", "rank").rank(row.rank)?,
                    held: Column("eligibility_current", "held").balance(&row.held)?,
                    tier: column("tier").parse_some(row.tier.as_deref())?,
                })
            })
            .collect();
        Ok(LeaderboardPage {
            entries: entries?,
            total: Column("profiles", "count").count(total)?,
        })
    }

    /// Number of present members with a rank.
    async fn ranked(&mut self, token: &TokenProfileId) -> Result<i64, DbError> {
        named!(
            "leaderboard.total",
            sqlx::query_scalar!(
                r#"select count(*) as "total!" from profiles p
                     join eligibility_current e on e.token_profile_id = $2 and e.address = p.wallet
                    where p.community_id = $1 and p.left_at is null"#,
                self.community.uuid(),
                token.as_str()
            )
            .fetch_one(&mut *self.connection)
        )
    }

    /// A member's position on the leaderboard, from 1; `None` for a member without one.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn position(&mut self, token: &TokenProfileId, user: UserId) -> Result<Option<u32>, DbError> {
        let position = named!(
            "leaderboard.position",
            sqlx::query_scalar!(
                r#"select (select count(*) from profiles p
                             join eligibility_current e on e.token_profile_id = $3 and e.address = p.wallet
                            where p.community_id = me.community_id and p.left_at is null and e.rank <= mine.rank) as "n!"
                     from profiles me
                     join eligibility_current mine on mine.token_profile_id = $3 and mine.address = me.wallet
                    where me.community_id = $1 and me.user_id = $2 and me.left_at is null"#,
                self.community.uuid(),
                user.stored(),
                token.as_str()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        position
            .map(|position| Column("profiles", "count").count(position))
            .transpose()
    }

    /// Counts of the community's present members.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn counts(&mut self) -> Result<CommunityCounts, DbError> {
        let rows = named!(
            "profile.counts",
            sqlx::query!(
                r#"select tier, count(*) as "members!", count(wallet) as "verified!"
                     from profiles where community_id = $1 and left_at is null group by tier"#,
                self.community.uuid()
            )
            .fetch_all(&mut *self.connection)
        )?;
        let mut counts = CommunityCounts::default();
        for row in rows {
            let members: u32 = Column("profiles", "count").count(row.members)?;
            counts.members += members;
            counts.verified += Column("profiles", "count").count::<u32>(row.verified)?;
            if let Some(tier) = Column("profiles", "tier").parse_some(row.tier.as_deref())? {
                counts.by_tier.insert(tier, members);
            }
        }
        Ok(counts)
    }
}
