//! Messages of alerts: which alerts one contains, and how it ended.

use arrakis_domain::AlertKind;
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Alerts;
use crate::column::Column;
use crate::{DbError, UserId, named_query::named};

/// A message that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlertMessage {
    /// Its id, the same in each attempt.
    pub id: Uuid,
    /// The member who receives it.
    pub user: UserId,
}

/// An event of a message.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertEvent {
    /// The kind by which the member subscribed to it.
    pub kind: AlertKind,
    /// What changed, as the notification event has it.
    pub payload: Value,
    /// When the event was added.
    pub at: OffsetDateTime,
}

/// How a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AlertOutcome {
    /// Discord has it.
    Sent,
    /// A worker ended between sending and recording, and Discord does not show whether it has it.
    Unknown,
    /// Discord refuses it permanently.
    Refused,
    /// The member switched it off or left before it was sent.
    Dropped,
}

impl AlertOutcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Sent, Self::Unknown, Self::Refused, Self::Dropped];

    /// The outcome as the column stores it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Unknown => "unknown",
            Self::Refused => "refused",
            Self::Dropped => "dropped",
        }
    }
}

impl Alerts<'_> {
    /// A message that was composed, has not ended and is not postponed, the oldest first; `None` if there is none.
    ///
    /// # Errors
    /// When the database is unavailable or the row is corrupt.
    pub async fn unfinished(&mut self, now: OffsetDateTime) -> Result<Option<AlertMessage>, DbError> {
        let row = named!(
            "alert.unfinished",
            sqlx::query!(
                r#"select user_id, message_id as "message_id!" from alerts
                    where community_id = $1 and outcome is null and message_id is not null and due_at <= $2
                    order by message_id limit 1"#,
                self.community.uuid(),
                now
            )
            .fetch_optional(&mut *self.connection)
        )?;
        row.map(|row| message(row.user_id, row.message_id)).transpose()
    }

    /// Puts all alerts that are due for one member into a new message with this id; `None` if no alert is due. Of two transactions at
    /// once, one composes the message and the other one waits and finds nothing or another member.
    ///
    /// # Errors
    /// When the database is unavailable or the row is corrupt.
    pub async fn compose(&mut self, id: Uuid, now: OffsetDateTime) -> Result<Option<AlertMessage>, DbError> {
        let users = named!(
            "alert.compose",
            sqlx::query_scalar!(
                "update alerts set message_id = $3
                  where community_id = $1 and outcome is null and message_id is null and due_at <= $2
                    and user_id = (select user_id from alerts
                                    where community_id = $1 and outcome is null and message_id is null and due_at <= $2
                                    order by due_at, user_id limit 1)
                 returning user_id",
                self.community.uuid(),
                now,
                id
            )
            .fetch_all(&mut *self.connection)
        )?;
        users.first().map(|user| message(*user, id)).transpose()
    }

    /// Takes the alerts out of a message of which no attempt was made. They are due at `until`, in another message.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn take_apart(&mut self, id: Uuid, until: OffsetDateTime) -> Result<(), DbError> {
        named!(
            "alert.take_apart",
            sqlx::query!(
                "update alerts set message_id = null, due_at = $3
                  where community_id = $1 and message_id = $2 and outcome is null",
                self.community.uuid(),
                id,
                until
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    /// Postpones a message that has not ended. It keeps its id and its alerts.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn postpone(&mut self, id: Uuid, until: OffsetDateTime) -> Result<(), DbError> {
        named!(
            "alert.postpone",
            sqlx::query!(
                "update alerts set due_at = $3 where community_id = $1 and message_id = $2 and outcome is null",
                self.community.uuid(),
                id,
                until
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    /// Postpones all messages and alerts of the community that are due before `until`.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn postpone_all(&mut self, until: OffsetDateTime) -> Result<(), DbError> {
        named!(
            "alert.postpone_all",
            sqlx::query!(
                "update alerts set due_at = $2 where community_id = $1 and outcome is null and due_at < $2",
                self.community.uuid(),
                until
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    /// The events of a message, oldest first.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn events_of(&mut self, id: Uuid) -> Result<Vec<AlertEvent>, DbError> {
        let rows = named!(
            "alert.events_of",
            sqlx::query!(
                "select a.kind, e.payload, e.created_at from alerts a
                   join notification_events e on e.community_id = a.community_id and e.event_id = a.event_id
                  where a.community_id = $1 and a.message_id = $2
                  order by e.created_at, e.event_id",
                self.community.uuid(),
                id
            )
            .fetch_all(&mut *self.connection)
        )?;
        rows.into_iter()
            .map(|row| {
                Ok(AlertEvent {
                    kind: Column("alerts", "kind").parse(&row.kind)?,
                    payload: row.payload,
                    at: row.created_at,
                })
            })
            .collect()
    }

    /// Records how a message ended. A message that has ended is not changed.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn finish(&mut self, id: Uuid, outcome: AlertOutcome) -> Result<(), DbError> {
        named!(
            "alert.finish",
            sqlx::query!(
                "update alerts set outcome = $3, finished_at = now()
                  where community_id = $1 and message_id = $2 and outcome is null",
                self.community.uuid(),
                id,
                outcome.as_str()
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    /// How the alerts of a member ended, oldest event first; `None` for one that has not ended.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn outcomes(&mut self, user: UserId) -> Result<Vec<(AlertKind, Option<AlertOutcome>)>, DbError> {
        let rows = named!(
            "alert.outcomes",
            sqlx::query!(
                "select a.kind, a.outcome from alerts a
                   join notification_events e on e.community_id = a.community_id and e.event_id = a.event_id
                  where a.community_id = $1 and a.user_id = $2 order by e.created_at, e.event_id",
                self.community.uuid(),
                user.stored()
            )
            .fetch_all(&mut *self.connection)
        )?;
        let column = |name| Column("alerts", name);
        rows.into_iter()
            .map(|row| {
                let outcome = row.outcome.map(|text| {
                    let found = AlertOutcome::ALL.into_iter().find(|outcome| outcome.as_str() == text);
                    found.ok_or_else(|| column("outcome").corrupt(&text, "unknown outcome"))
                });
                Ok((column("kind").parse(&row.kind)?, outcome.transpose()?))
            })
            .collect()
    }
}

fn message(user: i64, id: Uuid) -> Result<AlertMessage, DbError> {
    let user = Column("alerts", "user_id").user(user)?;
    Ok(AlertMessage { id, user })
}
