//! Manifests, states of servers, and slots of the jobs that change servers.
//!
//! A state is held by one attempt of one job. A further attempt of the same job takes it over at once, another job once the hold has
//! ended. Every write names the attempt: one that was taken over changes nothing.

use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::column::Column;
use crate::{CommunityId, DbError, GlobalTx, TenantTx, named_query::named};

/// A stored manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredManifest {
    /// Its version, from 1.
    pub version: u32,
    /// The manifest, as JSON.
    pub manifest: Value,
    /// The member or process that stored it.
    pub created_by: String,
    /// When it was stored.
    pub created_at: OffsetDateTime,
}

/// One attempt of a job `synthesis`, as the holder of a server's state.
///
/// The state of a server (which address of the configuration has which Discord id) has one writer at a time: [`ServerStates::hold`] gives
/// it to an attempt until a time, and each write names the attempt. So an attempt that hung while a later one took over writes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateHolder<'a> {
    /// Id of the job, as in `jobs`.
    pub job: &'a str,
    /// Number of the attempt of this job, from 1; a later attempt takes the state from an earlier one of the same job.
    pub attempt: u32,
}

impl StateHolder<'_> {
    fn attempt(self) -> i32 {
        i32::try_from(self.attempt).unwrap_or(i32::MAX)
    }
}

/// Result of [`ServerStates::hold`].
#[derive(Clone, Debug, PartialEq)]
pub enum StateHold {
    /// The attempt holds the state; `None` when nothing was written yet.
    Held(Option<Value>),
    /// Another job, or a later attempt of this job, holds it.
    HeldByAnother,
}

/// Queries about a community's manifests.
#[derive(Debug)]
pub struct Manifests<'a> {
    connection: &'a mut PgConnection,
    community: CommunityId,
}

/// Queries about the state of a community's server.
#[derive(Debug)]
pub struct ServerStates<'a> {
    connection: &'a mut PgConnection,
    community: CommunityId,
}

/// Queries about the slots of jobs that change servers.
#[derive(Debug)]
pub struct SynthesisSlots<'a> {
    connection: &'a mut PgConnection,
}

impl TenantTx {
    /// Queries about the community's manifests.
    pub fn manifests(&mut self) -> Manifests<'_> {
        Manifests {
            community: self.community,
            connection: &mut self.transaction,
        }
    }

    /// Queries about the state of the community's server.
    pub fn server_state(&mut self) -> ServerStates<'_> {
        ServerStates {
            community: self.community,
            connection: &mut self.transaction,
        }
    }
}

impl GlobalTx {
    /// Queries about the slots of jobs that change servers.
    pub fn synthesis_slots(&mut self) -> SynthesisSlots<'_> {
        SynthesisSlots {
            connection: &mut self.transaction,
        }
    }
}

impl Manifests<'_> {
    /// The manifest in force; `None` for a community whose server is not managed.
    ///
    /// # Errors
    /// When the database is unavailable or the row is corrupt.
    pub async fn latest(&mut self) -> Result<Option<StoredManifest>, DbError> {
        let row = named!(
            "manifest.latest",
            sqlx::query!(
                "select version, manifest, created_by, created_at from manifests
                  where community_id = $1 order by version desc limit 1",
                self.community.uuid()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        row.map(|row| {
            Ok(StoredManifest {
                version: Column("manifests", "version").count(i64::from(row.version))?,
                manifest: row.manifest,
                created_by: row.created_by,
                created_at: row.created_at,
            })
        })
        .transpose()
    }

    /// Stores a manifest as the next version, unless it equals the one in force; returns the version in force.
    ///
    /// # Errors
    /// When the database is unavailable. A conflict when two transactions store one at the same time.
    pub async fn put(&mut self, manifest: &Value, created_by: &str) -> Result<u32, DbError> {
        let before = self.latest().await?;
        if let Some(before) = &before
            && before.manifest == *manifest
        {
            return Ok(before.version);
        }
        let version = before.map_or(1, |before| before.version + 1);
        named!(
            "manifest.put",
            sqlx::query!(
                "insert into manifests (community_id, version, manifest, created_by) values ($1, $2, $3, $4)",
                self.community.uuid(),
                i32::try_from(version).unwrap_or(i32::MAX),
                manifest,
                created_by
            )
            .execute(&mut *self.connection)
        )?;
        Ok(version)
    }
}

impl ServerStates<'_> {
    /// The state; `None` before its first write.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn get(&mut self) -> Result<Option<Value>, DbError> {
        let found = named!(
            "server_state.get",
            sqlx::query_scalar!(
                "select state from shadow_states where community_id = $1",
                self.community.uuid()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        Ok(found.flatten())
    }

    /// Whether an attempt of a job holds the state at `now`: it changes.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn is_held(&mut self, now: OffsetDateTime) -> Result<bool, DbError> {
        named!(
            "server_state.is_held",
            sqlx::query_scalar!(
                r#"select exists (select from shadow_states where community_id = $1 and held_until > $2) as "held!""#,
                self.community.uuid(),
                now
            )
            .fetch_one(&mut *self.connection)
        )
    }

    /// Stores the state of a server that has none.
    ///
    /// # Errors
    /// A conflict when it has one.
    pub async fn restore(&mut self, state: &Value) -> Result<(), DbError> {
        named!(
            "server_state.restore",
            sqlx::query!(
                "insert into shadow_states (community_id, state) values ($1, $2)",
                self.community.uuid(),
                state
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    /// Takes the state for an attempt, until `until`.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn hold(
        &mut self,
        holder: StateHolder<'_>,
        now: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<StateHold, DbError> {
        let held = named!(
            "server_state.hold",
            sqlx::query_scalar!(
                "insert into shadow_states as s (community_id, holder_job, holder_attempt, held_until)
                 values ($1, $2, $3, $5)
                 on conflict (community_id) do update
                    set holder_job = excluded.holder_job, holder_attempt = excluded.holder_attempt,
                        held_until = excluded.held_until
                  where s.held_until is null or s.held_until <= $4
                     or s.holder_job = excluded.holder_job and s.holder_attempt <= excluded.holder_attempt
                 returning s.state",
                self.community.uuid(),
                holder.job,
                holder.attempt(),
                now,
                until
            )
            .fetch_optional(&mut *self.connection)
        )?;
        Ok(held.map_or(StateHold::HeldByAnother, StateHold::Held))
    }

    /// Writes the state and extends the hold. False when another attempt holds it; nothing is written then.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn write(
        &mut self,
        holder: StateHolder<'_>,
        state: &Value,
        until: OffsetDateTime,
    ) -> Result<bool, DbError> {
        let done = named!(
            "server_state.write",
            sqlx::query!(
                "update shadow_states set state = $4, held_until = $5, updated_at = now()
                  where community_id = $1 and holder_job = $2 and holder_attempt = $3",
                self.community.uuid(),
                holder.job,
                holder.attempt(),
                state,
                until
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected() == 1)
    }

    /// Extends the hold. False when another attempt holds the state.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn renew(&mut self, holder: StateHolder<'_>, until: OffsetDateTime) -> Result<bool, DbError> {
        let done = named!(
            "server_state.renew",
            sqlx::query!(
                "update shadow_states set held_until = $4
                  where community_id = $1 and holder_job = $2 and holder_attempt = $3",
                self.community.uuid(),
                holder.job,
                holder.attempt(),
                until
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected() == 1)
    }

    /// Ends the hold of an attempt. False when another attempt holds the state, whose hold stays.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn release(&mut self, holder: StateHolder<'_>) -> Result<bool, DbError> {
        let done = named!(
            "server_state.release",
            sqlx::query!(
                "update shadow_states set holder_job = null, holder_attempt = null, held_until = null
                  where community_id = $1 and holder_job = $2 and holder_attempt = $3",
                self.community.uuid(),
                holder.job,
                holder.attempt()
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected() == 1)
    }
}

impl SynthesisSlots<'_> {
    /// Takes a slot until `until`, or extends the hold of the one that the holder has. False when all are held by others.
    ///
    /// # Errors
    /// When the database is unavailable. A conflict when one holder takes two slots at the same time.
    pub async fn take(&mut self, holder: &str, now: OffsetDateTime, until: OffsetDateTime) -> Result<bool, DbError> {
        let renewed = named!(
            "synthesis_slot.renew",
            sqlx::query!(
                "update synthesis_slots set held_until = $2 where holder = $1",
                holder,
                until
            )
            .execute(&mut *self.connection)
        )?;
        if renewed.rows_affected() > 0 {
            return Ok(true);
        }
        let taken = named!(
            "synthesis_slot.take",
            sqlx::query!(
                "update synthesis_slots set holder = $1, held_until = $3
                  where slot = (select slot from synthesis_slots where holder is null or held_until <= $2
                                 order by slot limit 1 for update skip locked)",
                holder,
                now,
                until
            )
            .execute(&mut *self.connection)
        )?;
        Ok(taken.rows_affected() > 0)
    }

    /// Frees the slot of a holder.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn free(&mut self, holder: &str) -> Result<(), DbError> {
        named!(
            "synthesis_slot.free",
            sqlx::query!(
                "update synthesis_slots set holder = null, held_until = null where holder = $1",
                holder
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }
}
