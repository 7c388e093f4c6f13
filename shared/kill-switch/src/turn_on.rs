//! Turns the kill switch on.
//!
//! The steps run at the same time, each within its own limit, so that a place that hangs delays no other one.

use arrakis_db::{Actor, StepState};
use arrakis_security::kill_switch::{KillSwitch, KillSwitchScope};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::control::{KillSwitchControl, SESSIONS, SIGNING, STEP_LIMIT, entry};
use crate::report::{Clock, Report, Step, StepDone};
use crate::webhook::{Notice, plain};

impl KillSwitchControl {
    /// Turns the kill switch on everywhere. The report states what failed; the workers repeat that until it succeeds, except the notice.
    ///
    /// Where it is on already, all steps are done again for a new entry, so that a second command is no weaker than the first one. The report has the
    /// time, the name and the reason of the entry that was on.
    pub async fn turn_on(&self, actor: Actor, reason: &str) -> Report {
        let clock = Clock::start();
        let by = name_of(&actor);
        let present = Box::pin(self.present()).await;
        let version = present.as_ref().map_or(0, |present| present.version);
        let switch = KillSwitch::changed(KillSwitchScope::Platform, true, version, &by, reason);
        let was_on = present
            .filter(|present| present.is_on)
            .map(|present| clock.step("kill switch", StepDone::done(was_on_already(&present))));
        tracing::warn!(by, reason, version = switch.version, "the kill switch is turned on");
        let steps: Vec<BoxFuture<'_, Vec<Step>>> = vec![
            self.write_proxies(clock, &switch).boxed(),
            clock.boxed("Redis", STEP_LIMIT, self.write_redis(&switch)),
            clock.boxed("PostgreSQL and audit log", STEP_LIMIT, self.store(&switch, actor)),
            clock.boxed(SESSIONS, STEP_LIMIT, self.revoke_sessions()),
            clock.boxed(SIGNING, STEP_LIMIT, self.revoke_signing()),
        ];
        let mut report = Report::new(switch.version, was_on);
        report.add(join_all(steps).await.into_iter().flatten());
        self.mark_done(&report, StepState::Revoked).await;
        let notice = Notice {
            title: "Arrakis: the kill switch is on",
            is_alarm: true,
            by: &by,
            reason,
        };
        self.notify(clock, notice, &mut report).await;
        report
    }

    async fn store(&self, switch: &KillSwitch, actor: Actor) -> Result<StepDone, String> {
        let Some(database) = &self.database else {
            return Err("PostgreSQL is unavailable; a worker stores the entry later".to_owned());
        };
        let store = async {
            let mut tx = database.global().await?;
            tx.kill_switches().append(switch, None).await?;
            tx.audit(&entry(actor, "kill_switch.on", Some(&switch.reason))).await?;
            tx.commit().await
        };
        match store.await {
            Ok(()) => StepDone::done("stored"),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// What was on before a second command, for the report.
fn was_on_already(present: &KillSwitch) -> String {
    let since = OffsetDateTime::from_unix_timestamp_nanos(i128::from(present.version) * 1_000_000).ok();
    let since = since.and_then(|at| at.replace_nanosecond(0).ok()?.format(&Rfc3339).ok());
    format!(
        "was on already, since {}, by {}: {}",
        since.as_deref().unwrap_or("an unknown time"),
        plain(&present.by),
        plain(&present.reason)
    )
}

fn name_of(actor: &Actor) -> String {
    match actor {
        Actor::Member(user) => user.to_string(),
        Actor::Operator(name) | Actor::System(name) => name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_command_reports_when_by_whom_and_why_it_was_turned_on() {
        let present = KillSwitch {
            scope: KillSwitchScope::Platform,
            is_on: true,
            version: 1_790_000_000_123,
            by: "stilgar".to_owned(),
            reason: "a leaked token".to_owned(),
        };
        assert_eq!(
            was_on_already(&present),
            "was on already, since 2026-09-21T14:13:20Z, by `stilgar`: `a leaked token`"
        );
    }
}
