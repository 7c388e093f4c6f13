//! What the subcommands of `kill-switch` print.

use std::process::ExitCode;

use arrakis_kill_switch::{KillSwitchStatus, Report};
use arrakis_security::kill_switch::{KillSwitchScope, KillSwitchState};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::super::output::{print, print_json, printable, report, time_text};

/// What an operator does next.
pub(super) struct NextSteps {
    /// After a step failed.
    pub(super) failed: &'static str,
    /// In any case.
    pub(super) next: &'static str,
}

/// What to do after a step of `on` or `off` failed.
pub(super) const FAILED: &str = "a step FAILED: the workers repeat the writes, the end of the sessions and the permissions to sign until they \
                                 succeed, and `arrakis-worker kill-switch status` lists what is pending; stop a discord-proxy whose step FAILED";

/// Prints the steps, and the next step of the operator.
pub(super) fn print_report(result: &Report, as_json: bool, steps: &NextSteps) -> anyhow::Result<ExitCode> {
    if as_json {
        print_json(result)?;
    } else {
        // The text has lines of its own; only what others wrote is escaped.
        for step in &result.steps {
            print(printable(&step.to_string()))?;
        }
        if !result.is_complete() {
            report(steps.failed);
        }
        report(steps.next);
    }
    Ok(exit_code(result.is_complete()))
}

/// Prints the state at every place. `revokes_signing`: the permissions to sign follow the kill switch.
pub(super) fn print_status(
    status: &KillSwitchStatus,
    revokes_signing: bool,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let (is_on, is_consistent) = (status.is_on(), status.is_consistent());
    let signing = signing(status, revokes_signing);
    let mut places = vec![
        ("PostgreSQL".to_owned(), &status.database),
        ("Redis".to_owned(), &status.redis),
    ];
    for replica in &status.replicas {
        places.push((format!("discord-proxy {}", replica.address), &replica.state));
    }
    if as_json {
        let places: Vec<Value> = places.iter().map(|(name, state)| place_json(name, state)).collect();
        print_json(&json!({
            "is_on": is_on, "is_consistent": is_consistent, "pending": status.pending, "problems": status.problems, "places": places, "permissions_to_sign": signing,
        }))?;
    } else {
        print(if is_on {
            "the kill switch is ON"
        } else {
            "the kill switch is off"
        })?;
        for (name, state) in places {
            print(format_args!("{name}: {}", printable(&describe(state))))?;
        }
        print(format_args!("permissions to sign: {signing}"))?;
        for pending in &status.pending {
            print(format_args!("pending: {pending}; the workers repeat it"))?;
        }
        for problem in &status.problems {
            print(format_args!("problem: {problem}"))?;
        }
    }
    // A worker removes what cannot be read; while it is there, Redis confirms nothing.
    let is_settled = status.pending.is_empty() && status.problems.is_empty() && status.redis.is_ok();
    Ok(exit_code(!is_on && is_consistent && is_settled))
}

fn signing(status: &KillSwitchStatus, revokes_signing: bool) -> &'static str {
    let is_pending = status.pending.iter().any(|step| step.contains("permissions to sign"));
    match (status.is_on(), is_pending) {
        _ if !revokes_signing => "not changed by the kill switch: VAULT_SIGNING_POLICIES is not set",
        _ if status.database.is_err() => "no state: PostgreSQL has it",
        (true, true) => "not revoked",
        (true, false) => "revoked",
        (false, true) => "not restored",
        (false, false) => "in effect",
    }
}

/// Ids of the frozen servers.
fn frozen(state: &KillSwitchState) -> Vec<String> {
    let switches = state.switches().filter(|switch| switch.is_on);
    let servers = switches.filter_map(|switch| match switch.scope {
        KillSwitchScope::Platform => None,
        KillSwitchScope::Community(server) => Some(server.to_string()),
    });
    servers.collect()
}

/// The time of a version: the milliseconds since 1970.
fn since(version: u64) -> Option<String> {
    let seconds = i64::try_from(version / 1_000).ok()?;
    OffsetDateTime::from_unix_timestamp(seconds).ok().map(time_text)
}

fn place_json(name: &str, state: &Result<KillSwitchState, String>) -> Value {
    match state {
        Ok(state) => {
            let platform = state.get(KillSwitchScope::Platform);
            let since = platform
                .filter(|switch| switch.is_on)
                .and_then(|switch| since(switch.version));
            json!({
                "place": name, "platform": platform, "since": since, "frozen": state.frozen(), "frozen_servers": frozen(state),
            })
        }
        Err(error) => json!({"place": name, "error": error}),
    }
}

fn describe(state: &Result<KillSwitchState, String>) -> String {
    let state = match state {
        Ok(state) => state,
        Err(error) => return format!("no state: {error}"),
    };
    let platform = match state.get(KillSwitchScope::Platform) {
        Some(switch) if switch.is_on => {
            let since = since(switch.version).map_or_else(String::new, |since| format!(" since {since}"));
            format!("on{since}, by {} ({})", switch.by, switch.reason)
        }
        Some(_) => "off".to_owned(),
        None => "never on".to_owned(),
    };
    let servers = frozen(state);
    match servers.is_empty() {
        true => format!("{platform}; no community is frozen"),
        false => format!("{platform}; frozen servers: {}", servers.join(", ")),
    }
}

fn exit_code(is_success: bool) -> ExitCode {
    if is_success {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[cfg(test)]
mod tests {
    use arrakis_security::kill_switch::KillSwitch;

    use super::*;

    #[test]
    fn state_names_time_person_reason_and_frozen_servers() {
        let entry = |scope, by: &str, reason: &str| KillSwitch {
            scope,
            is_on: true,
            version: 1_796_148_841_763,
            by: by.to_owned(),
            reason: reason.to_owned(),
        };
        let state = KillSwitchState::from(vec![
            entry(KillSwitchScope::Platform, "stilgar", "a leaked token"),
            entry(KillSwitchScope::Community(41), "", ""),
            entry(KillSwitchScope::Community(42), "", ""),
        ]);
        assert_eq!(
            describe(&Ok(state)),
            "on since 2026-12-01T18:14:01Z, by stilgar (a leaked token); frozen servers: 41, 42"
        );
        assert_eq!(
            describe(&Ok(KillSwitchState::default())),
            "never on; no community is frozen"
        );
    }
}
