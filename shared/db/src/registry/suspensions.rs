//! Suspending and restoring identities. Takes the admin's login, except for the end of a suspension that has one.

use time::OffsetDateTime;

use super::Registry;
use super::append::Cause;
use super::error::{Refusal, RegistryError};
use super::event::EventSource;
use super::identity::{Identity, IdentityId, IdentityStatus};
use super::payload::EventPayload;
use super::read::IdentityRow;
use super::text::{one_line, whole_microseconds};
use super::wallets::MAX_REASON;
use crate::{DbError, named_query::named};

/// Most characters of an operator's name; a longer one is cut off.
const MAX_BY: usize = 100;

/// A suspension of an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspension<'a> {
    /// Reason that the operator gave.
    pub reason: &'a str,
    /// Name of the operator.
    pub by: &'a str,
    /// When it ends by itself; `None`: when it is restored.
    pub until: Option<OffsetDateTime>,
}

impl Registry<'_> {
    /// Suspends an identity: it has no roles in any community, and its member changes no account or wallet of it. An identity
    /// that is suspended already gets the new reason and end.
    ///
    /// # Errors
    /// [`Refusal::EndOfSuspension`] when the end is not later than the cause's time. Refused by the database without the
    /// admin's login.
    pub async fn suspend(
        &mut self,
        identity: IdentityId,
        suspension: &Suspension<'_>,
        cause: Cause,
    ) -> Result<(), RegistryError> {
        let mut appending = self.appending(cause).await?;
        let mut record = appending.record(identity).await?;
        let expires_at = suspension.until.map(whole_microseconds);
        let at = appending.at().max(record.identity.updated_at);
        if expires_at.is_some_and(|end| end <= at) {
            return Err(Refusal::EndOfSuspension.into());
        }
        let payload = EventPayload::IdentitySuspended {
            reason: one_line(suspension.reason, MAX_REASON),
            by: one_line(suspension.by, MAX_BY),
            expires_at,
        };
        appending.append(&mut record, &payload).await
    }

    /// Ends the suspension of an identity.
    ///
    /// # Errors
    /// [`Refusal::NotSuspended`]. Refused by the database without the admin's login.
    pub async fn restore(
        &mut self,
        identity: IdentityId,
        reason: &str,
        by: &str,
        cause: Cause,
    ) -> Result<(), RegistryError> {
        let mut appending = self.appending(cause).await?;
        let mut record = appending.record(identity).await?;
        let payload = EventPayload::IdentityRestored {
            reason: one_line(reason, MAX_REASON),
            by: one_line(by, MAX_BY),
        };
        appending.append(&mut record, &payload).await
    }

    /// Writes the events of suspensions whose end has passed, at most `limit`, with the time of that end. Returns the
    /// identities. They were in effect active from that time on. Safe to repeat and to run concurrently.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn end_expired_suspensions(
        &mut self,
        now: OffsetDateTime,
        limit: u32,
    ) -> Result<Vec<Identity>, RegistryError> {
        let cause = Cause {
            source: EventSource::Expiry,
            at: now,
        };
        let mut appending = self.appending(cause).await?;
        let mut ended = Vec::new();
        for identity in appending.registry.expired_suspensions(now, limit).await? {
            let mut record = appending.record(identity.id).await?;
            let IdentityStatus::Suspended { until: Some(end) } = record.identity.status else {
                continue;
            };
            let payload = EventPayload::IdentityRestored {
                reason: "the end of the suspension has passed".to_owned(),
                by: EventSource::Expiry.to_string(),
            };
            appending.append_at(&mut record, &payload, end).await?;
            ended.push(record.identity);
        }
        Ok(ended)
    }

    /// The identities whose suspension has an end that has passed and is not written as an event yet, at most `limit`.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn expired_suspensions(&mut self, now: OffsetDateTime, limit: u32) -> Result<Vec<Identity>, DbError> {
        let rows = named!(
            "identity.expired_suspensions",
            sqlx::query_as!(
                IdentityRow,
                "select identity_id, discord_user_id, telegram_user_id, display_name, status, suspended_until, created_at,
                        updated_at
                   from user_identities where suspended_until <= $1 order by suspended_until, identity_id limit $2",
                now,
                i64::from(limit)
            )
            .fetch_all(&mut *self.connection)
        )?;
        rows.into_iter().map(Identity::try_from).collect()
    }
}
