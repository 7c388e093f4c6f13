//! Makes PostgreSQL, Redis and every replica of the discord-proxy equal, again and again: each worker runs it.
//!
//! It distributes the freezes of communities, and ends a freeze at a replica that PostgreSQL does not have; it stores a kill switch that was turned
//! on while PostgreSQL was unavailable, and it gives the entries to a replica that started without them, or to a Redis that lost its data. Several
//! workers that run it at the same time do no harm: the newest entry counts everywhere ([`KillSwitch::replaces`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrakis_db::{KillSwitchStep, StepState, StoredStep};
use arrakis_security::kill_switch::{KillSwitch, KillSwitchScope, KillSwitchState};
use futures_util::future::join_all;
use parking_lot::Mutex;

use crate::control::KillSwitchControl;
use crate::proxies::ReplicaState;
use crate::report::{StepDone, within};
use crate::status::pending_text;

/// How long one place may take. A place that hangs does not delay the others for longer.
const PLACE_LIMIT: Duration = Duration::from_millis(800);
/// How long the end of the sessions and the revocation of the permissions to sign may take. No write is sent then anyway.
const REVOKE_LIMIT: Duration = Duration::from_millis(3_200);
/// How long the permissions to sign may take to be restored: the next confirmation of the replicas must not be late.
const RESTORE_LIMIT: Duration = Duration::from_millis(1_600);
/// A process that starts follows an end that is no older. The processes that were running then have followed an older one.
const FOLLOWED_FOR: time::Duration = time::Duration::minutes(10);

/// The kill switch of the platform, as this process knows it. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct PlatformSwitch(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    is_on: AtomicBool,
    pending: Mutex<Vec<&'static str>>,
}

impl PlatformSwitch {
    /// Whether it was on at the last tick; false before the first one.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_on.load(Ordering::Relaxed)
    }

    /// Sets whether it is on.
    pub fn set(&self, is_on: bool) {
        self.0.is_on.store(is_on, Ordering::Relaxed);
    }

    /// What follows from the kill switch or its end and has not succeeded yet: it is repeated.
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
    /// Version of the entry for which the sessions were ended.
    sessions_follow: u64,
    /// Version of the entry for which permissions to sign were revoked or restored.
    signing_follows: u64,
    /// Whether permissions to sign may be revoked since this process saw the kill switch on.
    is_signing_revoked: bool,
}

impl KillSwitchSync {
    /// A loop that sets `switch`.
    #[must_use]
    pub fn new(control: KillSwitchControl, switch: PlatformSwitch) -> Self {
        Self {
            control,
            switch,
            seen: None,
            sessions_follow: 0,
            signing_follows: 0,
            is_signing_revoked: false,
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
        }
        // A worker that can read neither knows no more than the replicas.
        let confirms = database.is_ok() || redis.is_ok();
        tokio::join!(self.write_replicas(&replicas, &merged, confirms), async {
            if let Ok(stored) = &redis {
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

    /// Stores what Redis lacks. When it lacks a kill switch that is on, the sessions were not revoked there either.
    async fn write_redis(&self, stored: &KillSwitchState, merged: &KillSwitchState) {
        let missing = merged.newer_than(stored);
        // What only Redis has given to a replica, only the endpoint could end.
        if missing.is_empty() || self.control.proxies.is_none() {
            return;
        }
        if let Err(error) = self.control.cache.put_kill_switches(missing.iter()).await {
            tracing::warn!(%error, "the kill switch cannot be stored in Redis");
            return;
        }
        let is_on = |entry: &KillSwitch| entry.is_on && entry.scope == KillSwitchScope::Platform;
        if missing.iter().any(is_on) {
            match self.control.revoke_sessions().await {
                Ok(_) => tracing::warn!("sessions are revoked, since Redis did not have the kill switch"),
                Err(error) => tracing::warn!(error, "sessions cannot be revoked"),
            }
        }
    }

    /// Does what follows from the kill switch and its end, until it succeeds. PostgreSQL has what is done, so that a process that starts repeats what
    /// another one could not complete.
    async fn take_steps(&mut self, merged: &KillSwitchState) {
        let scope = KillSwitchScope::Platform;
        let (version, is_on) = (merged.version(scope), merged.is_on(scope));
        let is_followed = self.signing_follows == version && (!is_on || self.sessions_follow == version);
        if is_followed {
            return;
        }
        let read = self.control.read_steps(PLACE_LIMIT).await;
        let of = |wanted: KillSwitchStep| read.iter().flatten().find(|stored| stored.step == wanted).copied();
        let (sessions, signing) = (of(KillSwitchStep::Sessions), of(KillSwitchStep::Signing));
        self.end_sessions(merged, sessions).await;
        self.set_signing(merged, signing).await;
        let is_restored = signing.is_none_or(|stored| stored.state == StepState::Restored);
        if read.is_ok() && !is_on && !self.is_signing_revoked && is_restored {
            // There is nothing to restore.
            self.signing_follows = version;
        }
        let mut pending = Vec::new();
        if is_on && self.sessions_follow != version {
            pending.push(pending_text(KillSwitchStep::Sessions, is_on));
        }
        let has_signing = self.control.signing.is_some() && (is_on || self.is_signing_revoked);
        if has_signing && self.signing_follows != version {
            pending.push(pending_text(KillSwitchStep::Signing, is_on));
        }
        self.switch.set_pending(pending);
    }

    /// Ends the sessions once for each time that the kill switch is turned on, until that succeeds.
    async fn end_sessions(&mut self, merged: &KillSwitchState, stored: Option<StoredStep>) {
        let scope = KillSwitchScope::Platform;
        let version = merged.version(scope);
        if !merged.is_on(scope) || self.sessions_follow == version {
            return;
        }
        let is_done = |stored: StoredStep| stored.version == version && stored.state != StepState::Pending;
        if stored.is_some_and(is_done) {
            self.sessions_follow = version;
            return;
        }
        match within(REVOKE_LIMIT, self.control.revoke_sessions()).await {
            Ok(_) => {
                self.sessions_follow = version;
                let step = KillSwitchStep::Sessions;
                self.control.mark(step, version, StepState::Revoked, PLACE_LIMIT).await;
            }
            Err(error) => tracing::warn!(error, "failed to revoke the sessions; retrying"),
        }
    }

    /// Revokes the permissions to sign once for each time that the kill switch is turned on, and restores them once it is off, each until that
    /// succeeds. Without a kill switch that revoked them nothing is restored: an operator may have revoked the permissions by hand.
    async fn set_signing(&mut self, merged: &KillSwitchState, stored: Option<StoredStep>) {
        let scope = KillSwitchScope::Platform;
        let (version, is_on) = (merged.version(scope), merged.is_on(scope));
        if self.signing_follows == version {
            return;
        }
        let is_revoked = |stored: StoredStep| stored.version == version && stored.state == StepState::Revoked;
        if is_on && stored.is_some_and(is_revoked) {
            self.signing_follows = version;
            self.is_signing_revoked = true;
            return;
        }
        let was_revoked = stored.is_some_and(|stored| stored.state != StepState::Restored);
        if !is_on && !self.is_signing_revoked && !was_revoked {
            return;
        }
        self.is_signing_revoked = true;
        let set = async {
            match is_on {
                true => self.control.revoke_signing().await,
                false => self.control.restore_signing().await,
            }
        };
        let limit = if is_on { REVOKE_LIMIT } else { RESTORE_LIMIT };
        match within(limit, set).await {
            Ok(done) => {
                self.signing_follows = version;
                self.is_signing_revoked = is_on;
                if matches!(done, StepDone::Done(_)) {
                    let (step, state) = (KillSwitchStep::Signing, revoked_or_restored(is_on));
                    self.control.mark(step, version, state, PLACE_LIMIT).await;
                }
            }
            Err(error) if is_on => tracing::warn!(error, "failed to revoke the permissions to sign; retrying"),
            Err(error) => tracing::warn!(error, "failed to restore the permissions to sign; retrying"),
        }
    }
}

fn revoked_or_restored(is_on: bool) -> StepState {
    if is_on { StepState::Revoked } else { StepState::Restored }
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
    use std::sync::atomic::AtomicU32;

    use arrakis_cache::{Cache, CacheOptions};
    use arrakis_config::Secret;
    use arrakis_security::kill_switch::{RevokeSigning, RevokeSigningError, RevokedSigning};
    use async_trait::async_trait;

    use super::*;
    use crate::settings::KillSwitchSettings;

    /// A signing service that counts what it has done.
    #[derive(Debug, Default)]
    struct Signing {
        is_down: AtomicBool,
        revoked: AtomicU32,
        restored: AtomicU32,
    }

    impl Signing {
        fn respond(&self, count: &AtomicU32) -> Result<(), RevokeSigningError> {
            if self.is_down.load(Ordering::Relaxed) {
                return Err(RevokeSigningError::Unavailable("down".to_owned()));
            }
            count.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }

        fn counts(&self) -> (u32, u32) {
            (
                self.revoked.load(Ordering::Relaxed),
                self.restored.load(Ordering::Relaxed),
            )
        }
    }

    #[async_trait]
    impl RevokeSigning for Signing {
        async fn revoke_all(&self) -> Result<RevokedSigning, RevokeSigningError> {
            self.respond(&self.revoked)?;
            Ok(RevokedSigning::default())
        }

        async fn restore(&self) -> Result<(), RevokeSigningError> {
            self.respond(&self.restored)
        }
    }

    #[tokio::test]
    async fn permissions_to_sign_follow_the_kill_switch_until_that_succeeds() {
        let signing = Arc::new(Signing::default());
        let revoker: Arc<dyn RevokeSigning> = signing.clone();
        let cache = Cache::new(&Secret::new("redis://127.0.0.1:1/0"), CacheOptions::default()).unwrap();
        let control = KillSwitchControl::new(&KillSwitchSettings::default(), None, cache, Some(revoker)).unwrap();
        let mut sync = KillSwitchSync::new(control, PlatformSwitch::default());
        let scope = KillSwitchScope::Platform;
        // This process did not see it on: an operator may have revoked the permissions by hand.
        sync.set_signing(&state(scope, false, 1), None).await;
        assert_eq!(signing.counts(), (0, 0));
        for (version, is_on, counts) in [(2, true, (1, 0)), (3, false, (1, 1)), (4, true, (2, 1))] {
            let before = signing.counts();
            signing.is_down.store(true, Ordering::Relaxed);
            sync.set_signing(&state(scope, is_on, version), None).await;
            assert_eq!(signing.counts(), before, "version {version}");
            signing.is_down.store(false, Ordering::Relaxed);
            for _ in 0..2 {
                sync.set_signing(&state(scope, is_on, version), None).await;
            }
            assert_eq!(signing.counts(), counts, "version {version}");
        }
    }

    #[tokio::test]
    async fn process_that_starts_restores_what_another_one_revoked() {
        let signing = Arc::new(Signing::default());
        let revoker: Arc<dyn RevokeSigning> = signing.clone();
        let cache = Cache::new(&Secret::new("redis://127.0.0.1:1/0"), CacheOptions::default()).unwrap();
        let control = KillSwitchControl::new(&KillSwitchSettings::default(), None, cache, Some(revoker)).unwrap();
        let mut sync = KillSwitchSync::new(control, PlatformSwitch::default());
        let off = state(KillSwitchScope::Platform, false, 3);
        let step = |state| StoredStep {
            step: KillSwitchStep::Signing,
            version: 2,
            state,
        };
        sync.set_signing(&off, Some(step(StepState::Restored))).await;
        assert_eq!(signing.counts(), (0, 0), "restored already");
        signing.is_down.store(true, Ordering::Relaxed);
        sync.set_signing(&off, Some(step(StepState::Revoked))).await;
        assert_eq!(signing.counts(), (0, 0));
        signing.is_down.store(false, Ordering::Relaxed);
        for _ in 0..2 {
            sync.set_signing(&off, Some(step(StepState::Revoked))).await;
        }
        assert_eq!(signing.counts(), (0, 1));
    }

    fn state(scope: KillSwitchScope, is_on: bool, version: u64) -> KillSwitchState {
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
            assert_eq!(merged.newer_than(&state(scope, true, 9_000)).len(), 1);
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
