//! A member's position in the ranking with its neighbours: everything that `/position` shows, read in one round trip.

use arrakis_domain::{Address, Balance, EntryThreshold, Standing, Zones};

use crate::column::Column;
use crate::eligibility::Eligibility;
use crate::leaderboard::standing;
use crate::{DbError, Profiles, TokenProfileId, UserId, named_query::named};

/// A member's position in the ranking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RankingPosition {
    /// Verified wallet; `None` without one, and without a profile.
    pub wallet: Option<Address>,
    /// Rank and holding; no rank and a zero holding without a wallet or outside of the ranking.
    pub standing: Standing,
    /// Holding of the wallet one rank better.
    pub above: Option<Balance>,
    /// Holding of the wallet one rank worse.
    pub below: Option<Balance>,
    /// The entry threshold: the holding above which a wallet has an eligible rank now.
    pub entry: EntryThreshold,
}

impl Profiles<'_> {
    /// Position of a user, whether or not there is a profile and the member is present.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn ranking_position(
        &mut self,
        token: &TokenProfileId,
        user: UserId,
        zones: Zones,
    ) -> Result<RankingPosition, DbError> {
        let row = named!(
            "profile.ranking_position",
            sqlx::query!(
                r#"select p.wallet as "wallet?", e.rank as "rank?", e.held::text as "held?",
                          (select held::text from eligibility_current
                            where token_profile_id = $3 and rank = e.rank - 1) as above,
                          (select held::text from eligibility_current
                            where token_profile_id = $3 and rank = e.rank + 1) as below,
                          (select held::text from eligibility_current
                            where token_profile_id = $3 and rank <= $4
                              and exists (select from eligibility_current where token_profile_id = $3 and rank = $4)
                            order by by_override, rank desc limit 1) as entry
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
        Ok(RankingPosition {
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
