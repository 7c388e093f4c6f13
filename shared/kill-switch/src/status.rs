//! The state at every place, and what the workers repeat.

use arrakis_db::{KillSwitchStep, StepState, StoredStep};
use arrakis_security::kill_switch::{KillSwitchScope, KillSwitchState};

use crate::control::{KillSwitchControl, STEP_LIMIT};
use crate::proxies::ReplicaState;

/// The state at every place, or why a place has none.
#[derive(Debug)]
pub struct KillSwitchStatus {
    /// In `PostgreSQL`.
    pub database: Result<KillSwitchState, String>,
    /// In Redis.
    pub redis: Result<KillSwitchState, String>,
    /// At each replica of the discord-proxy.
    pub replicas: Vec<ReplicaState>,
    /// What follows from the kill switch or its end and has not succeeded. The workers repeat it.
    pub pending: Vec<&'static str>,
}

impl KillSwitchStatus {
    /// Whether the kill switch of the platform is on: the newest entry counts.
    #[must_use]
    pub fn is_on(&self) -> bool {
        let states = self.replicas.iter().map(|replica| &replica.state);
        let states = states.chain([&self.database, &self.redis]).flatten();
        KillSwitchState::merged(states).is_on(KillSwitchScope::Platform)
    }

    /// Whether every replica responds and agrees.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        let is_on = self.is_on();
        let agrees = |replica: &ReplicaState| {
            let state = replica.state.as_ref();
            state.is_ok_and(|state| state.is_on(KillSwitchScope::Platform) == is_on)
        };
        self.replicas.iter().all(agrees)
    }
}

impl KillSwitchControl {
    /// The state everywhere.
    pub async fn status(&self) -> KillSwitchStatus {
        let limit = STEP_LIMIT;
        let (database, steps, redis, unreadable, replicas) = tokio::join!(
            self.read_database(limit),
            self.read_steps(limit),
            self.read_redis(limit),
            tokio::time::timeout(limit, self.cache.unreadable_kill_switches()),
            self.read_proxies(limit)
        );
        let redis = match unreadable {
            Ok(Ok(scopes)) if !scopes.is_empty() => Err(format!(
                "the entries of {} cannot be read, or their versions are far in the future",
                scopes.join(", ")
            )),
            _ => redis,
        };
        let mut status = KillSwitchStatus {
            database,
            redis,
            replicas,
            pending: Vec::new(),
        };
        status.pending = self.pending(&steps.unwrap_or_default(), status.is_on());
        status
    }

    /// Which steps have not succeeded, while the kill switch is on or after its end.
    fn pending(&self, steps: &[StoredStep], is_on: bool) -> Vec<&'static str> {
        let is_pending = |step: &&StoredStep| match (step.step, is_on) {
            (KillSwitchStep::Sessions, is_on) => is_on && step.state == StepState::Pending,
            (KillSwitchStep::Signing, _) if self.signing.is_none() => false,
            (KillSwitchStep::Signing, true) => step.state != StepState::Revoked,
            (KillSwitchStep::Signing, false) => step.state != StepState::Restored,
        };
        let pending = steps.iter().filter(is_pending);
        pending.map(|step| pending_text(step.step, is_on)).collect()
    }
}

/// What a step has not done yet.
pub(crate) fn pending_text(step: KillSwitchStep, is_on: bool) -> &'static str {
    match (step, is_on) {
        (KillSwitchStep::Sessions, _) => "the sessions have not ended",
        (KillSwitchStep::Signing, true) => "the permissions to sign are not revoked",
        (KillSwitchStep::Signing, false) => "the permissions to sign are not restored",
    }
}
