//! Notification events: what members may be notified of. Written in the transaction of their cause; the alerts read them.

use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::column::Column;
use crate::{CommunityId, DbError, TenantTx, UserId, named_query::named};

/// Kind of a notification event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotificationKind {
    /// A member's rank or holding changed.
    Rank,
    /// A member's rank crossed the bounds of the council, of the eligible ranks, or of the waitlist zone.
    Zone,
    /// The entry threshold changed. Concerns the whole community.
    Threshold,
    /// A member's tier changed.
    Tier,
}

impl NotificationKind {
    const ALL: [Self; 4] = [Self::Rank, Self::Zone, Self::Threshold, Self::Tier];

    /// The kind as the column stores it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rank => "rank",
            Self::Zone => "zone",
            Self::Threshold => "threshold",
            Self::Tier => "tier",
        }
    }
}

/// A notification event to add.
#[derive(Clone, Debug, PartialEq)]
pub struct NewNotification {
    /// Its id, made of its cause: a second event with the same id is not added.
    pub id: String,
    /// Its kind.
    pub kind: NotificationKind,
    /// The member; `None` for [`NotificationKind::Threshold`].
    pub user: Option<UserId>,
    /// What changed, by kind.
    pub payload: Value,
}

/// A notification event as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct NotificationEvent {
    /// The event.
    pub event: NewNotification,
    /// When it was added.
    pub created_at: OffsetDateTime,
}

/// Queries about the notification events of a community.
#[derive(Debug)]
pub struct Notifications<'a> {
    connection: &'a mut PgConnection,
    community: CommunityId,
}

impl TenantTx {
    /// Queries about the notification events of this community.
    pub fn notifications(&mut self) -> Notifications<'_> {
        Notifications {
            connection: &mut self.transaction,
            community: self.community,
        }
    }
}

impl Notifications<'_> {
    /// Adds events; returns how many are new.
    ///
    /// # Errors
    /// When the database is unavailable, or a member has no profile (a conflict).
    pub async fn add(&mut self, events: &[NewNotification]) -> Result<u64, DbError> {
        let ids: Vec<&str> = events.iter().map(|event| event.id.as_str()).collect();
        let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
        let users: Vec<Option<i64>> = events.iter().map(|event| event.user.map(UserId::stored)).collect();
        let payloads: Vec<Value> = events.iter().map(|event| event.payload.clone()).collect();
        let done = named!(
            "notification.add",
            sqlx::query!(
                "insert into notification_events (community_id, event_id, kind, user_id, payload)
                 select $1, event_id, kind, user_id, payload
                   from unnest($2::text[], $3::text[], $4::int8[], $5::jsonb[]) as row (event_id, kind, user_id, payload)
                 on conflict (community_id, event_id) do nothing",
                self.community.uuid(),
                &ids as &[&str],
                &kinds as &[&str],
                &users as &[Option<i64>],
                &payloads
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected())
    }

    /// The latest events, newest first.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn latest(&mut self, limit: u32) -> Result<Vec<NotificationEvent>, DbError> {
        let rows = named!(
            "notification.latest",
            sqlx::query!(
                "select event_id, kind, user_id, payload, created_at from notification_events
                  where community_id = $1 order by created_at desc, event_id desc limit $2",
                self.community.uuid(),
                i64::from(limit)
            )
            .fetch_all(&mut *self.connection)
        )?;
        rows.into_iter()
            .map(|row| read_event(row.event_id, &row.kind, row.user_id, row.payload, row.created_at))
            .collect()
    }

    /// Deletes events that were added before `before`; returns how many.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn prune(&mut self, before: OffsetDateTime) -> Result<u64, DbError> {
        let done = named!(
            "notification.prune",
            sqlx::query!(
                "delete from notification_events where community_id = $1 and created_at < $2",
                self.community.uuid(),
                before
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected())
    }
}

/// A row of `notification_events`.
pub(crate) fn read_event(
    id: String,
    kind: &str,
    user: Option<i64>,
    payload: Value,
    created_at: OffsetDateTime,
) -> Result<NotificationEvent, DbError> {
    let column = |name| Column("notification_events", name);
    let found = NotificationKind::ALL.into_iter().find(|known| known.as_str() == kind);
    Ok(NotificationEvent {
        event: NewNotification {
            id,
            kind: found.ok_or_else(|| column("kind").corrupt(kind, "unknown kind of notification"))?,
            user: user.map(|id| column("user_id").user(id)).transpose()?,
            payload,
        },
        created_at,
    })
}
