//! Members measured against the ranking: standings, the leaderboard, the community in numbers.

use std::collections::BTreeMap;

use arrakis_domain::{Address, Balance, Rank, Standing, TierId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::row::Column;
use crate::{DbError, Profiles, TokenProfileId, UserId, measure::named};

/// One line of the leaderboard. Serialised for the cache alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderboardEntry {
    /// Place in this community, from 1.
    pub position: u32,
    /// Who.
    pub user: UserId,
    /// Name in this community.
    pub display_name: String,
    /// Their wallet.
    pub wallet: Address,
    /// Place among all eligible wallets, here or not.
    pub rank: Rank,
    /// What the wallet holds.
    pub held: Balance,
    /// Tier as of the last evaluation.
    pub tier: Option<TierId>,
}

/// A page of the leaderboard. Serialised for the cache alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderboardPage {
    /// Its lines, the best first.
    pub entries: Vec<LeaderboardEntry>,
    /// Lines on all pages.
    pub total: u32,
}

/// A member with what a tier evaluation needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStanding {
    /// Who.
    pub user: UserId,
    /// Name in this community.
    pub display_name: String,
    /// Their wallet, if verified.
    pub wallet: Option<Address>,
    /// Rank and holding; nothing of either without a wallet or outside the ranking.
    pub standing: Standing,
    /// Tier as of the last evaluation.
    pub tier: Option<TierId>,
    /// Best tier ever held.
    pub highest_tier: Option<TierId>,
    /// Roles given by hand stay.
    pub protected: bool,
    /// When they left; `None` while they are here.
    pub left_at: Option<OffsetDateTime>,
}

/// The community in numbers. Who has left is in none of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommunityNumbers {
    /// Members.
    pub members: u32,
    /// Members with a verified wallet.
    pub verified: u32,
    /// Members by tier; tiers that nobody holds are absent.
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
    /// A member, here or gone, with rank and holding.
    ///
    /// # Errors
    /// When the database is away or a row is corrupt.
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

    /// Members who are here with rank and holding, by user id from after `after` on: a sync walks them page by page.
    ///
    /// # Errors
    /// When the database is away or a row is corrupt.
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

    /// Lines of the leaderboard from `offset` on (0 is the first): members who are here and ranked, the best first.
    ///
    /// # Errors
    /// When the database is away or a row is corrupt.
    pub async fn leaderboard(
        &mut self,
        token: &TokenProfileId,
        offset: u32,
        limit: u32,
    ) -> Result<LeaderboardPage, DbError> {
        let rows = named!(
            "leaderboard.page",
            sqlx::query!(
                // One pass: whoever is counted was found on the way to the page.
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
            // Behind the last line: the count came with no line.
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

    /// Members who are here and ranked.
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

    /// A member's place on the leaderboard, from 1; `None` for who is not on it.
    ///
    /// # Errors
    /// When the database is away.
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

    /// The community in numbers.
    ///
    /// # Errors
    /// When the database is away or a row is corrupt.
    pub async fn numbers(&mut self) -> Result<CommunityNumbers, DbError> {
        let rows = named!(
            "profile.numbers",
            sqlx::query!(
                r#"select tier, count(*) as "members!", count(wallet) as "verified!"
                     from profiles where community_id = $1 and left_at is null group by tier"#,
                self.community.uuid()
            )
            .fetch_all(&mut *self.connection)
        )?;
        let mut numbers = CommunityNumbers::default();
        for row in rows {
            let members: u32 = Column("profiles", "count").count(row.members)?;
            numbers.members += members;
            numbers.verified += Column("profiles", "count").count::<u32>(row.verified)?;
            if let Some(tier) = Column("profiles", "tier").parse_some(row.tier.as_deref())? {
                numbers.by_tier.insert(tier, members);
            }
        }
        Ok(numbers)
    }
}
