//! The kill switch of the platform and the freezes of communities, as the discord-proxies receive them.
//!
//! A trigger stores the freezes with the change of the community. The kill switch of the platform is a list of events, which no login changes. An
//! event that ends it counts only with a proof by `KILL_SWITCH_CREDENTIAL` ([`EndKey`]): whoever can write to the database cannot end it. Entries
//! are merged by the rule of [`KillSwitch::replaces`], so that a kill switch that was turned on while PostgreSQL was unavailable is stored later.

use arrakis_security::kill_switch::{EndKey, KillSwitch, KillSwitchScope, KillSwitchState, ProvenBy};
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::column::Column;
use crate::{DbError, GlobalTx, TenantTx, named_query::named};

/// How long the end of a freeze is listed, in milliseconds. A proxy that was unreachable for longer receives the end from a worker that finds the
/// freeze at the proxy and not here.
const ENDED_LISTED_MS: i64 = 7 * 24 * 3600 * 1000;
/// Most ends whose proofs are checked, the newest first. Rows without a proof that is valid can hide an end, and not make one.
const MAX_ENDS: i64 = 1_000;
/// How long an end without a valid proof is logged.
const LOGGED: Duration = Duration::seconds(10);

/// What follows when the kill switch is turned on, beside the refusal of writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillSwitchStep {
    /// All sessions are ended.
    Sessions,
    /// The permissions to sign are revoked, and restored after the end.
    Signing,
}

impl KillSwitchStep {
    fn name(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::Signing => "signing",
        }
    }
}

/// How far a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepState {
    /// It has not succeeded yet.
    Pending,
    /// The sessions have ended, or the permissions to sign are revoked.
    Revoked,
    /// The permissions to sign are restored.
    Restored,
}

impl StepState {
    fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Revoked => "revoked",
            Self::Restored => "restored",
        }
    }
}

/// The newest version of the kill switch that was on, and how far its steps are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredStep {
    /// The step.
    pub step: KillSwitchStep,
    /// The version that it follows.
    pub version: u64,
    /// How far it is.
    pub state: StepState,
}

/// Whether the newest kill switch that was on has an end, and by which credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndProof {
    /// No end is stored.
    NoEnd,
    /// Ends are stored, and none has a valid proof: none counts.
    Invalid,
    /// The end is proven by `KILL_SWITCH_CREDENTIAL_PREVIOUS` alone.
    Previous,
    /// The end is proven by `KILL_SWITCH_CREDENTIAL`.
    Present,
}

/// An end with a valid proof.
struct ProvenEnd {
    entry: KillSwitch,
    recorded_at: OffsetDateTime,
    by: ProvenBy,
}

/// The ends above a version.
struct Ends {
    newest: Option<ProvenEnd>,
    /// Whether any row has no valid proof.
    has_invalid: bool,
}

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
    /// The freezes, those that ended in the last week, and the kill switch of the platform. Without a key no end of the latter counts.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn list(&mut self, key: Option<&EndKey>) -> Result<KillSwitchState, DbError> {
        let rows = named!(
            "kill_switch.list",
            sqlx::query!(
                "select scope, is_on, version, changed_by, reason from kill_switches
                  where is_on or version > (extract(epoch from now()) * 1000)::bigint - $1
                  order by scope",
                ENDED_LISTED_MS
            )
            .fetch_all(&mut *self.connection)
        )?;
        let mut switches = Vec::with_capacity(rows.len() + 2);
        for row in rows {
            switches.push(KillSwitch {
                scope: Column("kill_switches", "scope").parse::<KillSwitchScope>(&row.scope)?,
                is_on: row.is_on,
                version: Column("kill_switches", "version").count(row.version)?,
                by: row.changed_by,
                reason: row.reason,
            });
        }
        let turned_on = self.turned_on().await?;
        let end = match key {
            Some(key) => {
                let version = turned_on.as_ref().map_or(0, |entry| entry.version);
                self.ends_above(version, key).await?.newest
            }
            None => None,
        };
        switches.extend(turned_on);
        switches.extend(end.map(|end| end.entry));
        Ok(KillSwitchState::from(switches))
    }

    /// When the end of the kill switch with this version was stored; `None` if there is none with a valid proof.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn ended_at(&mut self, version: u64, key: &EndKey) -> Result<Option<OffsetDateTime>, DbError> {
        let ends = self.ends_above(version.saturating_sub(1), key).await?;
        let end = ends.newest.filter(|end| end.entry.version == version);
        Ok(end.map(|end| end.recorded_at))
    }

    /// Which credential proves the end of the newest kill switch that was on.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn end_proof(&mut self, key: &EndKey) -> Result<EndProof, DbError> {
        let turned_on = self.turned_on().await?.map_or(0, |entry| entry.version);
        let ends = self.ends_above(turned_on, key).await?;
        Ok(match ends.newest.map(|end| end.by) {
            Some(ProvenBy::Present) => EndProof::Present,
            Some(ProvenBy::Previous) => EndProof::Previous,
            None if ends.has_invalid => EndProof::Invalid,
            None => EndProof::NoEnd,
        })
    }

    /// The newest entry that turned the kill switch of the platform on.
    async fn turned_on(&mut self) -> Result<Option<KillSwitch>, DbError> {
        let row = named!(
            "kill_switch.turned_on",
            sqlx::query!(
                "select version, changed_by, reason from kill_switch_events where is_on order by version desc limit 1"
            )
            .fetch_optional(&mut *self.connection)
        )?;
        let entry = row.map(|row| {
            Ok::<_, DbError>(KillSwitch {
                scope: KillSwitchScope::Platform,
                is_on: true,
                version: Column("kill_switch_events", "version").count(row.version)?,
                by: row.changed_by,
                reason: row.reason,
            })
        });
        entry.transpose()
    }

    /// The ends above this version. Of two rows of the newest one, the row by the present credential counts.
    async fn ends_above(&mut self, version: u64, key: &EndKey) -> Result<Ends, DbError> {
        let version = Column("kill_switch_events", "version").bigint(version)?;
        let rows = named!(
            "kill_switch.ends",
            sqlx::query!(
                r#"select version, changed_by, reason, proof as "proof!", recorded_at from kill_switch_events
                    where not is_on and version > $1
                    order by recorded_at desc limit $2"#,
                version,
                MAX_ENDS
            )
            .fetch_all(&mut *self.connection)
        )?;
        let mut ends = Ends {
            newest: None,
            has_invalid: false,
        };
        for row in rows {
            let entry = KillSwitch {
                scope: KillSwitchScope::Platform,
                is_on: false,
                version: Column("kill_switch_events", "version").count(row.version)?,
                by: row.changed_by,
                reason: row.reason,
            };
            let Some(by) = key.verifies(&entry, &row.proof) else {
                ends.has_invalid = true;
                log_invalid(entry.version, row.recorded_at);
                continue;
            };
            let known = ends.newest.as_ref();
            let is_same = known.is_some_and(|known| known.entry.version == entry.version);
            if entry.replaces(known.map(|known| &known.entry)) || (is_same && by == ProvenBy::Present) {
                ends.newest = Some(ProvenEnd {
                    entry,
                    recorded_at: row.recorded_at,
                    by,
                });
            }
        }
        Ok(ends)
    }

    /// Appends a change of the kill switch of the platform, with its proof if it is an end. Returns whether it was appended: the same entry is
    /// stored once. The transaction has to write `kill_switch.on` or `kill_switch.off` to the audit log of the platform.
    ///
    /// # Errors
    /// When the database is unavailable, or the version is far in the future.
    pub async fn append(&mut self, switch: &KillSwitch, key: Option<&EndKey>) -> Result<bool, DbError> {
        if switch.scope != KillSwitchScope::Platform {
            return Err(Column("kill_switches", "scope").corrupt(switch.scope, "a freeze is a change of its community"));
        }
        let version = Column("kill_switch_events", "version").bigint(switch.version)?;
        let proof = key.filter(|_| !switch.is_on).map(|key| key.prove(switch));
        let done = named!(
            "kill_switch.append",
            sqlx::query!(
                "insert into kill_switch_events (event_id, is_on, version, changed_by, reason, proof)
                 select $1::uuid, $2::boolean, $3::bigint, $4::text, $5::text, $6::bytea
                  where not exists (select from kill_switch_events
                                     where is_on = $2::boolean and version = $3::bigint and proof is not distinct from $6::bytea)
                 on conflict do nothing",
                Uuid::now_v7(),
                switch.is_on,
                version,
                switch.by,
                switch.reason,
                proof.as_deref()
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected() == 1)
    }

    /// The steps of the newest kill switch; empty if it was never turned on. One that is revoked without a valid proof is pending; without a key
    /// no proof is checked.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn steps(&mut self, key: Option<&EndKey>) -> Result<Vec<StoredStep>, DbError> {
        let rows = named!(
            "kill_switch.steps",
            sqlx::query!(
                "select distinct on (step) step, version, state, proof from kill_switch_steps order by step, version desc"
            )
            .fetch_all(&mut *self.connection)
        )?;
        let steps = rows.into_iter().map(|row| {
            let column = |name| Column("kill_switch_steps", name);
            let steps = [KillSwitchStep::Sessions, KillSwitchStep::Signing];
            let step = steps.into_iter().find(|step| step.name() == row.step);
            let states = [StepState::Pending, StepState::Revoked, StepState::Restored];
            let state = states.into_iter().find(|state| state.name() == row.state);
            let version = column("version").count(row.version)?;
            let state = state.ok_or_else(|| column("state").corrupt(&row.state, "unknown state"))?;
            let is_proven = key.is_none_or(|key| {
                let proof = row.proof.as_deref();
                proof.is_some_and(|proof| key.verifies_step(&row.step, version, &row.state, proof))
            });
            Ok(StoredStep {
                step: step.ok_or_else(|| column("step").corrupt(&row.step, "unknown step"))?,
                version,
                state: match state {
                    StepState::Revoked if !is_proven => StepState::Pending,
                    state => state,
                },
            })
        });
        steps.collect()
    }

    /// Stores how far a step of the newest kill switch is, unless that has a higher version. `version` is that of the entry that the step follows;
    /// what is restored follows an end, which has a higher version than the entry that it ends. `key` proves what is revoked.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn set_step(
        &mut self,
        step: KillSwitchStep,
        version: u64,
        state: StepState,
        key: Option<&EndKey>,
    ) -> Result<(), DbError> {
        let proof = key.map(|key| key.prove_step(step.name(), version, state.name()));
        let version = Column("kill_switch_steps", "version").bigint(version)?;
        named!(
            "kill_switch.set_step",
            sqlx::query!(
                "update kill_switch_steps set state = $3, proof = $4, changed_at = clock_timestamp()
                  where step = $1 and version = (select max(newest.version) from kill_switch_steps newest where newest.step = $1)
                    and (version < $2 or (version = $2 and $3 <> 'restored'))",
                step.name(),
                version,
                state.name(),
                proof.as_deref()
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }
}

/// Logs an end that does not count. Each worker reads the events each second: an old row is not logged again.
fn log_invalid(version: u64, recorded_at: OffsetDateTime) {
    if recorded_at + LOGGED > OffsetDateTime::now_utc() {
        tracing::error!(
            version,
            "an end of the kill switch has no valid proof and does not count: somebody without KILL_SWITCH_CREDENTIAL \
             wrote to kill_switch_events, or the services have different credentials"
        );
    }
}
