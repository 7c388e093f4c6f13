//! Preflight: whether Discord would refuse a plan, checked before the first write.
//!
//! Simulates the steps on a copy of the server and checks each step against the server as it is before the step. So a rule
//! applies to changed values, and at each step and not only at the end. Each finding states what is required.
//!
//! To add a check: a row in [`rules`], a method in the file of its subject, a line in [`StepChecks::check`], and tests of a
//! plan that passes and of one that fails.

mod channels;
mod community;
mod granting;
mod images;
mod limits;
mod permissions;
mod references;
mod roles;
mod unresolved;
mod values;

pub use images::{sent_images, unusable_images};
pub(super) use references::exists;
pub use references::{absent_members, members};

use arrakis_domain::Permissions;
use serde::{Deserialize, Serialize};

use super::document::{Action, Mode, Plan, Step};
use super::simulate::Simulation;
use crate::kinds::{Limit, Sent, Violation};
use crate::live::{LiveResource, LiveServer};
use crate::model::{Address, Attributes, Kind};
use crate::rules::{self, RULES};
use crate::state::State;

/// A result of preflight: an obstacle or a warning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Id of the rule in [`RULES`].
    pub rule: String,
    /// Whether it is an obstacle: the plan must not be applied.
    pub blocking: bool,
    /// The problem.
    pub what: String,
    /// What is required.
    pub what_to_do: String,
    /// The affected resources.
    pub addresses: Vec<Address>,
}

/// The findings for `plan`, on the server and with the state that it was made from.
#[must_use]
pub fn preflight(plan: &Plan, live: &LiveServer, state: &State) -> Vec<Finding> {
    if plan.mode == Mode::RefreshOnly {
        let mut problems = unresolved::unreadable(plan, live, state);
        problems.extend(unresolved::duplicates(live, state));
        return findings(problems);
    }
    let mut walk = StepChecks {
        run: Simulation::new(live, state),
        problems: Vec::new(),
        lacking: permissions::MissingPermissions::default(),
        refused: granting::RefusedGrants::default(),
        passed: Vec::new(),
    };
    for step in &plan.steps {
        walk.check(step);
        // `references` reports an id that does not exist.
        let _ = walk.run.carry_out(step);
    }
    let check = PlanChecks { plan, live };
    walk.problems.extend(unresolved::unreadable(plan, live, state));
    walk.problems.extend(unresolved::unknown_outcomes(plan, live, state));
    walk.problems.extend(unresolved::duplicates(live, state));
    check.values(&mut walk.problems);
    check.references(&mut walk.problems);
    check.hierarchy(&mut walk.problems);
    walk.check_own_access(plan);
    walk.lacking_permissions();
    walk.refused_bits();
    walk.passed_limits();
    findings(walk.problems)
}

/// The checks of a plan against the server that it was made from.
struct PlanChecks<'a> {
    plan: &'a Plan,
    live: &'a LiveServer,
}

/// The checks of the steps, with the results so far.
struct StepChecks {
    run: Simulation,
    problems: Vec<Problem>,
    lacking: permissions::MissingPermissions,
    refused: granting::RefusedGrants,
    /// Exceeded limits, each with the resources that exceed it and the resulting number.
    passed: Vec<(Limit, Address, usize)>,
}

/// A violation of a rule by one step or resource. Equal problems of several resources become one finding.
#[derive(Debug)]
struct Problem {
    rule: &'static str,
    blocking: bool,
    /// The message; `{}` is the placeholder of the addresses.
    what: String,
    what_to_do: String,
    address: Option<Address>,
}

impl Problem {
    fn new(rule: &'static str, address: &Address, what: impl Into<String>, what_to_do: impl Into<String>) -> Self {
        Self {
            rule,
            blocking: true,
            what: what.into(),
            what_to_do: what_to_do.into(),
            address: Some(address.clone()),
        }
    }

    fn warning(rule: &'static str, address: &Address, what: impl Into<String>, what_to_do: impl Into<String>) -> Self {
        Self {
            blocking: false,
            ..Self::new(rule, address, what, what_to_do)
        }
    }
}

impl StepChecks {
    /// Checks a step.
    fn check(&mut self, step: &Step) {
        if !step.is_request() {
            return;
        }
        self.permissions(step);
        self.granted(step);
        self.limits(step);
        match step {
            Step::Create { address, attributes } => self.written(address, attributes, None),
            Step::Update {
                address,
                attributes,
                fields,
                ..
            } => self.written(address, attributes, Some(fields.as_slice())),
            Step::Delete { address, id } => self.community_deletion(address, *id),
            _ => {}
        }
    }

    /// Checks the attributes that are sent: `fields`, or all of a new resource.
    fn written(&mut self, address: &Address, attributes: &Attributes, fields: Option<&[String]>) {
        let sent = Sent(fields);
        let abilities = self.run.live.abilities();
        let violations = attributes.violations(sent, &abilities);
        let problem =
            |violation: Violation| Problem::new(violation.rule, address, violation.what, violation.what_to_do);
        self.problems.extend(violations.into_iter().map(problem));
        self.required_image(address, attributes, sent);
        // Checks that depend on other resources of the server.
        match attributes {
            Attributes::Server(server) => self.server(address, server, sent),
            Attributes::Channel(channel) => self.channel_kind(address, channel, sent),
            Attributes::WelcomeScreen(_) => self.community_only(address),
            Attributes::Onboarding(onboarding) => {
                self.community_only(address);
                self.onboarding(address, onboarding);
            }
            _ => {}
        }
    }

    fn bot_permissions(&self) -> Permissions {
        self.run.live.bot_permissions()
    }
}

/// Groups equal problems, in the order of the rules.
fn findings(problems: Vec<Problem>) -> Vec<Finding> {
    let mut grouped: Vec<(Problem, Vec<Address>)> = Vec::new();
    for problem in problems {
        let same = grouped.iter_mut().find(|(known, _)| {
            known.rule == problem.rule && known.what == problem.what && known.what_to_do == problem.what_to_do
        });
        match same {
            Some((_, addresses)) => addresses.extend(problem.address),
            None => {
                let addresses = problem.address.clone().into_iter().collect();
                grouped.push((problem, addresses));
            }
        }
    }
    let place = |rule: &str| RULES.iter().position(|known| known.id == rule);
    grouped.sort_by_key(|(problem, _)| place(problem.rule));
    let finding = |(problem, mut addresses): (Problem, Vec<Address>)| {
        addresses.sort();
        addresses.dedup();
        let names: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        Finding {
            rule: problem.rule.to_owned(),
            blocking: problem.blocking,
            what: problem.what.replace("{}", &list(&names)),
            what_to_do: problem.what_to_do,
            addresses,
        }
    };
    grouped.into_iter().map(finding).collect()
}

/// Up to five addresses, and the number of the others.
fn list(items: &[String]) -> String {
    match items.len() {
        0..=5 => items.join(", "),
        count => format!("{} and {} more", items[..5].join(", "), count - 5),
    }
}

impl PlanChecks<'_> {
    fn of_address(&self, address: &Address) -> Option<&LiveResource> {
        let change = self.plan.changes.iter().find(|change| change.address == *address);
        let id = change.and_then(|change| change.id)?;
        self.live.get(address.kind(), id)
    }
}

impl StepChecks {
    /// Reports overwrites that remove the access of a bot that is not an administrator: it could not change the channel again.
    fn check_own_access(&mut self, plan: &Plan) {
        for change in &plan.changes {
            let is_written = matches!(change.action, Action::Create | Action::Replace)
                || change.fields.iter().any(|field| field == "overwrites");
            if !is_written || !matches!(change.address.kind(), Kind::Channel | Kind::Category) {
                continue;
            }
            let id = self.run.state.id(&change.address);
            let channel = id.and_then(|id| self.run.live.channel(id));
            if channel.is_some_and(|channel| self.run.live.bot_permissions_in(channel) == Permissions::NONE) {
                self.problems.push(Problem::new(
                    rules::BOT_SHUT_OUT,
                    &change.address,
                    "the bot is not an administrator and would lose its access to {}",
                    "add `bot: { allow: [VIEW_CHANNEL, MANAGE_CHANNELS, MANAGE_ROLES] }` to its overwrites, or give the bot ADMINISTRATOR",
                ));
            }
        }
    }
}
