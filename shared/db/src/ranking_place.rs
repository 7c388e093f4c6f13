//! A member's place in the ranking, and what lies around it: all that `/position` tells, in one round trip.

use arrakis_domain::{Address, Balance, EntryThreshold, Standing, Zones};

use crate::eligibility::Eligibility;
use crate::leaderboard::standing;
use crate::row::Column;
use crate::{DbError, Profiles, TokenProfileId, UserId, measure::named};

/// Where a member stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RankingPlace {
    /// Their wallet; `None` without one, and for who is not known.
    pub wallet: Option<Address>,
    /// Rank and holding; nothing of either without a wallet or outside the ranking.
    pub standing: Standing,
    /// What the wallet one rank better holds.
    pub above: Option<Balance>,
    /// What the wallet one rank worse holds.
    pub below: Option<Balance>,
    /// What entry takes.
    pub entry: EntryThreshold,
}

impl Profiles<'_> {
    /// The place of a member, of one who has left, or of somebody who is not known.
    ///
    /// # Errors
    /// When the database is away or a row is corrupt.
    pub async fn ranking_place(
        &mut self,
        token: &TokenProfileId,
        user: UserId,
        zones: Zones,
    ) -> Result<RankingPlace, DbError> {
        let row = named!(
            "profile.ranking_place",
            sqlx::query!(
                r#"select p.wallet as "wallet?", e.rank as "rank?", e.held::text as "held?",
                          (select held::text from eligibility_current
                            where token_profile_id = $3 and rank = e.rank - 1) as above,
                          (select held::text from eligibility_current
                            where token_profile_id = $3 and rank = e.rank + 1) as below,
                          (select held::text from eligibility_current
                            where token_profile_id = $3 and rank = $4) as entry
                     from (select) one
                     left join profiles p on p.community_id = $1 and p.user_id = $2
                     left join eligibility_current e on e.token_profile_id = $3 and e.address = p.wallet"#,
                self.community.uuid(),
                user.stored(),
                token.as_str(),
                i32::try_from(zones.entry.get()).unwrap_or(i32::MAX)
            )
            .fetch_one(&mut *self.connection)
        )?;
        let held = |held: Option<String>| {
            let held = held.map(|held| Column("eligibility_current", "held").balance(&held));
            held.transpose()
        };
        let entry = match held(row.entry)? {
            Some(balance) => EntryThreshold::Holding { balance },
            None => self.eligibility().entry_threshold(token, zones).await?,
        };
        Ok(RankingPlace {
            wallet: Column("profiles", "wallet").parse_some(row.wallet.as_deref())?,
            standing: standing(row.rank, row.held.as_deref())?,
            above: held(row.above)?,
            below: held(row.below)?,
            entry,
        })
    }

    fn eligibility(&mut self) -> Eligibility<'_> {
        Eligibility {
            connection: &mut *self.connection,
        }
    }
}
