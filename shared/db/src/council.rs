//! The council: the wallets with the best ranks and their members, and the members who held a tier before.

use arrakis_domain::{Balance, Rank, TierId};
use time::OffsetDateTime;

use crate::column::Column;
use crate::{DbError, Profiles, TokenProfileId, UserId, named_query::named};

/// A seat of the council: a rank that is held by a wallet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// The rank.
    pub rank: Rank,
    /// Holding of the wallet.
    pub held: Balance,
    /// The present member with the wallet; `None` when no member of this community has it.
    pub holder: Option<SeatHolder>,
}

/// The member who holds a seat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatHolder {
    /// The member.
    pub user: UserId,
    /// Name in this community.
    pub display_name: String,
    /// Whether the member hides from the directory.
    pub hidden: bool,
}

/// A member who held a tier before and does not hold it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormerHolder {
    /// The member.
    pub user: UserId,
    /// Name in this community.
    pub display_name: String,
    /// When the member first reached the tier.
    pub reached_at: OffsetDateTime,
}

impl Profiles<'_> {
    /// The seats up to the rank `last`, best first. A rank without a wallet is absent.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn seats(&mut self, token: &TokenProfileId, last: Rank) -> Result<Vec<Seat>, DbError> {
        let rows = named!(
            "council.seats",
            sqlx::query!(
                r#"select e.rank, e.held::text as "held!", p.user_id as "user_id?", p.display_name as "display_name?",
                          coalesce(p.hidden, false) as "hidden!"
                     from eligibility_current e
                     left join profiles p on p.community_id = $1 and p.wallet = e.address and p.left_at is null
                    where e.token_profile_id = $2 and e.rank <= $3 order by e.rank"#,
                self.community.uuid(),
                token.as_str(),
                i32::try_from(last.get()).unwrap_or(i32::MAX)
            )
            .fetch_all(&mut *self.connection)
        )?;
        rows.into_iter()
            .map(|row| {
                let holder = row.user_id.zip(row.display_name).map(|(user, display_name)| {
                    Ok::<_, DbError>(SeatHolder {
                        user: Column("profiles", "user_id").user(user)?,
                        display_name,
                        hidden: row.hidden,
                    })
                });
                Ok(Seat {
                    rank: Column("eligibility_current", "rank").rank(row.rank)?,
                    held: Column("eligibility_current", "held").balance(&row.held)?,
                    holder: holder.transpose()?,
                })
            })
            .collect()
    }

    /// Present members who held a tier before and do not hold it as of the last evaluation, without those who hide from the
    /// directory; the latest first, at most `limit`.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn former_holders(&mut self, tier: &TierId, limit: u32) -> Result<Vec<FormerHolder>, DbError> {
        let rows = named!(
            "council.former_holders",
            sqlx::query!(
                "select p.user_id, p.display_name, t.reached_at
                   from tiers_reached t
                   join profiles p on p.community_id = t.community_id and p.user_id = t.user_id
                  where t.community_id = $1 and t.tier = $2 and p.tier is distinct from $2 and p.left_at is null
                    and not p.hidden
                  order by t.reached_at desc, p.user_id limit $3",
                self.community.uuid(),
                tier.as_str(),
                i64::from(limit)
            )
            .fetch_all(&mut *self.connection)
        )?;
        rows.into_iter()
            .map(|row| {
                Ok(FormerHolder {
                    user: Column("profiles", "user_id").user(row.user_id)?,
                    display_name: row.display_name,
                    reached_at: row.reached_at,
                })
            })
            .collect()
    }
}
