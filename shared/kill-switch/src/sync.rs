//! Makes PostgreSQL, Redis and every replica of the discord-proxy equal, again and again: each worker runs it.
//!
//! It distributes the freezes of communities, and ends a freeze at a replica that PostgreSQL does not have; it stores a kill switch that was turned
//! on while PostgreSQL was unavailable, and it gives the entries to a replica that started without them, or to a Redis that lost its data. Several
//! workers that run it at the same time do no harm: the newest entry counts everywhere ([`KillSwitch::replaces`]). What follows from an entry beside
//! the refusal of writes is in `sync/steps.rs`.

mod steps;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arrakis_security::kill_switch::{EndKey, KillSwitch, KillSwitchScope, KillSwitchState};
use futures_util::future::join_all;
use parking_lot::Mutex;

use crate::control::KillSwitchControl;
use crate::proxies::ReplicaState;
use crate::report::within;

/// Time limit of PostgreSQL, of Redis and of each replica. One that hangs does not delay the others for longer.
const PLACE_LIMIT: Duration = Duration::from_millis(800);
/// A process that starts follows an end that is no older. The processes that were running then have followed an older one.
const FOLLOWED_FOR: time::Duration = time::Duration::minutes(10);

/// Whether the kill switch of the platform is on, as this process read it last. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct PlatformSwitch(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    is_on: AtomicBool,
    pending: Mutex<Vec<&'static str>>,
}

impl PlatformSwitch {
    /// Whether it was on at the last [`KillSwitchSync::tick`]; false before the first one.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_on.load(Ordering::Relaxed)
    }

    /// Sets whether it is on.
    pub fn set(&self, is_on: bool) {
        self.0.is_on.store(is_on, Ordering::Relaxed);
    }

    /// Steps that have not succeeded yet and are repeated at each [`KillSwitchSync::tick`], each as a text for an operator.
    #[must_use]
    pub fn pending(&self) -> Vec<&'static str> {
        self.0.pending.lock().clone()
    }

    fn set_pending(&self, pending: Vec<&'static str>) {
        *self.0.pending.lock() = pending;
    }
}

/// State of the sync in one process. The caller runs [`KillSwitchSync::tick`] at an interval.
#[derive(Debug)]
pub struct KillSwitchSync {
    control: KillSwitchControl,
    switch: PlatformSwitch,
    /// The newest entry of the platform that was seen.
    seen: Option<KillSwitch>,
    /// Version of the end that has a proof by the present credential.
    proven: u64,
    /// Version of the entry for which the sessions were ended.
    sessions_follow: u64,
    /// Version of the entry for which permissions to sign were revoked or restored.
    signing_follows: u64,
    /// Whether permissions to sign may be revoked since this process saw the kill switch on.
    is_signing_revoked: bool,
    /// When this process revoked them last.
    signing_revoked_at: Option<Instant>,
}

impl KillSwitchSync {
    /// The state before the first [`KillSwitchSync::tick`]. Each tick sets `switch`.
    #[must_use]
    pub fn new(control: KillSwitchControl, switch: PlatformSwitch) -> Self {
        Self {
            control,
            switch,
            seen: None,
            proven: 0,
            sessions_follow: 0,
            signing_follows: 0,
            is_signing_revoked: false,
            signing_revoked_at: None,
        }
    }

    /// Reads every place, and writes at each what it lacks. Returns the entry by which the kill switch of the platform ended, when this process
    /// sees that end for the first time, and it either saw the kill switch on before or the end is recent.
    pub async fn tick(&mut self) -> Option<KillSwitch> {
        let control = &self.control;
        let (database, redis, replicas) = tokio::join!(
            control.read_database(PLACE_LIMIT),
            control.read_redis(PLACE_LIMIT),
            control.read_proxies(PLACE_LIMIT)
        );
        // A freeze is stored in PostgreSQL before a replica has it. The read above may have been before both, so this one follows the replicas'.
        let database = match database {
            Ok(stored) if differs(&stored, &replicas) => control.read_database(PLACE_LIMIT).await,
            database => database,
        };
        let merged = merge(database.as_ref().ok(), redis.as_ref().ok(), &replicas);
        if let Ok(stored) = &database {
            self.store_platform(stored, &merged).await;
            self.prove_again(stored).await;
        }
        // A worker that can read neither knows no more than the replicas.
        let confirms = database.is_ok() || redis.is_ok();
        tokio::join!(self.write_replicas(&replicas, &merged, confirms), async {
            if let Ok(stored) = &redis {
                self.repair_redis().await;
                self.write_redis(stored, &merged).await;
            }
        });
        let was_on = self.seen.as_ref().is_some_and(|seen| seen.is_on);
        let ended = self.observe(&merged);
        self.take_steps(&merged).await;
        let ended = ended?;
        (was_on || self.is_recent(&ended).await).then_some(ended)
    }

    /// Whether an end was stored a short time ago.
    async fn is_recent(&self, end: &KillSwitch) -> bool {
        let at = self.control.ended_at(end.version, PLACE_LIMIT).await;
        at.is_some_and(|at| at + FOLLOWED_FOR > time::OffsetDateTime::now_utc())
    }

    /// Records the platform's entry. Returns one that ended the kill switch.
    fn observe(&mut self, merged: &KillSwitchState) -> Option<KillSwitch> {
        let platform = merged.get(KillSwitchScope::Platform)?;
        if self.seen.as_ref() == Some(platform) {
            return None;
        }
        self.switch.set(platform.is_on);
        // A process that starts while it is off has seen no change.
        if platform.is_on || self.seen.is_some() {
            tracing::warn!(
                is_on = platform.is_on,
                version = platform.version,
                by = platform.by,
                "the kill switch of the platform was changed"
            );
        }
        self.seen = Some(platform.clone());
        (!platform.is_on && platform.version > 0).then(|| platform.clone())
    }

    /// Stores the platform's entry where PostgreSQL has an older one. Freezes come from PostgreSQL.
    async fn store_platform(&self, stored: &KillSwitchState, merged: &KillSwitchState) {
        let scope = KillSwitchScope::Platform;
        let platform = merged.get(scope).filter(|entry| entry.replaces(stored.get(scope)));
        let Some(platform) = platform else { return };
        if let Err(error) = self.control.store_found(platform).await {
            tracing::warn!(error, "the entry of the kill switch cannot be stored in PostgreSQL");
        }
    }

    /// While `KILL_SWITCH_CREDENTIAL` is changed: stores the end once more, with a proof by the present credential. Without that, no end would count
    /// when the previous credential is removed.
    async fn prove_again(&mut self, stored: &KillSwitchState) {
        let is_changed = self.control.key.as_ref().is_some_and(EndKey::has_previous);
        let platform = stored.get(KillSwitchScope::Platform);
        let Some(end) = platform.filter(|entry| is_changed && !entry.is_on && entry.version != self.proven) else {
            return;
        };
        match within(PLACE_LIMIT, self.control.store_found(end)).await {
            Ok(()) => self.proven = end.version,
            Err(error) => tracing::warn!(
                error,
                "the end of the kill switch cannot be proven by the present KILL_SWITCH_CREDENTIAL; retrying"
            ),
        }
    }

    /// Writes what each replica lacks, and confirms its state: a replica that nothing confirms sends no writes to Discord.
    async fn write_replicas(&self, replicas: &[ReplicaState], merged: &KillSwitchState, confirms: bool) {
        let Some(proxies) = &self.control.proxies else { return };
        let mut writes = Vec::new();
        for replica in replicas {
            let Ok(state) = &replica.state else { continue };
            let missing = merged.newer_than(state);
            if confirms || !missing.is_empty() {
                writes.push(async move {
                    let entries = KillSwitchState::from(missing);
                    match confirms {
                        true => proxies.confirm_at(replica, &entries).await,
                        false => proxies.write_at(&replica.address, &entries).await,
                    }
                });
            }
        }
        for replica in join_all(writes).await {
            if let Err(error) = replica.state {
                tracing::warn!(
                    replica = replica.address,
                    error,
                    "the kill switch cannot be written at a replica"
                );
            }
        }
    }

    /// Removes entries that cannot be read: with one of them Redis confirms the state at no replica.
    async fn repair_redis(&self) {
        let removed = within(PLACE_LIMIT, self.control.cache.remove_unreadable_kill_switches()).await;
        if let Err(error) = removed {
            tracing::warn!(error, "the entries of the kill switch in Redis cannot be checked");
        }
    }

    /// Stores what Redis lacks. When it lacks a kill switch that is on, the sessions were not revoked there either.
    async fn write_redis(&self, stored: &KillSwitchState, merged: &KillSwitchState) {
        let missing = merged.newer_than(stored);
        // What only Redis has given to a replica, only the endpoint could end.
        if missing.is_empty() || self.control.proxies.is_none() {
            return;
        }
        match self.control.cache.put_kill_switches(missing.iter()).await {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "the kill switch cannot be stored in Redis");
                return;
            }
        }
        let is_on = |entry: &KillSwitch| entry.is_on && entry.scope == KillSwitchScope::Platform;
        if missing.iter().any(is_on) {
            match self.control.revoke_sessions().await {
                Ok(_) => tracing::warn!("sessions are revoked, since Redis did not have the kill switch"),
                Err(error) => tracing::warn!(error, "sessions cannot be revoked"),
            }
        }
    }
}

/// All entries. Redis may turn a switch on, and not off. PostgreSQL has the truth about freezes: where a replica differs, the entry of PostgreSQL
/// receives a version that replaces the replica's.
fn merge(
    database: Option<&KillSwitchState>,
    redis: Option<&KillSwitchState>,
    replicas: &[ReplicaState],
) -> KillSwitchState {
    let states = replicas.iter().filter_map(|replica| replica.state.as_ref().ok());
    let found = KillSwitchState::merged(states);
    let mut merged = database.cloned().unwrap_or_default();
    for switch in Vec::<KillSwitch>::from(found) {
        match database {
            Some(stored) if switch.scope != KillSwitchScope::Platform => {
                // Where they agree, a replica that has an older entry receives this one.
                merged.apply(corrected(stored, &switch).unwrap_or(switch));
            }
            _ => {
                merged.apply(switch);
            }
        }
    }
    for switch in redis.into_iter().flat_map(KillSwitchState::switches) {
        // A freeze of Redis alone is left out: its end in PostgreSQL may be too old to be listed.
        if switch.scope == KillSwitchScope::Platform {
            merged.apply_if_on(switch.clone());
        }
    }
    merged
}

/// The freeze of a scope, or its end, as PostgreSQL has it, with a version above that of `found`; `None` where they agree, or where PostgreSQL has
/// the newer one.
fn corrected(stored: &KillSwitchState, found: &KillSwitch) -> Option<KillSwitch> {
    let known = stored.get(found.scope);
    if known.is_some_and(|known| known.version > found.version) {
        return None;
    }
    // A freeze that PostgreSQL does not have is off.
    let (is_on, reason) = known.map_or((false, ""), |known| (known.is_on, known.reason.as_str()));
    let agrees = found.is_on == is_on && (!is_on || found.reason == reason);
    (!agrees).then(|| KillSwitch {
        scope: found.scope,
        is_on,
        version: found.version.saturating_add(1),
        by: String::new(),
        reason: reason.to_owned(),
    })
}

/// Whether a replica has a freeze, or an end of one, that PostgreSQL does not have. It may be newer than the read of PostgreSQL.
fn differs(database: &KillSwitchState, replicas: &[ReplicaState]) -> bool {
    let states = replicas.iter().filter_map(|replica| replica.state.as_ref().ok());
    states
        .flat_map(KillSwitchState::switches)
        .any(|switch| switch.scope != KillSwitchScope::Platform && corrected(database, switch).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn state(scope: KillSwitchScope, is_on: bool, version: u64) -> KillSwitchState {
        KillSwitchState::from(vec![KillSwitch {
            scope,
            is_on,
            version,
            by: String::new(),
            reason: String::new(),
        }])
    }

    fn replica(state: Result<KillSwitchState, String>) -> ReplicaState {
        ReplicaState {
            address: "a".to_owned(),
            state,
            is_stored: true,
            read: None,
        }
    }

    #[test]
    fn redis_turns_the_platform_on_and_not_off() {
        let scope = KillSwitchScope::Platform;
        let (off, on) = (state(scope, false, 1), state(scope, true, 2));
        assert!(merge(Some(&off), Some(&on), &[]).is_on(scope));
        assert!(merge(Some(&on), Some(&state(scope, false, 3)), &[]).is_on(scope));
        let frozen = state(KillSwitchScope::Community(7), true, 2);
        assert!(!merge(Some(&off), Some(&frozen), &[]).has_frozen());
    }

    #[test]
    fn freeze_of_a_replica_follows_postgres_whatever_its_version() {
        let scope = KillSwitchScope::Community(7);
        let forged = [replica(Ok(state(scope, true, 9_000)))];
        // PostgreSQL has no freeze, an older end, or an older freeze that the replica does not have.
        for (stored, is_on) in [
            (KillSwitchState::default(), false),
            (state(scope, false, 5), false),
            (state(KillSwitchScope::Platform, true, 5), false),
        ] {
            assert!(differs(&stored, &forged));
            let merged = merge(Some(&stored), None, &forged);
            assert_eq!((merged.is_on(scope), merged.version(scope)), (is_on, 9_001));
            let newer = merged.newer_than(&state(scope, true, 9_000));
            assert_eq!(newer.iter().filter(|switch| switch.scope == scope).count(), 1);
        }
        let ended = [replica(Ok(state(scope, false, 9_000)))];
        let merged = merge(Some(&state(scope, true, 5)), None, &ended);
        assert!(merged.is_on(scope) && merged.version(scope) == 9_001);
        // Where they agree, nothing is written again and again.
        for (stored, found) in [
            (state(scope, true, 5), state(scope, true, 9_000)),
            (state(scope, false, 5), state(scope, false, 9_000)),
            (KillSwitchState::default(), state(scope, false, 9_000)),
        ] {
            assert!(!differs(&stored, &[replica(Ok(found.clone()))]));
            let merged = merge(Some(&stored), None, &[replica(Ok(found.clone()))]);
            assert!(merged.newer_than(&found).is_empty());
        }
        // One replica was corrected before the other one.
        let both = [
            replica(Ok(state(scope, false, 9_500))),
            replica(Ok(state(scope, true, 9_000))),
        ];
        let merged = merge(Some(&KillSwitchState::default()), None, &both);
        assert_eq!(merged.newer_than(&state(scope, true, 9_000)).len(), 1);
        // PostgreSQL is unavailable: the replicas keep what they have.
        assert!(merge(None, None, &forged).is_on(scope));
        let newer_in_postgres = state(scope, false, 9_500);
        assert!(!differs(&newer_in_postgres, &forged));
        assert_eq!(merge(Some(&newer_in_postgres), None, &forged).version(scope), 9_500);
    }

    #[test]
    fn kill_switch_of_one_replica_is_found_while_postgres_is_down() {
        let scope = KillSwitchScope::Platform;
        let replicas = [replica(Err("down".to_owned())), replica(Ok(state(scope, true, 2)))];
        let merged = merge(None, None, &replicas);
        assert!(merged.is_on(scope));
        assert_eq!(merged.newer_than(&state(scope, false, 1)).len(), 1);
        assert!(merged.newer_than(&merged).is_empty());
        assert!(merged.newer_than(&state(scope, false, 3)).is_empty());
    }
}
