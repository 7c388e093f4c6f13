//! Which events have had their effect. The row is written in the effect's transaction: both happen or neither.

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
        Ok(done.rows_affected() > 0 || fail_point::skips("worker.guard.inbox"))
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

    /// Forgets claims from before `before`: a dead letter may be replayed for seven days, so keep eight. Answers how many
    /// went.
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
        Ok(done.rows_affected() > 0 || fail_point::skips("worker.guard.inbox"))
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
