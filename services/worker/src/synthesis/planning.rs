//! The plan for a server: read it, adopt what exists under the theme's names, compare, and check whether Discord would refuse it.

use std::collections::BTreeSet;

use arrakis_domain::Theme;
use arrakis_iac::import;
use arrakis_iac::live::LiveServer;
use arrakis_iac::model::{Address, Configuration, Kind, Snowflake};
use arrakis_iac::plan::{self, Finding, Options, Plan, Step};
use arrakis_iac::state::State;
use arrakis_iac_apply::http::CallError;
use arrakis_iac_apply::{ApplyError, ReadError, read};
use arrakis_runtime::fail_point;
use serde_json::Value;

use super::left_out::LeftOut;
use super::step_texts::{duplicate_channels, step_texts};
use super::{Manifest, ServerClient};
use crate::failure::Failure;

/// Findings that an error names.
const MAX_NAMED: usize = 3;

/// A plan with what it was made from.
#[derive(Debug)]
pub(crate) struct PlannedServer {
    /// The plan.
    pub(crate) plan: Plan,
    /// What preflight found.
    pub(crate) findings: Vec<Finding>,
    /// The server.
    pub(crate) live: LiveServer,
    /// The state, with the resources that were adopted.
    pub(crate) state: State,
    /// Whether resources were adopted or forgotten, which is not stored yet.
    pub(crate) state_changed: bool,
    /// What is not part of the plan.
    pub(crate) left_out: LeftOut,
}

impl PlannedServer {
    /// Whether the server is as the manifest has it.
    pub(crate) fn is_empty(&self) -> bool {
        self.plan.steps.iter().all(|step| !step.is_request())
    }

    /// The steps, one line each: as many as the apply counts.
    pub(crate) fn step_texts(&self) -> Vec<String> {
        step_texts(&self.plan.steps, &self.plan.changes)
    }

    /// A warning for each channel that is created although the server has one of its name.
    pub(crate) fn duplicate_channels(&self) -> Vec<String> {
        duplicate_channels(&self.plan.steps, &self.plan.changes, &self.state, &self.live)
    }

    /// The findings that prevent the plan.
    pub(crate) fn blocking(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.blocking)
    }

    /// Refuses a plan that cannot succeed, or that deletes something.
    ///
    /// # Errors
    /// [`Failure::Permanent`] with the reasons.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let deleted = self.plan.steps.iter().find_map(|step| match step {
            Step::Delete { address, .. } => Some(address),
            _ => None,
        });
        if let Some(address) = deleted {
            return Err(Failure::permanent(format!(
                "the plan deletes {address}: deletions of roles and channels need a second factor"
            )));
        }
        let blocking: Vec<String> = self
            .blocking()
            .take(MAX_NAMED)
            .map(|finding| format!("{}; {}", finding.what, finding.what_to_do))
            .collect();
        if blocking.is_empty() {
            return Ok(());
        }
        Err(Failure::permanent(format!(
            "the plan cannot succeed: {}",
            blocking.join(". ")
        )))
    }
}

/// Makes the plan that brings a server to its manifest. `state` is the stored one; `lineage` names a new one.
///
/// # Errors
/// If the server cannot be read, or the stored state is invalid.
pub(crate) async fn plan_server(
    client: &ServerClient,
    guild: u64,
    manifest: &Manifest,
    theme: &Theme,
    state: Option<&Value>,
    lineage: &str,
) -> Result<PlannedServer, Failure> {
    let state = read_state(state, lineage)?;
    let guild = Snowflake::new(guild).ok_or_else(|| Failure::permanent("the server's id is 0"))?;
    // Roles, categories and channels are always read.
    let kinds: BTreeSet<Kind> = state
        .resources
        .keys()
        .chain(state.pending.keys())
        .map(Address::kind)
        .collect();
    let live = read(&client.discord, guild, &kinds).await.map_err(read_failure)?;
    plan_for(live, manifest, theme, state)
}

/// Makes the plan that brings a server, as it was read, to a manifest.
///
/// # Errors
/// If the stored state is invalid.
pub(crate) fn plan_live(
    live: LiveServer,
    manifest: &Manifest,
    theme: &Theme,
    state: Option<&Value>,
    lineage: &str,
) -> Result<PlannedServer, Failure> {
    plan_for(live, manifest, theme, read_state(state, lineage)?)
}

fn read_state(state: Option<&Value>, lineage: &str) -> Result<State, Failure> {
    match state {
        Some(stored) => State::from_bytes(stored.to_string().as_bytes())
            .map_err(|error| Failure::permanent(format!("the state of the server is invalid: {error}"))),
        None => Ok(State::new(lineage)),
    }
}

fn plan_for(live: LiveServer, manifest: &Manifest, theme: &Theme, mut state: State) -> Result<PlannedServer, Failure> {
    let mut configuration = manifest.configuration(theme, &live);
    let forgotten = forget_unconfigured(&mut state, &configuration);
    let adopted = adopt(&mut state, &configuration, &live);
    state
        .check_ids()
        .map_err(|error| Failure::permanent(format!("the state of the server is invalid: {error}")))?;
    let (mut plan, mut findings) = plan_and_check(&configuration, &state, &live)?;
    let mut left_out = LeftOut::default();
    if let Some(blocked) = LeftOut::of(&mut configuration, &mut state, &findings) {
        left_out = blocked;
        (plan, findings) = plan_and_check(&configuration, &state, &live)?;
    }
    Ok(PlannedServer {
        plan,
        findings,
        live,
        state,
        state_changed: forgotten || adopted,
        left_out,
    })
}

fn plan_and_check(
    configuration: &Configuration,
    state: &State,
    live: &LiveServer,
) -> Result<(Plan, Vec<Finding>), Failure> {
    let plan = plan::plan(configuration, state, live, &Options::default()).map_err(Failure::permanent)?;
    let findings = plan::preflight(&plan, live, state);
    Ok((plan, findings))
}

/// Removes what the manifest no longer has from the state, so that it stays on the server. A plan would delete it.
fn forget_unconfigured(state: &mut State, configuration: &Configuration) -> bool {
    let gone: Vec<Address> = state
        .resources
        .keys()
        .filter(|address| configuration.get(address).is_none())
        .cloned()
        .collect();
    for address in &gone {
        state.forget(address);
    }
    !gone.is_empty()
}

/// Adopts roles and channels of the server that have the names of configured ones, so that a second one is not created. A creation with an
/// unknown outcome is left to the engine, which searches for its result.
fn adopt(state: &mut State, configuration: &Configuration, live: &LiveServer) -> bool {
    if fail_point::skips("worker.guard.synthesis") {
        return false;
    }
    let mut adopted = false;
    for (address, id) in import::matches(configuration, state, live).found {
        if state.pending.contains_key(&address) {
            continue;
        }
        match import::import(&address, id, Some(configuration), state, live) {
            Ok(()) => adopted = true,
            Err(error) => tracing::warn!(%address, %error, "a resource of the server is not adopted"),
        }
    }
    adopted
}

/// The failure of reading a server.
pub(crate) fn read_failure(error: ReadError) -> Failure {
    match &error {
        // With its type, by which a backup notices that the bot has left.
        ReadError::NoServer(_) => Failure::Permanent(error.into()),
        ReadError::Forbidden { .. } | ReadError::Unreadable(_) => Failure::permanent(error),
        ReadError::Call(call) => call_failure(call, &error),
    }
}

/// The failure of an apply. Completed steps are in the state, so a retry continues behind them.
pub(crate) fn apply_failure(error: &ApplyError) -> Failure {
    match error {
        ApplyError::Call { source, .. } => call_failure(source, error),
        ApplyError::Unclear { .. } | ApplyError::Form { .. } => Failure::permanent(error),
        // The next attempt reads and plans again.
        ApplyError::Search { .. } | ApplyError::State { .. } | ApplyError::Lineage { .. } | ApplyError::Store(_) => {
            Failure::retry(error)
        }
    }
}

/// The failure of a call.
pub(crate) fn call_failure(call: &CallError, error: &dyn std::fmt::Display) -> Failure {
    match call {
        // Something was deleted by hand since the server was read: the next attempt plans again.
        CallError::Refused { .. } if call.is_gone() => Failure::retry(error),
        CallError::Refused { .. } | CallError::Denied { .. } => Failure::permanent(error),
        _ => Failure::retry(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: u64) -> ApplyError {
        ApplyError::Call {
            step: "create channel.gold-lounge".to_owned(),
            source: CallError::Refused {
                call: "POST /guilds/1/channels".to_owned(),
                status,
                code,
                message: String::new(),
                fields: Vec::new(),
            },
        }
    }

    #[test]
    fn plan_is_made_again_after_a_deletion_by_hand_and_not_after_a_refusal() {
        assert_eq!(apply_failure(&refused(404, 10_011)).class(), "retry");
        assert_eq!(apply_failure(&refused(403, 50_013)).class(), "permanent");
    }
}
