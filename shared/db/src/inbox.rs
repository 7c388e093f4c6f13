//! Which events have had their effect. The row is written in the effect's transaction: both happen or neither.

use std::collections::HashMap;
use std::time::Duration;

use arrakis_fail_point as fail_point;
use time::OffsetDateTime;

use crate::{DbError, GlobalTx, TenantTx, measure::named};

impl TenantTx {
    /// Claims an event for this transaction. True when it is new; false when another transaction has committed it, and then
    /// its effect is done. While another holds it uncommitted, this waits for how that one ends.
    ///
    /// # Errors
    /// When the database is away or the waiting takes too long.
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

    /// The committed claims among these, with their age by Postgres' clock.
    ///
    /// # Errors
    /// When the database is away.
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

    /// Gives a claim back: what it was for has certainly not happened.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn unclaim(&mut self, event_id: &str) -> Result<(), DbError> {
        named!(
            "inbox.unclaim",
            sqlx::query!(
                "delete from inbox where community_id = $1 and event_id = $2",
                self.community.uuid(),
                event_id
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(())
    }

    /// Forgets claims from before `before`, which no event that may be handled again is older than. Answers how many went.
    ///
    /// # Errors
    /// When the database is away.
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
    /// [`TenantTx::claim`] for an event of no community: of a server that is not onboarded, or of none.
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

    /// [`TenantTx::claim_ages`] for events of no community.
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

    /// [`TenantTx::unclaim`] for an event of no community.
    ///
    /// # Errors
    /// As there.
    pub async fn unclaim(&mut self, event_id: &str) -> Result<(), DbError> {
        named!(
            "platform_inbox.unclaim",
            sqlx::query!("delete from platform_inbox where event_id = $1", event_id).execute(&mut *self.transaction)
        )?;
        Ok(())
    }

    /// [`TenantTx::prune_claims`] for events of no community.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn prune_claims(&mut self, before: OffsetDateTime) -> Result<u64, DbError> {
        let done = named!(
            "platform_inbox.prune",
            sqlx::query!("delete from platform_inbox where claimed_at < $1", before).execute(&mut *self.transaction)
        )?;
        Ok(done.rows_affected())
    }
}

/// Zero for a claim from the future: Postgres' clock was set back.
fn age(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
