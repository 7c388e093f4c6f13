//! The state in PostgreSQL, in Redis and at each replica of the discord-proxy, and the steps that the workers repeat.

use arrakis_db::{EndProof, KillSwitchStep, StepState, StoredStep};
use arrakis_security::kill_switch::{KillSwitchScope, KillSwitchState};

use crate::control::{KillSwitchControl, STEP_LIMIT, merged};
use crate::proxies::ReplicaState;

/// The workers store a proof by the present credential; until then the previous one is needed.
const PROVEN_BY_PREVIOUS: &str = "the end of the kill switch has no proof by the present KILL_SWITCH_CREDENTIAL";
/// No end counts.
const NO_VALID_PROOF: &str = "PostgreSQL has an end of the kill switch without a valid proof, which does not count: KILL_SWITCH_CREDENTIAL was \
                              changed without KILL_SWITCH_CREDENTIAL_PREVIOUS, or the row is forged";

/// The state in `PostgreSQL`, in Redis and at each replica of the discord-proxy; for each that did not respond, the reason.
#[derive(Debug)]
pub struct KillSwitchStatus {
    /// In `PostgreSQL`.
    pub database: Result<KillSwitchState, String>,
    /// In Redis.
    pub redis: Result<KillSwitchState, String>,
    /// At each replica of the discord-proxy.
    pub replicas: Vec<ReplicaState>,
    /// Steps that have not succeeded, each as a text for an operator: sessions that have not ended, permissions to sign that are not revoked or
    /// restored, an end without a proof by the present credential. The workers repeat them.
    pub pending: Vec<&'static str>,
    /// Faults that the workers do not repair, each as a text for an operator, such as an end without a valid proof.
    pub problems: Vec<&'static str>,
}

impl KillSwitchStatus {
    /// Whether the kill switch of the platform is on: the newest entry counts. An end in Redis does not.
    #[must_use]
    pub fn is_on(&self) -> bool {
        merged(&self.database, &self.redis, &self.replicas).is_on(KillSwitchScope::Platform)
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
    /// Reads the state in `PostgreSQL`, in Redis and at each replica at the same time, each within four seconds.
    pub async fn status(&self) -> KillSwitchStatus {
        let limit = STEP_LIMIT;
        let (database, steps, proof, redis, unreadable, replicas) = tokio::join!(
            self.read_database(limit),
            self.read_steps(limit),
            self.read_end_proof(limit),
            self.read_redis(limit),
            tokio::time::timeout(limit, self.cache.unreadable_kill_switches()),
            self.read_proxies(limit)
        );
        let redis = match unreadable {
            Ok(Ok(scopes)) if !scopes.is_empty() => Err(format!(
                "the entries of {} cannot be read, or their versions are far in the future; a worker removes them",
                scopes.join(", ")
            )),
            _ => redis,
        };
        let mut status = KillSwitchStatus {
            database,
            redis,
            replicas,
            pending: Vec::new(),
            problems: Vec::new(),
        };
        status.pending = self.pending(&steps.unwrap_or_default(), status.is_on());
        match proof {
            Some(EndProof::Previous) => status.pending.push(PROVEN_BY_PREVIOUS),
            Some(EndProof::Invalid) => status.problems.push(NO_VALID_PROOF),
            Some(EndProof::NoEnd | EndProof::Present) | None => {}
        }
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

#[cfg(test)]
mod tests {
    use arrakis_security::kill_switch::KillSwitch;

    use super::*;

    fn state(is_on: bool, version: u64) -> KillSwitchState {
        let scope = KillSwitchScope::Platform;
        let (by, reason) = (String::new(), String::new());
        KillSwitchState::from(vec![KillSwitch {
            scope,
            is_on,
            version,
            by,
            reason,
        }])
    }

    #[test]
    fn end_in_redis_alone_does_not_hide_a_kill_switch_that_is_on() {
        let status = |database, redis| KillSwitchStatus {
            database: Ok(database),
            redis: Ok(redis),
            replicas: Vec::new(),
            pending: Vec::new(),
            problems: Vec::new(),
        };
        assert!(status(state(true, 5), state(false, 6)).is_on());
        assert!(status(state(false, 5), state(true, 6)).is_on());
        assert!(!status(state(false, 6), state(true, 5)).is_on());
    }
}
