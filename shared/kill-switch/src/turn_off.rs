//! Turns the kill switch off: the second factor is checked and the entry stored in one transaction of PostgreSQL, and only then the places receive
//! it.

use arrakis_db::mfa::{self, MfaOutcome};
use arrakis_db::{Actor, Database, DbError, StepState, UserId};
use arrakis_security::kill_switch::{EndKey, KillSwitch, KillSwitchScope, KillSwitchState};
use arrakis_security::mfa::{ProtectedOperation, SecretCipher};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use time::OffsetDateTime;

use crate::control::{KillSwitchControl, SIGNING, STEP_LIMIT, entry};
use crate::report::{Clock, Report, Step, StepDone};
use crate::webhook::Notice;

/// A request to turn the kill switch off.
#[derive(Debug, Clone, Copy)]
pub struct TurnOff<'a> {
    /// The Discord user who turns it off.
    pub user: UserId,
    /// A code of the user's second factor.
    pub code: &'a str,
    /// Why.
    pub reason: &'a str,
}

/// Why the kill switch was not turned off.
#[derive(Debug, thiserror::Error)]
pub enum TurnOffError {
    /// The user is not one of `KILL_SWITCH_OPERATORS`.
    #[error("the user {0} may not turn the kill switch off: KILL_SWITCH_OPERATORS does not contain the id")]
    NotPermitted(UserId),
    /// `MFA_ENCRYPTION_KEY` is not set: codes cannot be checked.
    #[error("MFA_ENCRYPTION_KEY is not set: no code can be checked, so the kill switch stays on")]
    NoSecondFactors,
    /// `KILL_SWITCH_CREDENTIAL` is not set. It proves the end in `PostgreSQL`, and an end without a proof does not count.
    #[error("KILL_SWITCH_CREDENTIAL is not set: without it no end counts, so the kill switch stays on")]
    NoCredential,
    /// Another command turned it on at the same time.
    #[error("the kill switch was turned on again meanwhile, by {by} ({reason}): it stays on")]
    TurnedOnAgain {
        /// Who turned it on.
        by: String,
        /// Why.
        reason: String,
    },
    /// Another command turned it off at the same time.
    #[error("the kill switch was turned off meanwhile, by {by}: this command has changed nothing")]
    TurnedOffMeanwhile {
        /// Who turned it off.
        by: String,
        /// Version of that end.
        version: u64,
    },
    /// The code was not accepted.
    #[error("{}", describe(.0))]
    Refused(MfaOutcome),
    /// There is no connection to `PostgreSQL`.
    #[error("PostgreSQL is unavailable, so no code can be checked, and the kill switch stays on")]
    NoDatabase,
    /// A statement of `PostgreSQL` failed.
    #[error("the kill switch stays on: {0}")]
    Database(#[from] DbError),
}

fn describe(outcome: &MfaOutcome) -> String {
    match outcome {
        MfaOutcome::Accepted => "the code was accepted".to_owned(),
        MfaOutcome::NotEnrolled => "the user has no second factor; the kill switch stays on".to_owned(),
        MfaOutcome::Wrong { attempts_left } => {
            format!("the code is wrong ({attempts_left} attempts are left); the kill switch stays on")
        }
        MfaOutcome::Replayed => "the code was used before; wait for the next one; the kill switch stays on".to_owned(),
        MfaOutcome::Throttled { until } => {
            format!("too many codes were wrong: none is checked before {until}; the kill switch stays on")
        }
    }
}

impl KillSwitchControl {
    /// Turns the kill switch off. Needs a valid second-factor code of a user listed in `KILL_SWITCH_OPERATORS`.
    ///
    /// # Errors
    /// The user or the code is refused, a variable is missing, `PostgreSQL` is unavailable, or another command turned it off or on at the same time.
    /// Then the kill switch is as it was; a code that was checked counts as an attempt. A proxy or a Redis that cannot be written is no error: the
    /// report has the failed step.
    pub async fn turn_off(&self, cipher: Option<&SecretCipher>, request: TurnOff<'_>) -> Result<Report, TurnOffError> {
        let clock = Clock::start();
        let database = self.database.as_ref().ok_or(TurnOffError::NoDatabase)?;
        let cipher = cipher.ok_or(TurnOffError::NoSecondFactors)?;
        let key = self.key.as_ref().ok_or(TurnOffError::NoCredential)?;
        let (present, stored) = tokio::join!(self.present(), self.read_database(STEP_LIMIT));
        let present = present.map_or(0, |present| present.version);
        // A database that responds slowly has the version, too.
        let stored = stored.map_or(0, |state| state.version(KillSwitchScope::Platform));
        let present = present.max(stored);
        let switch = Box::pin(self.store_end(database, (cipher, key), present, request)).await?;
        tracing::warn!(
            by = switch.by,
            reason = switch.reason,
            version = switch.version,
            "the kill switch is turned off"
        );
        let stored = clock.step("PostgreSQL and audit log", StepDone::done("stored"));
        let mut report = Report::new(switch.version, [stored]);
        let steps: Vec<BoxFuture<'_, Vec<Step>>> = vec![
            self.write_proxies(clock, &switch).boxed(),
            clock.boxed("Redis", STEP_LIMIT, self.write_redis(&switch)),
        ];
        report.add(join_all(steps).await.into_iter().flatten());
        // After the others: a replica that has a newer entry shows that it is on again.
        report.add([clock.run(SIGNING, STEP_LIMIT, self.restore_while_off()).await]);
        self.mark_done(&report, StepState::Restored).await;
        let notice = Notice {
            title: "Arrakis: the kill switch is off",
            is_alarm: false,
            by: &switch.by,
            reason: request.reason,
        };
        self.notify(clock, notice, &mut report).await;
        Ok(report)
    }

    /// Restores the permissions to sign, unless the kill switch was turned on again since the end was stored. Where that happens at the same time,
    /// they are revoked once more: whichever of the two requests reaches the signing service last, the permissions follow the kill switch.
    async fn restore_while_off(&self) -> Result<StepDone, String> {
        let stays = || Err("the kill switch was turned on again meanwhile: they stay revoked".to_owned());
        if self.signing.is_some() && self.is_on().await {
            return stays();
        }
        let restored = self.restore_signing().await?;
        if self.signing.is_some() && self.is_on().await {
            self.revoke_signing().await?;
            return stays();
        }
        Ok(restored)
    }

    async fn is_on(&self) -> bool {
        let present = Box::pin(self.present()).await;
        present.is_some_and(|present| present.is_on)
    }

    /// Checks the code and stores the entry, in one transaction.
    async fn store_end(
        &self,
        database: &Database,
        (cipher, key): (&SecretCipher, &EndKey),
        present: u64,
        request: TurnOff<'_>,
    ) -> Result<KillSwitch, TurnOffError> {
        let TurnOff { user, code, reason } = request;
        let mut tx = database.global().await?;
        if !self.operators.contains(&user.get()) {
            tx.audit(&entry(Actor::Member(user), "kill_switch.off_refused", Some(reason)))
                .await?;
            tx.commit().await?;
            return Err(TurnOffError::NotPermitted(user));
        }
        require_present(&tx.kill_switches().list(Some(key)).await?, present)?;
        let operation = ProtectedOperation::KillSwitchOff;
        let outcome = mfa::verify(&mut tx, cipher, user, code, operation, OffsetDateTime::now_utc()).await?;
        if outcome != MfaOutcome::Accepted {
            // A failure that is rolled back would not be counted.
            tx.commit().await?;
            return Err(TurnOffError::Refused(outcome));
        }
        // The check may have waited for another one of this user, and the kill switch was changed meanwhile.
        if let Err(changed) = require_present(&tx.kill_switches().list(Some(key)).await?, present) {
            // The code is used up.
            tx.commit().await?;
            return Err(changed);
        }
        // One more than what was on when the request began: a kill switch that is turned on meanwhile has a higher version, and stays on.
        let switch = KillSwitch::ended(KillSwitchScope::Platform, present, &user.to_string(), reason);
        tx.kill_switches().append(&switch, Some(key)).await?;
        tx.audit(&entry(Actor::Member(user), "kill_switch.off", Some(reason)))
            .await?;
        tx.commit().await?;
        Ok(switch)
    }
}

/// Refuses to end another entry than the one that was read when the request began.
fn require_present(stored: &KillSwitchState, present: u64) -> Result<(), TurnOffError> {
    let newer = stored.get(KillSwitchScope::Platform);
    match newer.filter(|entry| entry.version > present) {
        None => Ok(()),
        Some(on) if on.is_on => Err(TurnOffError::TurnedOnAgain {
            by: on.by.clone(),
            reason: on.reason.clone(),
        }),
        Some(end) => Err(TurnOffError::TurnedOffMeanwhile {
            by: end.by.clone(),
            version: end.version,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_command_that_was_first_is_named_by_what_it_did() {
        let state = |is_on| {
            KillSwitchState::from(vec![KillSwitch {
                scope: KillSwitchScope::Platform,
                is_on,
                version: 7,
                by: "stilgar".to_owned(),
                reason: "a leaked token".to_owned(),
            }])
        };
        let on = require_present(&state(true), 6).unwrap_err();
        assert!(matches!(on, TurnOffError::TurnedOnAgain { .. }), "{on}");
        let off = require_present(&state(false), 6).unwrap_err();
        assert!(
            matches!(off, TurnOffError::TurnedOffMeanwhile { version: 7, .. }),
            "{off}"
        );
        for (stored, present) in [(state(true), 7), (state(false), 7), (KillSwitchState::default(), 0)] {
            assert!(require_present(&stored, present).is_ok());
        }
    }
}
