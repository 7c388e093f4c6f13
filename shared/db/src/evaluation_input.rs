//! Everything that the evaluation of a member needs, read in one round trip.

use std::collections::BTreeSet;

use arrakis_domain::{ACTIVITY_WINDOW_DAYS, BadgeId, MemberFacts};
use time::{Duration, OffsetDateTime};

use crate::column::Column;
use crate::leaderboard::StandingRow;
use crate::{DbError, MemberStanding, Profiles, TokenProfileId, UserId, named_query::named};

/// A member with the facts that the theme's rules depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvaluationInput {
    /// The member with rank, holding and the result of the last evaluation. No rank and no holding while suspended.
    pub member: MemberStanding,
    /// Facts for the rules: tenure, activity, tiers reached, badges given.
    pub facts: MemberFacts,
    /// Badges that are stored as earned by a rule, as of the last evaluation.
    pub earned: BTreeSet<BadgeId>,
    /// Whether the member's identity is suspended: the member has no tier and no role then.
    pub suspended: bool,
    /// Whether the ranking has been read: without it, a member with a wallet may hold any number of tokens.
    pub ranking_known: bool,
}

impl Profiles<'_> {
    /// The evaluation input of a member, present or not, as of `now`; `None` without a profile. The join order is
    /// determined only for the first `early` members: counting all earlier members is slow in a large community.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn evaluation_input(
        &mut self,
        token: &TokenProfileId,
        user: UserId,
        now: OffsetDateTime,
        early: u32,
    ) -> Result<Option<EvaluationInput>, DbError> {
        let first_day = (now - Duration::days(i64::from(ACTIVITY_WINDOW_DAYS) - 1)).date();
        let row = named!(
            "profile.evaluation_input",
            sqlx::query!(
                r#"select me.user_id, me.display_name, me.wallet, me.tier, me.highest_tier, me.protected, me.left_at,
                          e.rank as "rank?", e.held::text as held,
                          me.joined_at, me.waitlisted_at is not null as "waitlisted!",
                          (select count(*)
                             from (select from profiles other
                                    where other.community_id = me.community_id
                                      and (other.joined_at, other.user_id) <= (me.joined_at, me.user_id)
                                    -- In the index's order, lest the planner reads the table to find the first few.
                                    order by other.community_id, other.joined_at, other.user_id
                                    limit $5::int8 + 1) before) as "join_order!",
                          (select count(*) from profile_activity a
                            where a.community_id = me.community_id and a.user_id = me.user_id
                              and a.day between $3 and $4) as "active_days!",
                          array(select tier from tiers_reached t
                                 where t.community_id = me.community_id and t.user_id = me.user_id) as "reached!",
                          array(select badge from badges b
                                 where b.community_id = me.community_id and b.user_id = me.user_id
                                   and b.revoked_at is null and b.source <> 'rule') as "given!",
                          array(select badge from badges b
                                 where b.community_id = me.community_id and b.user_id = me.user_id
                                   and b.revoked_at is null and b.source = 'rule') as "earned!",
                          exists (select from user_identities i
                                   where i.discord_user_id = me.user_id and i.status = 'suspended'
                                     and (i.suspended_until is null or i.suspended_until > $7)) as "suspended!",
                          (select t.tier from imported_tiers t
                            where t.community_id = me.community_id and t.user_id = me.user_id
                              and t.expires_at > $7) as "imported?",
                          (exists (select from eligibility_current c where c.token_profile_id = $6)
                           or exists (select from eligibility_health_status h
                                       where h.token_profile_id = $6 and h.last_success_at is not null)) as "ranking_known!"
                     from profiles me
                     left join eligibility_current e on e.token_profile_id = $6 and e.address = me.wallet
                    where me.community_id = $1 and me.user_id = $2"#,
                self.community.uuid(),
                user.stored(),
                first_day,
                now.date(),
                i64::from(early),
                token.as_str(),
                now
            )
            .fetch_optional(&mut *self.connection)
        )?;
        let Some(row) = row else { return Ok(None) };
        let reached: Result<BTreeSet<_>, _> = row
            .reached
            .iter()
            .map(|tier| Column("tiers_reached", "tier").parse(tier))
            .collect();
        let badges = |stored: &[String]| -> Result<BTreeSet<BadgeId>, DbError> {
            let parsed = stored.iter().map(|badge| Column("badges", "badge").parse(badge));
            parsed.collect()
        };
        let facts = MemberFacts {
            tenure_days: u32::try_from((now - row.joined_at).whole_days()).unwrap_or(0),
            join_order: u32::try_from(row.join_order).ok().filter(|order| *order <= early),
            reached: reached?,
            active_days: u8::try_from(row.active_days).unwrap_or(u8::MAX),
            given: badges(&row.given)?,
            waitlisted: row.waitlisted,
            // Counts until the member has a wallet.
            imported_tier: Column("imported_tiers", "tier").parse_some(
                row.imported
                    .as_deref()
                    .filter(|_| row.wallet.is_none() && !row.suspended),
            )?,
        };
        let member = MemberStanding::try_from(StandingRow {
            user_id: row.user_id,
            display_name: row.display_name,
            wallet: row.wallet,
            tier: row.tier,
            highest_tier: row.highest_tier,
            protected: row.protected,
            left_at: row.left_at,
            rank: row.rank.filter(|_| !row.suspended),
            held: row.held.filter(|_| !row.suspended),
        })?;
        Ok(Some(EvaluationInput {
            member,
            facts,
            earned: badges(&row.earned)?,
            suspended: row.suspended,
            ranking_known: row.ranking_known,
        }))
    }
}
