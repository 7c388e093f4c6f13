//! The inbox: claims of events whose effect is committed. A claim is written in the transaction of the effect: both commit
//! or neither.

use std::collections::HashMap;
use std::time::Duration;

use arrakis_fail_point as fail_point;
use time::OffsetDateTime;

use crate::{DbError, GlobalTx, TenantTx, named_query::named};

impl TenantTx {
    /// Claims an event in this transaction. True when the claim is new; false when another transaction has committed it,
    /// and with it the event's effect. Waits while another transaction holds an uncommitted claim.
    ///
    /// # Errors
    /// When the database is unavailable or the wait exceeds the lock timeout.
    pub async fn claim(&mut self, event_id: &str) -> Result<bool, DbError> {
        let done = named!(
            "inbox.claim",
            sqlx::query!(
                "insert into inbox (community_id, event_id) values ($1, $2) on conflict do nothing",
                self.community.uuid(),
                event_id
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(done.rows_affected() > 0 || fail_point::skips("db.guard.inbox"))
    }

    /// The events among these that are claimed, with the age of the claim by PostgreSQL's clock.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn claim_ages(&mut self, event_ids: &[String]) -> Result<HashMap<String, Duration>, DbError> {
        let rows = named!(
            "inbox.claim_ages",
            sqlx::query!(
                r#"select event_id, extract(epoch from clock_timestamp() - claimed_at)::float8 as "age!" from inbox where community_id = $1 and event_id = any($2)"#,
                self.community.uuid(),
                event_ids
            )
            .fetch_all(&mut *self.transaction)
        )?;
        Ok(rows.into_iter().map(|row| (row.event_id, age(row.age))).collect())
    }

    /// Deletes a claim whose effect certainly did not take place.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn release_claim(&mut self, event_id: &str) -> Result<(), DbError> {
        named!(
            "inbox.release_claim",
            sqlx::query!(
                "delete from inbox where community_id = $1 and event_id = $2",
                self.community.uuid(),
                event_id
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(())
    }

    /// Deletes claims older than `before`; returns how many. No event that may be redelivered may be older than that.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn prune_claims(&mut self, before: OffsetDateTime) -> Result<u64, DbError> {
        let done = named!(
            "inbox.prune",
            sqlx::query!(
                "delete from inbox where community_id = $1 and claimed_at < $2",
                self.community.uuid(),
                before
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(done.rows_affected())
    }
}

impl GlobalTx {
    /// [`TenantTx::claim`] for an event without a community: of a server that has none, or of no server.
    ///
    /// # Errors
    /// As there.
    pub async fn claim(&mut self, event_id: &str) -> Result<bool, DbError> {
        let done = named!(
            "platform_inbox.claim",
            sqlx::query!(
                "insert into platform_inbox (event_id) values ($1) on conflict do nothing",
                event_id
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(done.rows_affected() > 0 || fail_point::skips("db.guard.inbox"))
    }

    /// [`TenantTx::claim_ages`] for events without a community.
    ///
    /// # Errors
    /// As there.
    pub async fn claim_ages(&mut self, event_ids: &[String]) -> Result<HashMap<String, Duration>, DbError> {
        let rows = named!(
            "platform_inbox.claim_ages",
            sqlx::query!(
                r#"select event_id, extract(epoch from clock_timestamp() - claimed_at)::float8 as "age!" from platform_inbox where event_id = any($1)"#,
                event_ids
            )
            .fetch_all(&mut *self.transaction)
        )?;
        Ok(rows.into_iter().map(|row| (row.event_id, age(row.age))).collect())
    }

    /// [`TenantTx::release_claim`] for an event without a community.
    ///
    /// # Errors
    /// As there.
    pub async fn release_claim(&mut self, event_id: &str) -> Result<(), DbError> {
        named!(
            "platform_inbox.release_claim",
            sqlx::query!("delete from platform_inbox where event_id = $1", event_id).execute(&mut *self.transaction)
        )?;
        Ok(())
    }

    /// [`TenantTx::prune_claims`] for events without a community.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn prune_claims(&mut self, before: OffsetDateTime) -> Result<u64, DbError> {
        let done = named!(
            "platform_inbox.prune",
            sqlx::query!("delete from platform_inbox where claimed_at < $1", before).execute(&mut *self.transaction)
        )?;
        Ok(done.rows_affected())
    }
}

/// Zero for a claim from the future, when PostgreSQL's clock was set back.
fn age(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
