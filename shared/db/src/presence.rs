//! Who is here, by what the gateway told.
//!
//! Events of comings and goings are handled late, twice, side by side and in any order. Within one session of the gateway their
//! sequence numbers say which came first. Between sessions only times are left: Discord's own of a join, and that at which a
//! leave was received, which may be minutes after it happened.

use time::OffsetDateTime;

use crate::profiles::{Join, Profiles};
use crate::{DbError, UserId, measure::named};

/// Place of an event in the gateway's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told<'a> {
    /// Session id.
    pub session: &'a str,
    /// Sequence number in the session.
    pub seq: u64,
}

impl Told<'_> {
    fn stored(self) -> i64 {
        // Discord counts the events of one session.
        i64::try_from(self.seq).unwrap_or(i64::MAX)
    }
}

/// What is known of a member's latest coming or going.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// When they came, by Discord's account.
    pub joined_at: OffsetDateTime,
    /// When they left; `None` while they are here.
    pub left_at: Option<OffsetDateTime>,
    told: Option<(String, i64)>,
}

impl Presence {
    /// Whether this is older than an event; `None` where another session, or no event at all, told of it.
    #[must_use]
    pub fn precedes(&self, event: Told<'_>) -> Option<bool> {
        let (session, seq) = self.told.as_ref()?;
        (session == event.session).then(|| *seq < event.stored())
    }
}

impl Profiles<'_> {
    /// What is known of this user's coming and going; `None` for who was never here.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn presence(&mut self, user: UserId) -> Result<Option<Presence>, DbError> {
        let row = named!(
            "profile.presence",
            sqlx::query!(
                "select joined_at, left_at, told_session, told_seq from profiles where community_id = $1 and user_id = $2",
                self.community.uuid(),
                user.stored()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        Ok(row.map(|row| Presence {
            joined_at: row.joined_at,
            left_at: row.left_at,
            told: row.told_session.zip(row.told_seq),
        }))
    }

    /// As [`Profiles::join`], told by an event: within its session, the order of events decides and not times.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn join_told(
        &mut self,
        user: UserId,
        display_name: &str,
        joined_at: OffsetDateTime,
        by: Option<Told<'_>>,
    ) -> Result<Join, DbError> {
        let inserted = named!(
            "profile.join",
            sqlx::query_scalar!(
                // xmax is 0 in a row that was inserted and not updated.
                r#"insert into profiles (community_id, user_id, display_name, joined_at, told_session, told_seq)
                   values ($1, $2, $3, $4, $5, $6)
                   on conflict (community_id, user_id) do update
                      set display_name = excluded.display_name, joined_at = excluded.joined_at, left_at = null,
                          told_session = excluded.told_session, told_seq = excluded.told_seq, updated_at = now()
                    where case when profiles.told_session = excluded.told_session
                               then profiles.told_seq < excluded.told_seq
                               else profiles.left_at is null or profiles.left_at < excluded.joined_at end
                   returning (xmax = 0) as "inserted!""#,
                self.community.uuid(),
                user.stored(),
                display_name,
                joined_at,
                by.map(|told| told.session),
                by.map(Told::stored)
            )
            .fetch_optional(&mut *self.connection)
        )?;
        Ok(match inserted {
            Some(true) => Join::New,
            Some(false) => Join::Known,
            None => Join::Stale,
        })
    }

    /// As [`Profiles::leave`], told by an event. Who is not known is written down as gone, so that a join that came before
    /// and is handled after does not make them seem to be here.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn leave_told(
        &mut self,
        user: UserId,
        display_name: &str,
        at: OffsetDateTime,
        by: Told<'_>,
    ) -> Result<bool, DbError> {
        let inserted = named!(
            "profile.leave",
            sqlx::query_scalar!(
                r#"insert into profiles (community_id, user_id, display_name, joined_at, left_at, told_session, told_seq)
                   values ($1, $2, $3, $4, $4, $5, $6)
                   on conflict (community_id, user_id) do update
                      set left_at = excluded.left_at, told_session = excluded.told_session, told_seq = excluded.told_seq,
                          updated_at = now()
                    where profiles.left_at is null
                      and case when profiles.told_session = excluded.told_session
                               then profiles.told_seq < excluded.told_seq
                               else profiles.joined_at <= excluded.left_at end
                   returning (xmax = 0) as "inserted!""#,
                self.community.uuid(),
                user.stored(),
                display_name,
                at,
                by.session,
                by.stored()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        Ok(inserted == Some(false))
    }

    /// Writes down that a member is here because Discord, asked for it, said so: what was noted of a leave before is out of
    /// date, whatever its time. For a join that [`Profiles::join_told`] found stale.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn found(
        &mut self,
        user: UserId,
        display_name: &str,
        joined_at: OffsetDateTime,
        by: Told<'_>,
    ) -> Result<(), DbError> {
        named!(
            "profile.found",
            sqlx::query!(
                "update profiles
                    set display_name = $3, joined_at = $4, left_at = null, told_session = $5, told_seq = $6, updated_at = now()
                  where community_id = $1 and user_id = $2",
                self.community.uuid(),
                user.stored(),
                display_name,
                joined_at,
                by.session,
                by.stored()
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }
}
