//! The planner: the steps that bring a server to its configuration.
//!
//! Owns the comparison of configuration, state and live server, and every decision that follows from it. It uses no input,
//! output, clock or randomness: equal arguments give equal plans.
//!
//! Order of work: `known` refreshes the state and `lost` finds resources that an interrupted apply created, `changes`
//! decides on each resource, `steps` and `order` determine the requests, `overwrites` orders permission changes so that no
//! private channel is open meanwhile. [`preflight`] checks whether a plan can succeed.

mod altered;
mod changes;
mod compare;
mod document;
mod fit;
mod hidden;
mod known;
mod lost;
mod notes;
mod opening;
mod order;
mod overwrites;
mod preflight;
mod prune;
mod room;
mod rules;
mod scope;
mod simulate;
mod steps;
pub(crate) mod tags;

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::live::LiveServer;
use crate::model::{Address, Configuration, Kind, Snowflake};
use crate::state::State;

pub use crate::rules::{RULES, Rule, rules_table};
pub use altered::{AlteredValues, compare as compare_answer, compare_overwrites, overwrite_key};
pub use document::{
    Action, Change, ChangeReason, Counts, Drift, Mode, Plan, PlanFileError, PlanInputs, Reorder, ResourcePosition,
    Step, VERSION,
};
pub use known::held;
pub use lost::{CreationOutcome, LATEST_EFFECT_MS, find_duplicates, find_pending, ids_before};
pub use preflight::{Finding, absent_members, members, preflight, sent_images, unusable_images};
pub use simulate::{SimulationError, simulate};

use known::ManagedResources;
use scope::TargetScope;

/// Options of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The purpose.
    pub mode: Mode,
    /// The plan covers only these resources and those that they refer to; empty for all.
    pub targets: Vec<Address>,
    /// Whether replacements that delete messages are allowed.
    pub allow_replace: bool,
    /// Whether ids that do not exist on the server are ignored, with the resources that require them: for a copy of another
    /// server.
    pub drop_missing: bool,
}

/// A plan cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The state belongs to another server.
    #[error("the state belongs to server {state}, and the server that was read is {live}")]
    OtherServer {
        /// The server of the state.
        state: Snowflake,
        /// The server that was read.
        live: Snowflake,
    },
    /// The state or the configuration has resources of a kind that was not read from the server.
    #[error("the {} of the server were not read, and the configuration or the state has some", crate::grammar::plural(.0.noun()))]
    Unread(Kind),
    /// A target is neither in the configuration nor in the state.
    #[error("the target `{address}` is neither in the configuration nor in the state{}", nearest.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    UnknownTarget {
        /// The target.
        address: Address,
        /// The most similar known address.
        nearest: Option<Address>,
    },
}

/// The kinds in a configuration and a state: those that must be read from the server.
#[must_use]
pub fn kinds(configuration: &Configuration, state: &State) -> BTreeSet<Kind> {
    let configured = configuration.resources.keys();
    let managed = state.resources.keys().chain(state.pending.keys());
    configured.chain(managed).map(Address::kind).collect()
}

/// Makes a plan. Deterministic: equal arguments give equal plans.
///
/// In [`Mode::Destroy`] and [`Mode::RefreshOnly`] the configuration is ignored.
///
/// # Errors
/// See [`PlanError`].
pub fn plan(
    configuration: &Configuration,
    state: &State,
    live: &LiveServer,
    options: &Options,
) -> Result<Plan, PlanError> {
    if let Some(guild) = state.guild_id.filter(|guild| *guild != live.guild_id) {
        return Err(PlanError::OtherServer {
            state: guild,
            live: live.guild_id,
        });
    }
    let nothing = Configuration::default();
    let asked = kinds(configuration, state);
    if let Some(unread) = live.unread.iter().find(|kind| asked.contains(*kind)) {
        return Err(PlanError::Unread(*unread));
    }
    let configuration = if options.mode == Mode::Apply {
        configuration
    } else {
        &nothing
    };
    check_targets(configuration, state, &options.targets)?;
    let managed = ManagedResources::find(state, live, configuration.resources.keys());
    let mut notes = Vec::new();
    let mut wanted = Cow::Borrowed(configuration);
    if options.drop_missing {
        notes = prune::prune(wanted.to_mut(), &managed, live);
    }
    let mut plan = Plan {
        version: VERSION,
        made_from: PlanInputs {
            guild_id: live.guild_id,
            bot_id: live.bot.user_id,
            workspace: String::new(),
            folder: None,
            lineage: state.lineage.clone(),
            serial: state.serial,
            configuration: (options.mode == Mode::Apply).then(|| configuration.digest()),
            live: live.fingerprint(),
            kinds: kinds(configuration, state),
        },
        mode: options.mode,
        targets: options.targets.clone(),
        allow_replace: options.allow_replace,
        theme: configuration.theme.clone(),
        drift: Vec::new(),
        changes: Vec::new(),
        reorders: Vec::new(),
        steps: Vec::new(),
        notes: Vec::new(),
        broken_rules: Vec::new(),
    };
    match options.mode {
        Mode::Apply => of_configuration(&mut plan, &wanted, &managed, live, state),
        Mode::RefreshOnly => refresh_only(&mut plan, &managed),
        Mode::Destroy => destroy(&mut plan, &managed, live),
    }
    plan.notes.extend(notes);
    for address in &managed.lost {
        let made = plan
            .steps
            .iter()
            .any(|step| matches!(step, Step::Create { address: made, .. } if made == address));
        if !made && options.targets.is_empty() {
            plan.steps.push(Step::Forget {
                address: address.clone(),
            });
        }
    }
    Ok(plan)
}

fn of_configuration(
    plan: &mut Plan,
    configuration: &Configuration,
    managed: &ManagedResources,
    live: &LiveServer,
    state: &State,
) {
    let scope = TargetScope::with_dependencies(&plan.targets, configuration);
    let (wanted, altered) = changes::wanted(configuration, managed, &scope);
    plan.drift = managed.drift(|address| wanted.get(address).cloned());
    plan.drift.retain(|drift| scope.includes(&drift.address));
    plan.changes = changes::decide(configuration, &wanted, managed, &scope);
    for change in &mut plan.changes {
        let shown = change.after.as_ref().or(change.before.as_ref());
        let live = managed.known.get(&change.address).and_then(|known| known.live.as_ref());
        let name = shown.and_then(crate::model::Attributes::name).or_else(|| live?.name());
        change.name = name.map(str::to_owned);
    }
    let mut steps = steps::silent_refreshes(&plan.changes, &wanted, managed, |address| scope.includes(address));
    steps.extend(steps::steps(&plan.changes, &wanted, managed, live));
    let orders = order::orders(configuration, &wanted, managed, live, &plan.changes, &scope);
    steps.extend(orders.steps);
    let (steps, waiting) = fit::fit(steps, live, state);
    plan.steps = steps;
    plan.reorders = orders.reorders;
    plan.notes = notes::notes(&plan.changes, managed, live);
    plan.notes.extend(orders.notes);
    plan.broken_rules = rules::blocking(&configuration.broken_rules, &plan.changes);
    plan.notes.extend(waiting);
    plan.notes.extend(tags::notes(&plan.changes));
    plan.notes.extend(altered);
}

fn refresh_only(plan: &mut Plan, managed: &ManagedResources) {
    let scope = match plan.targets.is_empty() {
        true => TargetScope::Everything,
        false => TargetScope::Only(plan.targets.iter().cloned().collect()),
    };
    plan.drift = managed.drift(|_| None);
    plan.drift.retain(|drift| scope.includes(&drift.address));
    plan.steps = steps::refreshes(managed, |address| scope.includes(address));
}

fn destroy(plan: &mut Plan, managed: &ManagedResources, live: &LiveServer) {
    let scope = TargetScope::with_dependents(&plan.targets, managed);
    let known = managed.known.iter().filter(|(address, _)| scope.includes(address));
    plan.changes = known
        .map(|(address, known)| changes::removal(address, known, ChangeReason::Destroy))
        .collect();
    let adopt = plan.changes.iter().filter_map(|change| {
        let known = managed.known.get(&change.address)?;
        known.adopted.as_ref()?;
        let attributes = known.live.clone()?;
        Some(Step::Adopt {
            address: change.address.clone(),
            id: known.id,
            attributes,
        })
    });
    let mut steps: Vec<Step> = adopt.collect();
    steps.extend(steps::removal_steps(&plan.changes, live));
    plan.steps = steps;
}

fn check_targets(configuration: &Configuration, state: &State, targets: &[Address]) -> Result<(), PlanError> {
    let known = || {
        configuration
            .resources
            .keys()
            .chain(state.resources.keys())
            .chain(state.pending.keys())
    };
    for target in targets {
        if known().any(|address| address == target) {
            continue;
        }
        let text = target.to_string();
        let nearest = known()
            .map(|address| (strsim::osa_distance(&address.to_string(), &text), address))
            .min();
        return Err(PlanError::UnknownTarget {
            address: target.clone(),
            nearest: nearest
                .filter(|(distance, _)| *distance <= 3.max(text.len() / 4))
                .map(|(_, near)| near.clone()),
        });
    }
    Ok(())
}
