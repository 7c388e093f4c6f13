//! What a teardown deletes, and what stays because Discord keeps it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use arrakis_iac::export;
use arrakis_iac::grammar::counted;
use arrakis_iac::import;
use arrakis_iac::live::{LiveResource, LiveServer};
use arrakis_iac::model::{Address, Attributes, Configuration, Kind, Snowflake};
use arrakis_iac::plan::{self, Action, Finding, Mode, Options, Plan, Step};
use arrakis_iac::state::State;
use serde::Serialize;

use crate::commands::plan::plan_failure;
use crate::error::{Failure, Result};

/// The part of a server that one stage deletes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Categories and channels, and what belongs to channels: webhooks, events, rules of auto moderation.
    Channels,
    /// Everything else: roles, emoji, stickers.
    Others,
}

impl Part {
    /// Both, in the order in which they are deleted.
    pub(super) const ALL: [Self; 2] = [Self::Channels, Self::Others];

    const fn includes(self, kind: Kind) -> bool {
        let is_channel = matches!(
            kind,
            Kind::Category | Kind::Channel | Kind::Webhook | Kind::Automod | Kind::Event
        );
        match self {
            Self::Channels => is_channel,
            Self::Others => !is_channel,
        }
    }
}

/// A resource that stays on the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Kept {
    pub(super) kind: Kind,
    pub(super) id: Snowflake,
    pub(super) name: String,
    pub(super) why: String,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}` ({}): {}", self.kind.noun(), self.name, self.id, self.why)
    }
}

/// The deletion of a part.
pub(super) struct Removal {
    pub(super) plan: Plan,
    /// What of the part Discord does not permit to delete.
    pub(super) kept: Vec<Kept>,
}

impl Removal {
    /// Number of resources that are deleted.
    pub(super) fn count(&self) -> usize {
        self.plan.counts().destroy
    }

    /// The addresses of deleted resources that are not among these.
    pub(super) fn without(&self, ids: &BTreeSet<Snowflake>) -> Vec<Address> {
        let deleted = self.plan.changes.iter();
        let deleted = deleted.filter(|change| change.action == Action::Delete);
        let others = deleted.filter(|change| change.id.is_some_and(|id| !ids.contains(&id)));
        others.map(|change| change.address.clone()).collect()
    }

    /// The deleted resources, one a line: `  - channel.general "general" (id 123)`.
    pub(super) fn listed(&self) -> String {
        let changes = self.plan.changes.iter();
        let lines = changes.filter(|change| change.action == Action::Delete).map(|change| {
            let name = change.name.as_ref();
            let name = name.map(|name| format!(" \"{name}\"")).unwrap_or_default();
            let id = change.id.map(|id| format!(" (id {id})")).unwrap_or_default();
            format!("  - {}{name}{id}\n", change.address)
        });
        lines.collect::<Vec<String>>().concat()
    }

    /// The numbers of deleted resources by kind, for people: `12 channels, 3 categories`.
    pub(super) fn described(&self) -> String {
        let mut kinds: BTreeMap<Kind, usize> = BTreeMap::new();
        let deleted = self
            .plan
            .changes
            .iter()
            .filter(|change| change.action == Action::Delete);
        for change in deleted {
            *kinds.entry(change.address.kind()).or_default() += 1;
        }
        let counts: Vec<String> = kinds
            .into_iter()
            .map(|(kind, count)| counted(count, kind.noun()))
            .collect();
        counts.join(", ")
    }
}

/// Adds everything that the server has to the state, so that the engine deletes it and a state on disk shows what is left. `recorded` are the
/// addresses of the export.
pub(super) fn adopt_everything(state: &mut State, live: &LiveServer, recorded: &BTreeMap<Address, Snowflake>) {
    // Their results, if there are any, are resources of the server like all others.
    state.pending.clear();
    state.repeated.clear();
    let mut names: BTreeMap<Address, Snowflake> = state
        .resources
        .iter()
        .map(|(address, entry)| (address.clone(), entry.id))
        .collect();
    for (address, id) in recorded {
        let is_free = !names.contains_key(address) && !is_managed(state, address.kind(), *id);
        if is_free && live.get(address.kind(), *id).is_some() {
            names.insert(address.clone(), *id);
        }
    }
    for (address, id) in export::assign(live, &names) {
        if !address.is_permanent() && !state.resources.contains_key(&address) {
            // What cannot be imported is reported as what stays.
            let _ = import::import(&address, id, None, state, live);
        }
    }
}

fn is_managed(state: &State, kind: Kind, id: Snowflake) -> bool {
    let mut resources = state.resources.iter();
    resources.any(|(address, entry)| entry.id == id && address.kind() == kind)
}

/// The deletion of a part of everything that the state has.
///
/// # Errors
/// When Discord would refuse it for a reason that does not concern single resources, such as a permission that the bot lacks.
pub(super) fn plan(part: Part, state: &State, live: &LiveServer) -> Result<Removal> {
    let options = Options {
        mode: Mode::Destroy,
        ..Options::default()
    };
    let plan = plan::plan(&Configuration::default(), state, live, &options);
    let mut plan = plan.map_err(|error| plan_failure(&error))?;
    retain(&mut plan, |address| part.includes(address.kind()));
    own_roles_last(&mut plan.steps, live);
    let mut kept = Vec::new();
    loop {
        let refused = refused(&plan, state, live)?;
        if refused.is_empty() {
            return Ok(Removal { plan, kept });
        }
        retain(&mut plan, |address| !refused.contains_key(address));
        kept.extend(refused.into_values());
    }
}

fn retain(plan: &mut Plan, keep: impl Fn(&Address) -> bool) {
    plan.changes.retain(|change| keep(&change.address));
    plan.steps.retain(|step| step.address().is_some_and(&keep));
}

/// The bot needs its permissions for the other deletions.
fn own_roles_last(steps: &mut [Step], live: &LiveServer) {
    steps.sort_by_key(|step| match step {
        Step::Delete { address, id } => address.kind() == Kind::Role && live.bot.roles.contains(id),
        _ => false,
    });
}

/// The resources of a plan that Discord does not permit to delete.
fn refused(plan: &Plan, state: &State, live: &LiveServer) -> Result<BTreeMap<Address, Kept>> {
    let mut refused = BTreeMap::new();
    let findings = plan::preflight(plan, live, state).into_iter();
    for finding in findings.filter(|finding| finding.blocking) {
        let concerned: Vec<_> = plan
            .changes
            .iter()
            .filter(|change| finding.addresses.contains(&change.address))
            .collect();
        if concerned.is_empty() {
            let summary = format!("Discord would refuse the teardown: {}", finding.what);
            return Err(Failure::new(summary).help(finding.what_to_do));
        }
        for change in concerned {
            let Some(id) = change.id else { continue };
            let kept = Kept {
                kind: change.address.kind(),
                id,
                name: change.name.clone().unwrap_or_default(),
                why: why(&finding, id, live),
            };
            refused.entry(change.address.clone()).or_insert(kept);
        }
    }
    Ok(refused)
}

fn why(finding: &Finding, id: Snowflake, live: &LiveServer) -> String {
    match finding.rule.as_str() {
        "role-hierarchy" if live.bot_role().is_some_and(|own| own.id == id) => {
            "it is the bot's own highest role".to_owned()
        }
        "role-hierarchy" => "it is not below the bot's highest role".to_owned(),
        "community-deletion" => "a community server must have it".to_owned(),
        _ => finding.what.clone(),
    }
}

/// What the server has. False for what was created meanwhile, which Discord would permit to delete.
pub(super) fn left(live: &LiveServer, kept: &[Kept]) -> Vec<(Kept, bool)> {
    let resources = live.resources().filter(|resource| is_countable(resource));
    resources
        .map(|resource| {
            let kind = resource.attributes.kind();
            let reason = match kept.iter().find(|kept| kept.kind == kind && kept.id == resource.id) {
                Some(kept) => Some(kept.why.clone()),
                None => of_discord(resource, live).map(str::to_owned),
            };
            let stays = reason.is_some();
            let kept = Kept {
                kind,
                id: resource.id,
                name: name(resource, live),
                why: reason.unwrap_or_else(|| "it was created meanwhile".to_owned()),
            };
            (kept, stays)
        })
        .collect()
}

/// Whether a resource is one that a server can have or not have.
const fn is_countable(resource: &LiveResource) -> bool {
    !matches!(
        resource.attributes,
        Attributes::Server(_) | Attributes::WelcomeScreen(_) | Attributes::Onboarding(_)
    )
}

fn name(resource: &LiveResource, live: &LiveServer) -> String {
    match resource.id == live.guild_id {
        true => "@everyone".to_owned(),
        false => resource.attributes.name().unwrap_or_default().to_owned(),
    }
}

/// Why Discord keeps a resource that is no part of a plan.
fn of_discord(resource: &LiveResource, live: &LiveServer) -> Option<&'static str> {
    if resource.id == live.guild_id {
        return Some("every server has it");
    }
    if live.bot.roles.contains(&resource.id) && resource.managed {
        return Some("it is the bot's own role");
    }
    resource
        .managed
        .then_some("it belongs to an application, to boosting or to a subscription")
}
