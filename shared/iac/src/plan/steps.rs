//! From changes to steps, in an order in which each step finds what it requires and no private channel is open.
//!
//! Steps that remove permissions of roles are first, those that add permissions last. Resources precede those that refer to
//! them: roles, emoji, categories, channels; the settings of the server are between the channels that they refer to and the
//! channels that require a community. Deletions follow the creation of a replacement; [`super::fit`] changes the order where
//! Discord's limits have no room for both.

use std::collections::{BTreeMap, BTreeSet};

use arrakis_domain::Permissions;

use super::changes::WantedAttributes;
use super::compare::differing_fields;
use super::document::{Action, Change, ChangeReason, Step};
use super::known::ManagedResources;
use super::overwrites::{self, OverwriteNode};
use crate::kinds::Phase;
use crate::live::LiveServer;
use crate::model::{Address, Attributes, Kind, Reference, Role, Target};

/// Steps by phase.
#[derive(Debug, Default)]
struct Phases(BTreeMap<Phase, Vec<Step>>);

impl Phases {
    fn of(&mut self, phase: Phase) -> &mut Vec<Step> {
        self.0.entry(phase).or_default()
    }

    fn into_steps(self) -> Vec<Step> {
        self.0.into_values().flatten().collect()
    }
}

/// All steps except changes of positions.
pub(super) fn steps(
    changes: &[Change],
    wanted: &WantedAttributes,
    managed: &ManagedResources,
    live: &LiveServer,
) -> Vec<Step> {
    let mut phases = Phases::default();
    let named = named_by_server(changes);
    let edited = edited_categories(changes);
    let (overwrite_steps, followers) = overwrite_steps(changes, wanted, managed, live);
    let careful = !overwrite_steps.is_empty();
    *phases.of(Phase::Overwrites) = overwrite_steps;
    for change in changes {
        state_steps(change, managed, phases.of(Phase::State));
        let before_commands = matches!(change.action, Action::Update | Action::Adopt);
        if before_commands
            && let (Some(Attributes::Role(before)), Some(Attributes::Role(after))) = (&change.before, &change.after)
        {
            role_update(change, before, after, careful, &mut phases);
            continue;
        }
        let is_named = named.contains(&change.address);
        let phase = match change.address.kind() {
            Kind::Channel if is_named => Phase::NamedChannels,
            Kind::Channel if inherits(change, &edited) => Phase::Inheriting,
            Kind::Server if leaves_community(change) => Phase::AfterRemovals,
            kind => kind.phase(),
        };
        let phase = phases.of(phase);
        match change.action {
            Action::Create | Action::Replace => create(change, phase),
            Action::Update | Action::Adopt => phase.extend(update(change)),
            Action::Delete | Action::Forget => {}
        }
    }
    for address in followers {
        if let Some(attributes) = wanted.get(&address) {
            phases.of(Phase::Refreshes).push(Step::Refresh {
                address,
                attributes: attributes.clone(),
            });
        }
    }
    removals(changes, live, &mut phases);
    phases.into_steps()
}

/// Steps that remove the resources of all changes, in reverse order of creation.
pub(super) fn removal_steps(changes: &[Change], live: &LiveServer) -> Vec<Step> {
    let mut order: Vec<&Change> = changes.iter().collect();
    let positions: BTreeMap<(Kind, _), i64> = live
        .resources()
        .map(|resource| ((resource.attributes.kind(), resource.id), resource.position))
        .collect();
    // The lowest roles first: a bot that ranks by one of them keeps its rank to the end. Of roles with equal positions the one
    // with the lower id ranks above.
    order.sort_by_key(|change| {
        let kind = change.address.kind();
        let position = change
            .id
            .and_then(|id| positions.get(&(kind, id)).copied())
            .unwrap_or(0);
        let below = change.id.filter(|_| kind == Kind::Role).map(std::cmp::Reverse);
        (std::cmp::Reverse(kind), position, below, &change.address)
    });
    order.into_iter().filter_map(removal).collect()
}

fn removal(change: &Change) -> Option<Step> {
    let address = change.address.clone();
    match (change.action, change.id) {
        (Action::Delete, Some(id)) => Some(Step::Delete { address, id }),
        (Action::Forget, _) => Some(Step::Forget { address }),
        _ => None,
    }
}

/// Adds deletions. Those of channels and roles are late, after the creation of replacements; the other kinds have low
/// limits, so their deletions are early.
fn removals(changes: &[Change], live: &LiveServer, phases: &mut Phases) {
    for step in removal_steps(changes, live) {
        let phase = match (&step, step.address()) {
            (Step::Delete { .. }, Some(address)) => address.kind().removal_phase(),
            _ => Phase::Removals,
        };
        phases.of(phase).push(step);
    }
}

/// Steps that update the state before the first request.
fn state_steps(change: &Change, managed: &ManagedResources, steps: &mut Vec<Step>) {
    let Some(known) = managed.known.get(&change.address) else {
        return;
    };
    let Some(live) = &known.live else { return };
    let (address, id) = (change.address.clone(), known.id);
    let attributes = change.before.clone().unwrap_or_else(|| live.clone());
    match (&known.adopted, change.action) {
        (Some(ChangeReason::FoundAgain | ChangeReason::AlwaysThere), _) => steps.push(Step::Adopt {
            address,
            id,
            attributes,
        }),
        (_, Action::Update) if known.recorded.as_ref() != Some(&attributes) => {
            steps.push(Step::Refresh { address, attributes });
        }
        _ => {}
    }
}

fn create(change: &Change, phase: &mut Vec<Step>) {
    let Some(mut attributes) = change.after.clone() else {
        return;
    };
    if change.action == Action::Replace
        && let Some(id) = change.id
    {
        phase.push(Step::Delete {
            address: change.address.clone(),
            id,
        });
    }
    let give = take_bot_role(&mut attributes, Some(false));
    phase.push(Step::Create {
        address: change.address.clone(),
        attributes,
    });
    if give == Some(true) {
        phase.push(Step::BotRole {
            address: change.address.clone(),
            give: true,
        });
    }
}

/// Replaces `given_to_bot`, which a separate request sets, and returns it.
fn take_bot_role(attributes: &mut Attributes, instead: Option<bool>) -> Option<bool> {
    match attributes {
        Attributes::Role(role) if role.given_to_bot.is_some() => std::mem::replace(&mut role.given_to_bot, instead),
        _ => None,
    }
}

fn update(change: &Change) -> Option<Step> {
    let fields: Vec<String> = change
        .fields
        .iter()
        .filter(|field| is_sent_with_others(field))
        .cloned()
        .collect();
    let (Some(id), Some(after)) = (change.id, &change.after) else {
        return None;
    };
    let mut attributes = after.clone();
    if let (Some(after), Some(before)) = (attributes.channel_mut(), &change.before)
        && let Some(before) = before.channel()
        && after.overwrites.is_some()
    {
        after.overwrites = Some(before.overwrites.clone().unwrap_or_default());
    }
    (!fields.is_empty()).then(|| Step::Update {
        address: change.address.clone(),
        id,
        attributes,
        fields,
    })
}

fn is_sent_with_others(field: &str) -> bool {
    field != "overwrites" && field != "given_to_bot"
}

/// A changed role: permissions that it loses early, permissions that it gains late.
fn role_update(change: &Change, before: &Role, after: &Role, careful: bool, phases: &mut Phases) {
    let Some(id) = change.id else { return };
    let address = &change.address;
    let (old, new) = (
        before.permissions.unwrap_or_default(),
        after.permissions.unwrap_or_default(),
    );
    let gains = !new.without(old).is_empty();
    let loses = !old.without(new).is_empty();
    let mut fields: Vec<String> = change
        .fields
        .iter()
        .filter(|field| is_sent_with_others(field))
        .cloned()
        .collect();
    let changes_permissions = fields.iter().any(|field| field == "permissions");
    // Other steps set whether the bot has the role.
    let had = before.given_to_bot.or(after.given_to_bot.map(|_| false));
    let given_by_then = if after.given_to_bot == Some(true) {
        after.given_to_bot
    } else {
        had
    };
    let with = |permissions: Permissions, fields: Vec<String>, given_to_bot: Option<bool>| {
        let mut role = after.clone();
        role.given_to_bot = given_to_bot;
        if role.permissions.is_some() {
            role.permissions = Some(permissions);
        }
        Step::Update {
            address: address.clone(),
            id,
            attributes: Attributes::Role(role),
            fields,
        }
    };
    if changes_permissions && careful && gains {
        if loses {
            phases
                .of(Phase::Withhold)
                .push(with(old.intersection(new), fields.clone(), had));
        } else {
            fields.retain(|field| field != "permissions");
            if !fields.is_empty() {
                phases.of(Phase::Roles).push(with(old, fields, had));
            }
        }
        phases
            .of(Phase::Grant)
            .push(with(new, vec!["permissions".to_owned()], given_by_then));
    } else if !fields.is_empty() {
        let phase = if loses { Phase::Withhold } else { Phase::Roles };
        phases.of(phase).push(with(new, fields, had));
    }
    if change.fields.iter().any(|field| field == "given_to_bot") {
        let give = after.given_to_bot == Some(true);
        let phase = if give { Phase::Roles } else { Phase::AfterRemovals };
        phases.of(phase).push(Step::BotRole {
            address: address.clone(),
            give,
        });
    }
}

/// Channels that the new settings of the server refer to: they are created first.
fn named_by_server(changes: &[Change]) -> BTreeSet<Address> {
    let server = changes.iter().find(|change| change.address == Address::SERVER);
    let Some(Attributes::Server(server)) = server.and_then(|change| change.after.as_ref()) else {
        return BTreeSet::new();
    };
    let attributes = Attributes::Server(server.clone());
    attributes
        .references()
        .into_iter()
        .filter_map(Reference::address)
        .cloned()
        .collect()
}

/// Categories whose overwrites this plan edits.
fn edited_categories(changes: &[Change]) -> BTreeSet<Address> {
    let edited = changes.iter().filter(|change| {
        let in_place = matches!(change.action, Action::Update | Action::Adopt);
        in_place && change.address.kind() == Kind::Category && change.fields.iter().any(|field| field == "overwrites")
    });
    edited.map(|change| change.address.clone()).collect()
}

/// Whether a channel is created with the overwrites of a category that this plan changes: it is created after the change.
fn inherits(change: &Change, edited: &BTreeSet<Address>) -> bool {
    let Some(Attributes::Channel(channel)) = &change.after else {
        return false;
    };
    let made = matches!(change.action, Action::Create | Action::Replace);
    let category = change.after.as_ref().and_then(parent).flatten();
    made && channel.overwrites.is_none() && category.is_some_and(|category| edited.contains(&category))
}

/// Whether Community is disabled, which requires that the announcement channels are deleted first.
fn leaves_community(change: &Change) -> bool {
    let community = |attributes: &Option<Attributes>| match attributes {
        Some(Attributes::Server(server)) => server.community,
        _ => None,
    };
    community(&change.before) == Some(true) && community(&change.after) == Some(false)
}

/// Steps that change overwrites, after all creations and moves, and the channels that change with their category.
fn overwrite_steps(
    changes: &[Change],
    wanted: &WantedAttributes,
    managed: &ManagedResources,
    live: &LiveServer,
) -> (Vec<Step>, Vec<Address>) {
    let by_address: BTreeMap<&Address, &Change> = changes.iter().map(|change| (&change.address, change)).collect();
    let mut nodes = BTreeMap::new();
    let overwrites = |attributes: Option<&Attributes>| attributes.and_then(Attributes::overwrites).cloned();
    let is_tree = |address: &&Address| matches!(address.kind(), Kind::Category | Kind::Channel);
    let known = managed
        .known
        .iter()
        .filter(|(_, known)| known.live.is_some() && !known.held)
        .map(|(address, _)| address);
    let made = changes
        .iter()
        .filter(|change| change.action == Action::Create)
        .map(|change| &change.address);
    for address in known.chain(made).filter(is_tree) {
        let change = by_address.get(address);
        let is_live = managed.known.get(address).and_then(|known| known.live.as_ref());
        let made = change.is_some_and(|change| matches!(change.action, Action::Create | Action::Replace));
        if change.is_some_and(|change| matches!(change.action, Action::Delete | Action::Forget)) {
            continue;
        }
        let after = change.and_then(|change| change.after.as_ref());
        let current = if made { after } else { is_live };
        let place = after.filter(|after| parent(after).is_some()).or(is_live).or(after);
        // Out of scope, what is should stay.
        let wanted = match change {
            Some(_) => overwrites(after),
            None => overwrites(wanted.get(address)).map(|_| overwrites(is_live).unwrap_or_default()),
        };
        let node = OverwriteNode {
            parent: place.and_then(parent).flatten(),
            current: overwrites(current).unwrap_or_default(),
            wanted,
        };
        nodes.insert(address.clone(), node);
    }
    let own_roles = live
        .bot
        .roles
        .iter()
        .filter(|id| live.get(Kind::Role, **id).is_some_and(|role| role.managed));
    let mut own: BTreeSet<Target> = own_roles
        .map(|id| managed.names.target(&Target::Role(Reference::Id(*id))))
        .collect();
    own.insert(Target::Bot);
    overwrites::steps(nodes, &own)
}

/// The category, if it is configured: `Some(None)` for no category, or for one that is not managed.
fn parent(attributes: &Attributes) -> Option<Option<Address>> {
    match attributes {
        Attributes::Channel(channel) => channel
            .category
            .as_ref()
            .map(|category| category.value().and_then(Reference::address).cloned()),
        _ => None,
    }
}

/// Refreshes of unchanged resources whose recorded attributes differ: another user made the configured change, or the set of
/// managed attributes changed.
pub(super) fn silent_refreshes(
    changes: &[Change],
    wanted: &WantedAttributes,
    managed: &ManagedResources,
    includes: impl Fn(&Address) -> bool,
) -> Vec<Step> {
    let changing: BTreeSet<&Address> = changes.iter().map(|change| &change.address).collect();
    let mut steps = Vec::new();
    for (address, attributes) in wanted {
        let Some(known) = managed.known.get(address).filter(|known| !known.held) else {
            continue;
        };
        let Some(live) = &known.live else { continue };
        if changing.contains(address) || !includes(address) {
            continue;
        }
        let attributes = live.restricted_to(attributes);
        let (address, id) = (address.clone(), known.id);
        match &known.recorded {
            Some(recorded) if *recorded == attributes => {}
            Some(_) => steps.push(Step::Refresh { address, attributes }),
            None => steps.push(Step::Adopt {
                address,
                id,
                attributes,
            }),
        }
    }
    steps
}

/// Steps that only update the state.
pub(super) fn refreshes(managed: &ManagedResources, includes: impl Fn(&Address) -> bool) -> Vec<Step> {
    let mut steps = Vec::new();
    let readable = managed.known.iter().filter(|(_, known)| !known.held);
    for (address, known) in readable.filter(|(address, _)| includes(address)) {
        let (address, id) = (address.clone(), known.id);
        match (&known.recorded, &known.live) {
            (_, None) => steps.push(Step::Forget { address }),
            (None, Some(live)) => steps.push(Step::Adopt {
                address,
                id,
                attributes: live.clone(),
            }),
            (Some(recorded), Some(live)) => {
                let attributes = live.restricted_to(recorded);
                // After a refresh of an altered value, the next apply requests the value again.
                if !differing_fields(recorded, &attributes).is_empty() || !known.altered.is_empty() {
                    steps.push(Step::Refresh { address, attributes });
                }
            }
        }
    }
    steps
}
