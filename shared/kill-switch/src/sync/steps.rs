//! What follows from the kill switch and its end beside the refusal of writes: the sessions end, the permissions to sign are revoked and restored.

use std::time::{Duration, Instant};

use arrakis_db::{KillSwitchStep, StepState, StoredStep};
use arrakis_security::kill_switch::{KillSwitchScope, KillSwitchState};

use super::{KillSwitchSync, PLACE_LIMIT};
use crate::report::{StepDone, within};
use crate::status::pending_text;

/// How long the end of the sessions and the revocation of the permissions to sign may take. No write is sent then anyway.
const REVOKE_LIMIT: Duration = Duration::from_millis(3_200);
/// How long the permissions to sign may take to be restored: the next confirmation of the replicas must not be late.
const RESTORE_LIMIT: Duration = Duration::from_millis(1_600);
/// How often the permissions to sign are revoked again while the kill switch is on: somebody may have restored them.
const REVOKED_FOR: Duration = Duration::from_secs(60);

impl KillSwitchSync {
    /// Does what follows from the kill switch and its end, until it succeeds. PostgreSQL has what is done, so that a process that starts repeats what
    /// another one could not complete.
    pub(super) async fn take_steps(&mut self, merged: &KillSwitchState) {
        let scope = KillSwitchScope::Platform;
        let (version, is_on) = (merged.version(scope), merged.is_on(scope));
        let is_followed = self.follows_with_signing(version, is_on) && (!is_on || self.sessions_follow == version);
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

    /// Whether the permissions to sign follow the entry of this version, and those that are revoked were revoked a short time ago.
    fn follows_with_signing(&self, version: u64, is_on: bool) -> bool {
        let revoked_at = self.signing_revoked_at.filter(|_| self.control.signing.is_some());
        let is_due = is_on && revoked_at.is_some_and(|at| at.elapsed() >= REVOKED_FOR);
        self.signing_follows == version && !is_due
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

    /// Revokes the permissions to sign when the kill switch is turned on, and again each minute while it is on. Restores them once it is off. Each is
    /// repeated until it succeeds. Whatever PostgreSQL has, each process revokes them itself: a process that restored them for an earlier end may have
    /// been the last one at the signing service. Without a kill switch that revoked them nothing is restored: an operator may have revoked the
    /// permissions by hand.
    async fn set_signing(&mut self, merged: &KillSwitchState, stored: Option<StoredStep>) {
        let scope = KillSwitchScope::Platform;
        let (version, is_on) = (merged.version(scope), merged.is_on(scope));
        if self.follows_with_signing(version, is_on) {
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
                self.signing_revoked_at = is_on.then(Instant::now);
                if matches!(done, StepDone::Done(_)) {
                    let (step, state) = (KillSwitchStep::Signing, revoked_or_restored(is_on));
                    self.control.mark(step, version, state, PLACE_LIMIT).await;
                }
            }
            Err(error) if is_on => {
                tracing::warn!(error, "failed to revoke the permissions to sign; retrying");
                if self.signing_follows == version {
                    // They were revoked, and may not be any more.
                    self.signing_follows = 0;
                    let (step, state) = (KillSwitchStep::Signing, StepState::Pending);
                    self.control.mark(step, version, state, PLACE_LIMIT).await;
                }
            }
            Err(error) => tracing::warn!(error, "failed to restore the permissions to sign; retrying"),
        }
    }
}

fn revoked_or_restored(is_on: bool) -> StepState {
    if is_on { StepState::Revoked } else { StepState::Restored }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use arrakis_cache::{Cache, CacheOptions};
    use arrakis_config::Secret;
    use arrakis_security::kill_switch::{RevokeSigning, RevokeSigningError, RevokedSigning};
    use async_trait::async_trait;

    use super::super::tests::state;
    use super::*;
    use crate::control::KillSwitchControl;
    use crate::settings::KillSwitchSettings;
    use crate::sync::PlatformSwitch;

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
    async fn permissions_to_sign_are_revoked_again_each_minute_and_whatever_postgres_has() {
        let signing = Arc::new(Signing::default());
        let revoker: Arc<dyn RevokeSigning> = signing.clone();
        let cache = Cache::new(&Secret::new("redis://127.0.0.1:1/0"), CacheOptions::default()).unwrap();
        let control = KillSwitchControl::new(&KillSwitchSettings::default(), None, cache, Some(revoker)).unwrap();
        let mut sync = KillSwitchSync::new(control, PlatformSwitch::default());
        let on = state(KillSwitchScope::Platform, true, 2);
        let stored = StoredStep {
            step: KillSwitchStep::Signing,
            version: 2,
            state: StepState::Revoked,
        };
        for _ in 0..2 {
            sync.set_signing(&on, Some(stored)).await;
            assert_eq!(signing.counts(), (1, 0));
        }
        let later = |sync: &mut KillSwitchSync| sync.signing_revoked_at = Instant::now().checked_sub(REVOKED_FOR);
        later(&mut sync);
        sync.set_signing(&on, Some(stored)).await;
        assert_eq!(signing.counts(), (2, 0));
        // The signing service is unavailable: the step is pending until it responds.
        later(&mut sync);
        signing.is_down.store(true, Ordering::Relaxed);
        sync.set_signing(&on, Some(stored)).await;
        assert_ne!(sync.signing_follows, 2);
        signing.is_down.store(false, Ordering::Relaxed);
        sync.set_signing(&on, Some(stored)).await;
        assert_eq!((signing.counts(), sync.signing_follows), ((3, 0), 2));
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
}
