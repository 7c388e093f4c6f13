//! What members do, by day, and what the rules of badges want to know of it.

use std::collections::BTreeSet;

use arrakis_domain::{ACTIVITY_WINDOW_DAYS, MemberFacts};
use arrakis_fail_point as fail_point;
use sqlx::Row as _;
use time::{Duration, OffsetDateTime};

use crate::row::Column;
use crate::{DbError, Profiles, TenantTx, UserId, measure::named, statements};

/// What a member did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Used a command.
    Command,
    /// Wrote a message.
    Message,
}

impl Deed {
    /// Commands and messages to be added.
    fn counts(self) -> (i32, i32) {
        match self {
            Self::Command => (1, 0),
            Self::Message => (0, 1),
        }
    }
}

impl TenantTx {
    /// [`Profiles::count`] once for an event, which this claims as [`TenantTx::claim`] does, and the end of the transaction; false
    /// when the event had been claimed before. One round trip for all three, since this comes with every command.
    ///
    /// # Errors
    /// As those; then whether it was counted is not known, and the claim makes trying again safe.
    pub async fn commit_counted(
        mut self,
        event_id: &str,
        user: UserId,
        deed: Deed,
        at: OffsetDateTime,
    ) -> Result<bool, DbError> {
        if fail_point::skips("worker.guard.inbox") {
            self.profiles().count(user, deed, at).await?;
            self.commit().await?;
            return Ok(true);
        }
        let words = statements::count_once(self.community, event_id, user, deed.counts(), at);
        let row = self.commit_after("activity.count_once", &words).await?;
        let counted = row
            .ok_or(sqlx::Error::RowNotFound)
            .and_then(|row| row.try_get("counted"));
        counted.map_err(|error| DbError::new("activity.count_once", error))
    }
}

impl Profiles<'_> {
    /// Counts a deed of a member who is known; of others nothing is kept. Not safe to repeat by itself: claim the event in
    /// the same transaction, or use [`TenantTx::commit_counted`].
    ///
    /// # Errors
    /// When the database is away.
    pub async fn count(&mut self, user: UserId, deed: Deed, at: OffsetDateTime) -> Result<(), DbError> {
        let (commands, messages) = deed.counts();
        named!(
            "activity.count",
            sqlx::query!(
                "with member as (
                     update profiles
                        set commands = commands + $3::int, messages = messages + $4::int,
                            last_active_at = greatest(last_active_at, $5)
                      where community_id = $1 and user_id = $2
                     returning community_id, user_id)
                 insert into profile_activity as known (community_id, user_id, day, commands, messages)
                 select community_id, user_id, ($5::timestamptz at time zone 'UTC')::date, $3, $4 from member
                 on conflict (community_id, user_id, day) do update
                    set commands = known.commands + excluded.commands, messages = known.messages + excluded.messages",
                self.community.uuid(),
                user.stored(),
                commands,
                messages,
                at
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    /// What the rules of badges want to know of a member, as of `now`; `None` for who is not known. Their place in the order of
    /// joining is looked for among the first `early` alone: counting all who came before costs the more the larger a
    /// community is.
    ///
    /// # Errors
    /// When the database is away or a row is corrupt.
    pub async fn facts(
        &mut self,
        user: UserId,
        now: OffsetDateTime,
        early: u32,
    ) -> Result<Option<MemberFacts>, DbError> {
        let first_day = (now - Duration::days(i64::from(ACTIVITY_WINDOW_DAYS) - 1)).date();
        let row = named!(
            "profile.facts",
            sqlx::query!(
                r#"select joined_at, waitlisted_at is not null as "waitlisted!",
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
                                   and b.revoked_at is null and b.source <> 'rule') as "given!"
                     from profiles me where community_id = $1 and user_id = $2"#,
                self.community.uuid(),
                user.stored(),
                first_day,
                now.date(),
                i64::from(early)
            )
            .fetch_optional(&mut *self.connection)
        )?;
        let Some(row) = row else { return Ok(None) };
        let reached: Result<BTreeSet<_>, _> = row
            .reached
            .iter()
            .map(|tier| Column("tiers_reached", "tier").parse(tier))
            .collect();
        let given: Result<BTreeSet<_>, _> = row
            .given
            .iter()
            .map(|badge| Column("badges", "badge").parse(badge))
            .collect();
        Ok(Some(MemberFacts {
            tenure_days: u32::try_from((now - row.joined_at).whole_days()).unwrap_or(0),
            join_order: u32::try_from(row.join_order).ok().filter(|order| *order <= early),
            reached: reached?,
            active_days: u8::try_from(row.active_days).unwrap_or(u8::MAX),
            given: given?,
            waitlisted: row.waitlisted,
        }))
    }

    /// Forgets days that no badge looks at any more. Answers how many rows went.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn prune_activity(&mut self, now: OffsetDateTime) -> Result<u64, DbError> {
        let oldest = (now - Duration::days(i64::from(ACTIVITY_WINDOW_DAYS))).date();
        let done = named!(
            "activity.prune",
            sqlx::query!(
                "delete from profile_activity where community_id = $1 and day < $2",
                self.community.uuid(),
                oldest
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected())
    }
}
