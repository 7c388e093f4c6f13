//! Counts the activity of members for each day.

use arrakis_domain::ACTIVITY_WINDOW_DAYS;
use arrakis_fail_point as fail_point;
use sqlx::Row as _;
use time::{Duration, OffsetDateTime};

use crate::{DbError, Profiles, TenantTx, UserId, named_query::named, statements};

/// Something a member did that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Used a command.
    Command,
    /// Wrote a message.
    Message,
}

impl Activity {
    /// Commands and messages to add.
    fn counts(self) -> (i32, i32) {
        match self {
            Self::Command => (1, 0),
            Self::Message => (0, 1),
        }
    }
}

impl TenantTx {
    /// Claims an event as [`TenantTx::claim`] does, counts as [`Profiles::count_activity`] does, and commits, in one round
    /// trip, because each command needs it. False when the event was claimed before, and then nothing is counted.
    ///
    /// # Errors
    /// As those. Whether the activity was counted is then unknown; a retry is safe because of the claim.
    pub async fn count_once_and_commit(
        mut self,
        event_id: &str,
        user: UserId,
        activity: Activity,
        at: OffsetDateTime,
    ) -> Result<bool, DbError> {
        if fail_point::skips("db.guard.inbox") {
            self.profiles().count_activity(user, activity, at).await?;
            self.commit().await?;
            return Ok(true);
        }
        let sql = statements::count_once(self.community, event_id, user, activity.counts(), at);
        let span = tracing::info_span!("db.activity.count_once", otel.status_code = tracing::field::Empty);
        let row = self.run_and_commit("activity.count_once", span, &sql).await?;
        let counted = row
            .ok_or(sqlx::Error::RowNotFound)
            .and_then(|row| row.try_get("counted"));
        counted.map_err(|error| DbError::new("activity.count_once", error))
    }
}

impl Profiles<'_> {
    /// Counts an activity of a member who has a profile; stores nothing for other users. A repeated call counts again: claim
    /// the event in the same transaction, or use [`TenantTx::count_once_and_commit`].
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn count_activity(
        &mut self,
        user: UserId,
        activity: Activity,
        at: OffsetDateTime,
    ) -> Result<(), DbError> {
        let (commands, messages) = activity.counts();
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

    /// Deletes days before the window that badges consider; returns the number of rows.
    ///
    /// # Errors
    /// When the database is unavailable.
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
