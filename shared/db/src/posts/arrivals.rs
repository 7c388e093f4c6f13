//! Joins and departures that are posted in batches.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Posts, count};
use crate::column::Column;
use crate::{DbError, UserId, named_query::named};

/// A member who joined or left the server, to be stored for the next message of joins and departures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewArrival<'a> {
    /// Id of the gateway event; a redelivery has the same id and is not stored again.
    pub event: &'a str,
    /// The member.
    pub user: UserId,
    /// The name that Discord showed for the member at the event.
    pub display_name: &'a str,
    /// True: the member joined; false: the member left.
    pub joined: bool,
}

/// A stored join or departure, as one entry of the message that posts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The member.
    pub user: UserId,
    /// The name that Discord showed for the member at the event.
    pub display_name: String,
    /// True: the member joined; false: the member left.
    pub joined: bool,
    /// Whether the member hides from the directory now: the message counts the member and does not name them.
    pub hidden: bool,
}

impl Posts<'_> {
    /// Adds a join or a departure, unless the post is switched off. A second one of the same event is not added.
    ///
    /// # Errors
    /// When the database is unavailable, or the member has no profile (a conflict).
    pub async fn add_arrival(&mut self, arrival: &NewArrival<'_>) -> Result<(), DbError> {
        named!(
            "arrival.add",
            sqlx::query!(
                "insert into arrivals (community_id, event_id, user_id, display_name, joined)
                 select $1::uuid, $2::text, $3::int8, $4::text, $5::bool
                  where not exists (select from posts where community_id = $1 and post = 'arrivals' and not enabled)
                 on conflict (community_id, event_id) do nothing",
                self.community.uuid(),
                arrival.event,
                arrival.user.stored(),
                arrival.display_name,
                arrival.joined
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    /// Number of joins and departures that are not posted.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn unposted_arrivals(&mut self) -> Result<u32, DbError> {
        let number = named!(
            "arrival.unposted",
            sqlx::query_scalar!(
                r#"select count(*) as "number!" from arrivals where community_id = $1 and posted_at is null"#,
                self.community.uuid()
            )
            .fetch_one(&mut *self.connection)
        )?;
        count("arrivals", number)
    }

    /// The message that was composed and is not posted, else a new one with this id of all that is not posted; `None` if nothing is.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn compose_arrivals(&mut self, id: Uuid) -> Result<Option<Uuid>, DbError> {
        let unfinished = named!(
            "arrival.unfinished",
            sqlx::query_scalar!(
                r#"select message_id as "message_id!" from arrivals
                    where community_id = $1 and posted_at is null and message_id is not null order by message_id limit 1"#,
                self.community.uuid()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        if unfinished.is_some() {
            return Ok(unfinished);
        }
        let done = named!(
            "arrival.compose",
            sqlx::query!(
                "update arrivals set message_id = $2 where community_id = $1 and posted_at is null and message_id is null",
                self.community.uuid(),
                id
            )
            .execute(&mut *self.connection)
        )?;
        Ok((done.rows_affected() > 0).then_some(id))
    }

    /// Joins and departures of a message, oldest first.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn arrivals_of(&mut self, message: Uuid) -> Result<Vec<Arrival>, DbError> {
        let rows = named!(
            "arrival.of_message",
            sqlx::query!(
                "select a.user_id, a.display_name, a.joined, p.hidden
                   from arrivals a join profiles p on p.community_id = a.community_id and p.user_id = a.user_id
                  where a.community_id = $1 and a.message_id = $2 order by a.at, a.event_id",
                self.community.uuid(),
                message
            )
            .fetch_all(&mut *self.connection)
        )?;
        rows.into_iter()
            .map(|row| {
                Ok(Arrival {
                    user: Column("arrivals", "user_id").user(row.user_id)?,
                    display_name: row.display_name,
                    joined: row.joined,
                    hidden: row.hidden,
                })
            })
            .collect()
    }

    /// Records that the message of joins and departures has ended, posted or not.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn finish_arrivals(&mut self, message: Uuid) -> Result<(), DbError> {
        named!(
            "arrival.finish",
            sqlx::query!(
                "update arrivals set posted_at = now() where community_id = $1 and message_id = $2 and posted_at is null",
                self.community.uuid(),
                message
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    /// Deletes joins and departures before `before`; returns how many.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn prune_arrivals(&mut self, before: OffsetDateTime) -> Result<u64, DbError> {
        let done = named!(
            "arrival.prune",
            sqlx::query!(
                "delete from arrivals where community_id = $1 and at < $2",
                self.community.uuid(),
                before
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected())
    }
}
