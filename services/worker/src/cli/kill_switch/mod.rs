//! `arrakis-worker kill-switch on|off|status|drill`: emergencies.
//!
//! `on` needs the discord-proxies and nothing else: while PostgreSQL or Redis is unavailable it states so, and continues. `off` needs PostgreSQL,
//! and a code of the second factor of a user in `KILL_SWITCH_OPERATORS`.

mod config;
mod print;

use std::process::ExitCode;

use arrakis_causes::causes;
use arrakis_config::Secret;
use arrakis_db::mfa::MfaOutcome;
use arrakis_db::{Actor, GuildId, UserId};
use arrakis_kill_switch::{KillSwitchStatus, Report, StepOutcome, TurnOff, TurnOffError};
use arrakis_security::kill_switch::KillSwitchScope;
use clap::{Args, Subcommand};
use serde_json::json;

use self::config::{CommandConfig, EmergencyConfig};
use self::print::{FAILED, NextSteps, print_report, print_status};
use super::codes::{read_code, require_form};
use super::database::community_of;
use super::output::{print_json, report, time_text};
use super::{invalid, run_loaded, with_config};
use crate::render::text::count;

const AFTER_ON: NextSteps = NextSteps {
    failed: FAILED,
    next: "next: `arrakis-worker kill-switch status`, then section 2 of docs/runbooks/incident.md",
};
const AFTER_OFF: NextSteps = NextSteps {
    failed: FAILED,
    next: "next: `arrakis-worker kill-switch status` has exit code 0 when it is off everywhere",
};
const AFTER_DRILL: NextSteps = NextSteps {
    failed: "a step FAILED: it would fail in an emergency, too; correct it, and drill again",
    next: "next: record date, result and the slowest step",
};

/// The subcommands of `kill-switch`.
#[derive(Debug, Subcommand)]
pub(super) enum KillSwitchTask {
    /// Stops every write to Discord, ends all sessions and revokes the permissions to sign, within five seconds
    ///
    /// Works while PostgreSQL or Redis is unavailable, and where a variable of either or of the signing service is invalid. Exit code 1: a step
    /// failed, which the workers repeat until it succeeds, or a variable is invalid.
    On(On),
    /// Ends the kill switch, with a code of your second factor
    Off(Off),
    /// Prints the state in PostgreSQL, in Redis and at each discord-proxy; exit code 1 while it is on, a replica differs or does not respond,
    /// Redis has no readable state, or what follows has not succeeded
    Status {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Freezes a test server, measures every step, and ends the freeze
    ///
    /// Exit code 1: a step failed, or took longer than five seconds.
    Drill(Drill),
}

#[derive(Debug, Args)]
pub(super) struct On {
    /// Why
    #[arg(long, value_name = "WHY")]
    reason: String,
    /// Who you are, for the audit log
    #[arg(long, value_name = "NAME")]
    by: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Off {
    /// Your Discord user id
    #[arg(long, value_name = "USER_ID")]
    user: UserId,
    /// Why
    #[arg(long, value_name = "WHY")]
    reason: String,
    /// Code of your second factor; without it, the command reads it from standard input
    #[arg(long, value_name = "CODE")]
    mfa: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Drill {
    /// Id of a Discord server for tests, which has a community
    #[arg(value_name = "SERVER_ID")]
    guild: GuildId,
    /// Who you are, for the audit log
    #[arg(long, value_name = "NAME")]
    by: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl KillSwitchTask {
    pub(super) fn run(self) -> ExitCode {
        match self {
            Self::On(task) => in_emergency(|config| task.run(config)),
            Self::Off(task) => with_config(CommandConfig::read_for_off, |config| task.run(config)),
            Self::Status { json } => in_emergency(move |config| status(config, json)),
            Self::Drill(task) => with_config(CommandConfig::read_for_drill, |(config, credential)| {
                task.run(config, credential)
            }),
        }
    }
}

/// Runs a task that continues where a variable has a problem, as far as it can.
fn in_emergency<F>(task: impl FnOnce(EmergencyConfig) -> F) -> ExitCode
where
    F: Future<Output = anyhow::Result<ExitCode>>,
{
    match EmergencyConfig::load() {
        Ok(loaded) => run_loaded(loaded, task),
        Err(errors) => invalid(&errors),
    }
}

impl On {
    async fn run(self, emergency: EmergencyConfig) -> anyhow::Result<ExitCode> {
        let config = &emergency.config;
        let database = config.database_soon().await;
        let (revoker, mut no_revoker) = match config.revoker() {
            Ok(revoker) => (revoker, None),
            Err(error) => (None, Some(causes(error.as_ref()))),
        };
        if emergency.lacks_revoker() {
            no_revoker = Some("a variable of the signing service has a problem".to_owned());
        }
        let control = config.control(database, revoker)?;
        let mut result = Box::pin(control.turn_on(Actor::Operator(self.by), &self.reason)).await;
        if !config.has_database() {
            let detail = "this command has no DATABASE_URL; a worker stores the entry later";
            fail_step(&mut result, "PostgreSQL and audit log", detail);
        }
        if let Some(reason) = no_revoker {
            fail_step(&mut result, "permissions to sign", &reason);
        }
        let exit = print_report(&result, self.json, &AFTER_ON)?;
        Ok(complain(&emergency, exit))
    }
}

/// States for a step why this command could not do it.
fn fail_step(report: &mut Report, name: &str, detail: &str) {
    for step in report.steps.iter_mut().filter(|step| step.name == name) {
        step.outcome = StepOutcome::Failed;
        detail.clone_into(&mut step.detail);
    }
}

/// Reports the variables that were left out. The exit code is 1 then.
fn complain(emergency: &EmergencyConfig, exit: ExitCode) -> ExitCode {
    let Some(problems) = &emergency.problems else {
        return exit;
    };
    report(problems);
    report("the command has continued without these variables");
    ExitCode::FAILURE
}

impl Off {
    async fn run(self, config: CommandConfig) -> anyhow::Result<ExitCode> {
        let database = config.database().await?;
        let control = config.control(Some(database), config.revoker()?)?;
        let status = Box::pin(control.status()).await;
        if is_off_everywhere(&status) {
            report("the kill switch is off already: no code is needed, and nothing was changed");
            return self.unchanged(version(&status));
        }
        let code = match &self.mfa {
            Some(code) => code.clone(),
            None => read_code("Code of your second factor:")?,
        };
        require_form(&code)?;
        let request = TurnOff {
            user: self.user,
            code: code.trim(),
            reason: &self.reason,
        };
        let ended = Box::pin(control.turn_off(config.cipher.as_ref(), request)).await;
        if let Err(error @ TurnOffError::TurnedOffMeanwhile { version, .. }) = &ended {
            report(error);
            return self.unchanged(*version);
        }
        match ended {
            Ok(result) => print_report(&result, self.json, &AFTER_OFF),
            Err(TurnOffError::Refused(outcome)) => Err(anyhow::Error::msg(refusal(outcome, self.user))),
            Err(error) => Err(error.into()),
        }
    }

    /// The kill switch is off, and not by this command.
    fn unchanged(&self, version: u64) -> anyhow::Result<ExitCode> {
        if self.json {
            print_json(&json!({"version": version, "steps": []}))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Whether there is nothing to end, and no step of an earlier end is left.
fn is_off_everywhere(status: &KillSwitchStatus) -> bool {
    !status.is_on() && status.is_consistent() && status.pending.is_empty() && status.database.is_ok()
}

/// The version of the entry in PostgreSQL; 0 without one.
fn version(status: &KillSwitchStatus) -> u64 {
    let state = status.database.as_ref();
    state.map_or(0, |state| state.version(KillSwitchScope::Platform))
}

/// Why a code was refused, and what else there is.
fn refusal(outcome: MfaOutcome, user: UserId) -> String {
    let others = format!(
        "Another user of KILL_SWITCH_OPERATORS can turn it off now; or `arrakis-worker mfa reset {user} --reason WHY --by NAME` and \
         `arrakis-worker mfa enrol {user} --by NAME` set up a second factor whose codes are checked at once"
    );
    match outcome {
        MfaOutcome::Throttled { until } => format!(
            "too many codes were wrong: none is checked before {}; the kill switch stays on. {others}",
            time_text(until)
        ),
        MfaOutcome::Wrong { attempts_left: 0 } => format!(
            "the code is wrong, and none is checked for a time: `arrakis-worker mfa status {user}` prints until when; the kill switch \
             stays on. {others}"
        ),
        MfaOutcome::Wrong { attempts_left } => format!(
            "the code is wrong ({} left); the kill switch stays on",
            count(attempts_left, "attempt is", "attempts are")
        ),
        outcome => TurnOffError::Refused(outcome).to_string(),
    }
}

impl Drill {
    async fn run(self, config: CommandConfig, credential: Secret) -> anyhow::Result<ExitCode> {
        let database = config.database().await?;
        let community = community_of(&database, self.guild).await?;
        let control = config.control(Some(database), config.revoker()?)?;
        let result = Box::pin(control.drill(community, self.guild, &credential, &self.by)).await?;
        print_report(&result, self.json, &AFTER_DRILL)
    }
}

async fn status(emergency: EmergencyConfig, as_json: bool) -> anyhow::Result<ExitCode> {
    let config = &emergency.config;
    // Only whether one is configured counts: no request is sent to the signing service.
    let revoker = config.revoker().unwrap_or_else(|error| {
        report(causes(error.as_ref()));
        None
    });
    let control = config.control(config.database_soon().await, revoker)?;
    let mut status = Box::pin(control.status()).await;
    if !config.has_database() {
        status.database = Err("this command has no DATABASE_URL".to_owned());
    }
    let exit = print_status(&status, config.revokes_signing(), as_json)?;
    Ok(complain(&emergency, exit))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn refusal_names_the_time_and_what_else_ends_the_kill_switch() {
        let user = UserId::new(7).unwrap();
        let until = datetime!(2026-12-01 18:34:01.763736 UTC);
        let text = refusal(MfaOutcome::Throttled { until }, user);
        assert!(text.contains("before 2026-12-01T18:34:01Z"), "{text}");
        assert!(text.contains("mfa reset 7") && text.contains("mfa enrol 7"), "{text}");
        let text = refusal(MfaOutcome::Wrong { attempts_left: 0 }, user);
        assert!(text.contains("mfa status 7"), "{text}");
        let text = refusal(MfaOutcome::Wrong { attempts_left: 1 }, user);
        assert!(text.contains("1 attempt is left"), "{text}");
        let text = refusal(MfaOutcome::NotEnrolled, user);
        assert!(text.contains("has no second factor"), "{text}");
    }
}
