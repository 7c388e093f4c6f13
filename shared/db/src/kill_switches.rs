//! The kill switch of the platform and the freezes of communities, as the discord-proxies receive them.
//!
//! A trigger stores the freezes with the change of the community. The entry with the higher version wins, so that a kill switch that was
//! turned on while PostgreSQL was unavailable is stored later and replaces what PostgreSQL has.

use arrakis_security::kill_switch::{KillSwitch, KillSwitchScope, KillSwitchState};
use sqlx::PgConnection;

use crate::column::Column;
use crate::{DbError, GlobalTx, TenantTx, named_query::named};

/// How long the end of a freeze is listed, in milliseconds: a proxy that was unreachable for longer keeps the freeze until it restarts
/// without `KILL_SWITCH_FILE`, or until the community is frozen and unfrozen again.
const ENDED_LISTED_MS: i64 = 7 * 24 * 3600 * 1000;

/// Queries about the kill switch.
#[derive(Debug)]
pub struct KillSwitches<'a> {
    connection: &'a mut PgConnection,
}

impl GlobalTx {
    /// Queries about the kill switch.
    pub fn kill_switches(&mut self) -> KillSwitches<'_> {
        KillSwitches {
            connection: &mut self.transaction,
        }
    }
}

impl TenantTx {
    /// Queries about the kill switch, in the transaction of a community.
    pub fn kill_switches(&mut self) -> KillSwitches<'_> {
        KillSwitches {
            connection: &mut self.transaction,
        }
    }
}

impl KillSwitches<'_> {
    /// The switches that are on, the one of the platform, and those that were turned off in the last week.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn list(&mut self) -> Result<KillSwitchState, DbError> {
        let rows = named!(
            "kill_switch.list",
            sqlx::query!(
                "select scope, is_on, version, changed_by, reason from kill_switches
                  where is_on or scope = 'platform' or version > (extract(epoch from now()) * 1000)::bigint - $1
                  order by scope",
                ENDED_LISTED_MS
            )
            .fetch_all(&mut *self.connection)
        )?;
        let switches = rows.into_iter().map(|row| {
            Ok(KillSwitch {
                scope: Column("kill_switches", "scope").parse::<KillSwitchScope>(&row.scope)?,
                is_on: row.is_on,
                version: Column("kill_switches", "version").count(row.version)?,
                by: row.changed_by,
                reason: row.reason,
            })
        });
        let switches = switches.collect::<Result<Vec<_>, DbError>>()?;
        Ok(KillSwitchState::from(switches))
    }

    /// Stores an entry if its version is higher than that of the stored one. Returns whether it was stored.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn put(&mut self, switch: &KillSwitch) -> Result<bool, DbError> {
        let version = Column("kill_switches", "version").bigint(switch.version)?;
        let done = named!(
            "kill_switch.put",
            sqlx::query!(
                "insert into kill_switches as stored (scope, is_on, version, changed_by, reason)
                 values ($1, $2, $3, $4, $5)
                 on conflict (scope) do update
                    set is_on = excluded.is_on, version = excluded.version, changed_by = excluded.changed_by, reason = excluded.reason
                  where stored.version < excluded.version",
                switch.scope.to_string(),
                switch.is_on,
                version,
                switch.by,
                switch.reason
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected() == 1)
    }
}
