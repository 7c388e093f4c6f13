//! Alerts: the subscriptions of members, and the notification events that each subscriber is still to be notified of.
//!
//! An event becomes alerts once ([`Alerts::undispatched`], [`Alerts::add`], [`Alerts::mark_dispatched`] in one transaction). The alerts
//! that are due for a member get the id of one message ([`Alerts::compose`]) before the first attempt to send it, and keep it.

mod messages;

use std::collections::BTreeSet;

use arrakis_domain::{AlertKind, AlertSettings, QuietHours};
use sqlx::PgConnection;
use time::OffsetDateTime;

pub use self::messages::{AlertEvent, AlertMessage, AlertOutcome};
use crate::column::Column;
use crate::notifications::{NotificationEvent, read_event};
use crate::{CommunityId, DbError, TenantTx, UserId, named_query::named};

/// A member's subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The member.
    pub user: UserId,
    /// What the member is notified of, and when.
    pub settings: AlertSettings,
    /// Since when anything is on: earlier events are no alerts.
    pub subscribed_at: OffsetDateTime,
    /// The member's direct message channel, once it is open.
    pub dm_channel: Option<u64>,
    /// Since when Discord refuses direct messages to the member; nothing is sent meanwhile.
    pub closed_at: Option<OffsetDateTime>,
}

impl Subscription {
    /// When a message about an event of this time is due.
    #[must_use]
    pub fn due_at(&self, event: OffsetDateTime) -> OffsetDateTime {
        due_at(&self.settings, event)
    }

    /// The end of the quiet hours in which this time is; `None` outside of them.
    #[must_use]
    pub fn quiet_until(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        let until = self.settings.after_quiet_hours(now.unix_timestamp());
        let until = OffsetDateTime::from_unix_timestamp(until).ok()?;
        (until > now).then_some(until)
    }
}

/// An alert to add: an event that a member is to be notified of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAlert<'a> {
    /// The member.
    pub user: UserId,
    /// Id of the notification event.
    pub event: &'a str,
    /// The kind by which the member subscribed to it.
    pub kind: AlertKind,
    /// When its message is due.
    pub due_at: OffsetDateTime,
}

/// Queries about the alerts of a community.
#[derive(Debug)]
pub struct Alerts<'a> {
    connection: &'a mut PgConnection,
    community: CommunityId,
}

impl TenantTx {
    /// Queries about the alerts of this community.
    pub fn alerts(&mut self) -> Alerts<'_> {
        Alerts {
            connection: &mut self.transaction,
            community: self.community,
        }
    }
}

/// When a message about an event of this time is due by these settings.
fn due_at(settings: &AlertSettings, at: OffsetDateTime) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(settings.due_at(at.unix_timestamp())).unwrap_or(at)
}

/// A row of `subscriptions`.
struct Row {
    user_id: i64,
    kinds: Vec<String>,
    delivery: String,
    quiet_from: Option<i16>,
    quiet_to: Option<i16>,
    time_zone: String,
    digest_hour: i16,
    subscribed_at: OffsetDateTime,
    dm_channel_id: Option<i64>,
    closed_at: Option<OffsetDateTime>,
}

impl TryFrom<Row> for Subscription {
    type Error = DbError;

    fn try_from(row: Row) -> Result<Self, DbError> {
        let column = |name| Column("subscriptions", name);
        let hour = |name, hour: i16| column(name).count::<u8>(i64::from(hour));
        let quiet = match (row.quiet_from, row.quiet_to) {
            (Some(from), Some(to)) => QuietHours::new(hour("quiet_from", from)?, hour("quiet_to", to)?),
            _ => None,
        };
        let kinds: Result<BTreeSet<AlertKind>, DbError> =
            row.kinds.iter().map(|kind| column("kinds").parse(kind)).collect();
        Ok(Self {
            user: column("user_id").user(row.user_id)?,
            settings: AlertSettings {
                kinds: kinds?,
                delivery: column("delivery").parse(&row.delivery)?,
                quiet,
                zone: column("time_zone").parse(&row.time_zone)?,
                digest_hour: hour("digest_hour", row.digest_hour)?,
            },
            subscribed_at: row.subscribed_at,
            dm_channel: row.dm_channel_id.map(i64::unsigned_abs),
            closed_at: row.closed_at,
        })
    }
}

impl Alerts<'_> {
    /// A member's subscription; `None` for a member who never had one.
    ///
    /// # Errors
    /// When the database is unavailable or the row is corrupt.
    pub async fn subscription(&mut self, user: UserId) -> Result<Option<Subscription>, DbError> {
        let row = named!(
            "subscription.get",
            sqlx::query_as!(
                Row,
                "select user_id, kinds, delivery, quiet_from, quiet_to, time_zone, digest_hour, subscribed_at, dm_channel_id,
                        closed_at
                   from subscriptions where community_id = $1 and user_id = $2",
                self.community.uuid(),
                user.stored()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        row.map(Subscription::try_from).transpose()
    }

    /// [`Alerts::subscription`], which no other transaction changes until this one has ended. For a change that depends on the settings.
    ///
    /// # Errors
    /// As there.
    pub async fn lock_subscription(&mut self, user: UserId) -> Result<Option<Subscription>, DbError> {
        let row = named!(
            "subscription.lock",
            sqlx::query_as!(
                Row,
                "select user_id, kinds, delivery, quiet_from, quiet_to, time_zone, digest_hour, subscribed_at, dm_channel_id,
                        closed_at
                   from subscriptions where community_id = $1 and user_id = $2 for update",
                self.community.uuid(),
                user.stored()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        row.map(Subscription::try_from).transpose()
    }

    /// Stores a member's settings. Messages are tried again where Discord refused them. Of the alerts that no message contains yet, those of
    /// kinds that are off are dropped, and the others are due by the new settings.
    ///
    /// # Errors
    /// When the database is unavailable, or the member has no profile (a conflict).
    pub async fn subscribe(&mut self, user: UserId, settings: &AlertSettings) -> Result<(), DbError> {
        let kinds: Vec<String> = settings.kinds.iter().map(|kind| kind.as_str().to_owned()).collect();
        let hour = |hour: u8| i16::from(hour);
        named!(
            "subscription.set",
            sqlx::query!(
                "insert into subscriptions as s
                        (community_id, user_id, kinds, delivery, quiet_from, quiet_to, time_zone, digest_hour)
                 values ($1, $2, $3, $4, $5, $6, $7, $8)
                 on conflict (community_id, user_id) do update
                    set kinds = excluded.kinds, delivery = excluded.delivery, quiet_from = excluded.quiet_from,
                        quiet_to = excluded.quiet_to, time_zone = excluded.time_zone, digest_hour = excluded.digest_hour,
                        subscribed_at = case when cardinality(s.kinds) = 0 and cardinality(excluded.kinds) > 0
                                             then now() else s.subscribed_at end,
                        closed_at = null, updated_at = now()",
                self.community.uuid(),
                user.stored(),
                &kinds,
                settings.delivery.as_str(),
                settings.quiet.map(|quiet| hour(quiet.from())),
                settings.quiet.map(|quiet| hour(quiet.to())),
                settings.zone.name(),
                hour(settings.digest_hour)
            )
            .execute(&mut *self.connection)
        )?;
        named!(
            "alert.drop_unsubscribed",
            sqlx::query!(
                "update alerts set outcome = 'dropped', finished_at = now()
                  where community_id = $1 and user_id = $2 and outcome is null and message_id is null
                    and kind <> all ($3)",
                self.community.uuid(),
                user.stored(),
                &kinds
            )
            .execute(&mut *self.connection)
        )?;
        self.reschedule(user, settings).await
    }

    /// Sets when the alerts of a member are due that no message contains yet.
    async fn reschedule(&mut self, user: UserId, settings: &AlertSettings) -> Result<(), DbError> {
        let waiting = named!(
            "alert.waiting",
            sqlx::query!(
                "select a.event_id, e.created_at from alerts a
                   join notification_events e on e.community_id = a.community_id and e.event_id = a.event_id
                  where a.community_id = $1 and a.user_id = $2 and a.outcome is null and a.message_id is null
                    for update of a",
                self.community.uuid(),
                user.stored()
            )
            .fetch_all(&mut *self.connection)
        )?;
        if waiting.is_empty() {
            return Ok(());
        }
        let events: Vec<String> = waiting.iter().map(|alert| alert.event_id.clone()).collect();
        let due: Vec<OffsetDateTime> = waiting.iter().map(|alert| due_at(settings, alert.created_at)).collect();
        named!(
            "alert.reschedule",
            sqlx::query!(
                "update alerts set due_at = changed.due_at
                   from unnest($3::text[], $4::timestamptz[]) as changed (event_id, due_at)
                  where alerts.community_id = $1 and alerts.user_id = $2 and alerts.event_id = changed.event_id",
                self.community.uuid(),
                user.stored(),
                &events,
                &due
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    /// Stores the direct message channel of a subscriber; `None` when the stored one does not exist any more.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn set_channel(&mut self, user: UserId, channel: Option<u64>) -> Result<(), DbError> {
        named!(
            "subscription.set_channel",
            sqlx::query!(
                "update subscriptions set dm_channel_id = $3 where community_id = $1 and user_id = $2",
                self.community.uuid(),
                user.stored(),
                channel.map(u64::cast_signed)
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    /// Records that Discord refuses direct messages to a subscriber, and ends all alerts of this member.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn close(&mut self, user: UserId) -> Result<(), DbError> {
        named!(
            "subscription.close",
            sqlx::query!(
                "update subscriptions set closed_at = coalesce(closed_at, now()) where community_id = $1 and user_id = $2",
                self.community.uuid(),
                user.stored()
            )
            .execute(&mut *self.connection)
        )?;
        named!(
            "alert.refuse_all",
            sqlx::query!(
                "update alerts set outcome = 'refused', finished_at = now()
                  where community_id = $1 and user_id = $2 and outcome is null",
                self.community.uuid(),
                user.stored()
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    /// Whether a job is to be enqueued: there are events without alerts, or due alerts, and no job `notify` of alerts waits or runs.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn are_due(&mut self, now: OffsetDateTime) -> Result<bool, DbError> {
        named!(
            "alert.are_due",
            sqlx::query_scalar!(
                r#"select (exists (select from notification_events where community_id = $1 and dispatched_at is null)
                           or exists (select from alerts where community_id = $1 and outcome is null and due_at <= $2))
                      and not exists (select from jobs where community_id = $1 and kind = 'notify' and payload -> 'post' is null
                                                         and state in ('queued', 'running', 'waiting')) as "due!""#,
                self.community.uuid(),
                now
            )
            .fetch_one(&mut *self.connection)
        )
    }

    /// Locks events without alerts, oldest first, at most `limit`. Those that another transaction has locked are left out.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn undispatched(&mut self, limit: u32) -> Result<Vec<NotificationEvent>, DbError> {
        let rows = named!(
            "notification.undispatched",
            sqlx::query!(
                "select event_id, kind, user_id, payload, created_at from notification_events
                  where community_id = $1 and dispatched_at is null
                  order by created_at, event_id limit $2 for update skip locked",
                self.community.uuid(),
                i64::from(limit)
            )
            .fetch_all(&mut *self.connection)
        )?;
        rows.into_iter()
            .map(|row| read_event(row.event_id, &row.kind, row.user_id, row.payload, row.created_at))
            .collect()
    }

    /// The subscriptions of these members, and of those who subscribed to the entry threshold when `to_thresholds` is set. Only of
    /// members who are in the server and accept direct messages.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn subscribers(&mut self, users: &[UserId], to_thresholds: bool) -> Result<Vec<Subscription>, DbError> {
        let users: Vec<i64> = users.iter().map(|user| user.stored()).collect();
        let rows = named!(
            "subscription.list",
            sqlx::query_as!(
                Row,
                "select s.user_id, s.kinds, s.delivery, s.quiet_from, s.quiet_to, s.time_zone, s.digest_hour, s.subscribed_at,
                        s.dm_channel_id, s.closed_at
                   from subscriptions s
                   join profiles p on p.community_id = s.community_id and p.user_id = s.user_id and p.left_at is null
                  where s.community_id = $1 and s.closed_at is null
                    and (s.user_id = any ($2) or ($3 and 'threshold' = any (s.kinds)))
                  order by s.user_id",
                self.community.uuid(),
                &users,
                to_thresholds
            )
            .fetch_all(&mut *self.connection)
        )?;
        rows.into_iter().map(Subscription::try_from).collect()
    }

    /// Adds alerts; returns how many are new.
    ///
    /// # Errors
    /// When the database is unavailable, or a member has no subscription (a conflict).
    pub async fn add(&mut self, alerts: &[NewAlert<'_>]) -> Result<u64, DbError> {
        let users: Vec<i64> = alerts.iter().map(|alert| alert.user.stored()).collect();
        let events: Vec<String> = alerts.iter().map(|alert| alert.event.to_owned()).collect();
        let kinds: Vec<String> = alerts.iter().map(|alert| alert.kind.as_str().to_owned()).collect();
        let due: Vec<OffsetDateTime> = alerts.iter().map(|alert| alert.due_at).collect();
        let done = named!(
            "alert.add",
            sqlx::query!(
                "insert into alerts (community_id, user_id, event_id, kind, due_at)
                 select $1, user_id, event_id, kind, due_at
                   from unnest($2::int8[], $3::text[], $4::text[], $5::timestamptz[]) as row (user_id, event_id, kind, due_at)
                 on conflict (community_id, user_id, event_id) do nothing",
                self.community.uuid(),
                &users,
                &events,
                &kinds,
                &due
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected())
    }

    /// Records that the alerts of these events are created.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn mark_dispatched(&mut self, events: &[String]) -> Result<(), DbError> {
        named!(
            "notification.mark_dispatched",
            sqlx::query!(
                "update notification_events set dispatched_at = now() where community_id = $1 and event_id = any ($2)",
                self.community.uuid(),
                events
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }
}
