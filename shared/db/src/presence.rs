//! Which members are present, by the gateway's join and leave events.
//!
//! These events are handled late, repeatedly, concurrently and out of order. Within one gateway session their sequence
//! numbers order them. Between sessions only times do: Discord's own time of a join, and the time at which a leave was
//! received, which may be minutes after it happened.

use time::OffsetDateTime;

use crate::profiles::{JoinOutcome, Profiles};
use crate::{DbError, UserId, named_query::named};

/// Position of an event in a gateway session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayPosition<'a> {
    /// Session id.
    pub session: &'a str,
    /// Sequence number of the event in the session.
    pub sequence: u64,
}

impl GatewayPosition<'_> {
    fn stored_sequence(self) -> i64 {
        i64::try_from(self.sequence).unwrap_or(i64::MAX)
    }
}

/// A member's latest join or leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// When the member joined, by Discord's time.
    pub joined_at: OffsetDateTime,
    /// When the member left; `None` while present.
    pub left_at: Option<OffsetDateTime>,
    position: Option<(String, i64)>,
}

impl Presence {
    /// Whether this is older than an event; `None` when it was not recorded by an event of the same gateway session.
    #[must_use]
    pub fn precedes(&self, event: GatewayPosition<'_>) -> Option<bool> {
        let (session, sequence) = self.position.as_ref()?;
        (session == event.session).then(|| *sequence < event.stored_sequence())
    }
}

impl Profiles<'_> {
    /// This user's latest join or leave; `None` without a profile.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn presence(&mut self, user: UserId) -> Result<Option<Presence>, DbError> {
        let row = named!(
            "profile.presence",
            sqlx::query!(
                "select joined_at, left_at, gateway_session, gateway_sequence from profiles
                  where community_id = $1 and user_id = $2",
                self.community.uuid(),
                user.stored()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        Ok(row.map(|row| Presence {
            joined_at: row.joined_at,
            left_at: row.left_at,
            position: row.gateway_session.zip(row.gateway_sequence),
        }))
    }

    /// As [`Profiles::join`], by an event: within its gateway session, sequence numbers decide and not times.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn join_by_event(
        &mut self,
        user: UserId,
        display_name: &str,
        joined_at: OffsetDateTime,
        event: Option<GatewayPosition<'_>>,
    ) -> Result<JoinOutcome, DbError> {
        let inserted = named!(
            "profile.join",
            sqlx::query_scalar!(
                // xmax is 0 in a row that was inserted and not updated.
                r#"insert into profiles (community_id, user_id, display_name, joined_at, gateway_session, gateway_sequence)
                   values ($1, $2, $3, $4, $5, $6)
                   on conflict (community_id, user_id) do update
                      set display_name = excluded.display_name, joined_at = excluded.joined_at, left_at = null,
                          gateway_session = excluded.gateway_session, gateway_sequence = excluded.gateway_sequence, updated_at = now()
                    where case when profiles.gateway_session = excluded.gateway_session
                               then profiles.gateway_sequence < excluded.gateway_sequence
                               else profiles.left_at is null or profiles.left_at < excluded.joined_at end
                   returning (xmax = 0) as "inserted!""#,
                self.community.uuid(),
                user.stored(),
                display_name,
                joined_at,
                event.map(|event| event.session),
                event.map(GatewayPosition::stored_sequence)
            )
            .fetch_optional(&mut *self.connection)
        )?;
        Ok(match inserted {
            Some(true) => JoinOutcome::New,
            Some(false) => JoinOutcome::Known,
            None => JoinOutcome::Stale,
        })
    }

    /// As [`Profiles::leave`], by an event. A user without a profile is recorded as having left, so that an earlier join
    /// which is handled later does not make the user appear present.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn leave_by_event(
        &mut self,
        user: UserId,
        display_name: &str,
        at: OffsetDateTime,
        event: GatewayPosition<'_>,
    ) -> Result<bool, DbError> {
        let inserted = named!(
            "profile.leave",
            sqlx::query_scalar!(
                r#"insert into profiles (community_id, user_id, display_name, joined_at, left_at, gateway_session, gateway_sequence)
                   values ($1, $2, $3, $4, $4, $5, $6)
                   on conflict (community_id, user_id) do update
                      set left_at = excluded.left_at, gateway_session = excluded.gateway_session, gateway_sequence = excluded.gateway_sequence,
                          updated_at = now()
                    where profiles.left_at is null
                      and case when profiles.gateway_session = excluded.gateway_session
                               then profiles.gateway_sequence < excluded.gateway_sequence
                               else profiles.joined_at <= excluded.left_at end
                   returning (xmax = 0) as "inserted!""#,
                self.community.uuid(),
                user.stored(),
                display_name,
                at,
                event.session,
                event.stored_sequence()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        Ok(inserted == Some(false))
    }

    /// Records that a member is present because a request to Discord confirmed it: a recorded leave is then out of date,
    /// whatever its time. For a join that [`Profiles::join_by_event`] found stale.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn confirm_present(
        &mut self,
        user: UserId,
        display_name: &str,
        joined_at: OffsetDateTime,
        event: GatewayPosition<'_>,
    ) -> Result<(), DbError> {
        named!(
            "profile.confirm_present",
            sqlx::query!(
                "update profiles
                    set display_name = $3, joined_at = $4, left_at = null, gateway_session = $5, gateway_sequence = $6, updated_at = now()
                  where community_id = $1 and user_id = $2",
                self.community.uuid(),
                user.stored(),
                display_name,
                joined_at,
                event.session,
                event.stored_sequence()
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }
}
