//! The action on each resource: create, update, replace, delete, adopt or forget.

use std::collections::{BTreeMap, BTreeSet};

use super::altered;
use super::compare::{differing_fields, normalised};
use super::document::{Action, Change, ChangeReason};
use super::known::{ManagedResource, ManagedResources};
use super::scope::TargetScope;
use super::tags;
use crate::model::{Address, Attributes, Configuration, Kind, Reference};

/// The configured attributes by address, normalised, with references in the same form as those of managed resources.
pub(super) type WantedAttributes = BTreeMap<Address, Attributes>;

/// Prepares the configuration for the comparison. Values that Discord is known to store differently are replaced by the stored
/// ones, with a note for each.
pub(super) fn wanted(
    configuration: &Configuration,
    managed: &ManagedResources,
    scope: &TargetScope,
) -> (WantedAttributes, Vec<String>) {
    let mut notes = Vec::new();
    let prepared = configuration.resources.iter().map(|(address, resource)| {
        let mut attributes = normalised(managed.names.with_addresses(&resource.attributes));
        if let Some(known) = managed.known.get(address) {
            tags::identify(&mut attributes, known);
            let altered = altered::accept(address, &mut attributes, known);
            notes.extend(altered.into_iter().filter(|_| scope.includes(address)));
        }
        (address.clone(), attributes)
    });
    (prepared.collect(), notes)
}

/// Changes of configured resources in the order of the configuration, then of those that are no longer configured.
pub(super) fn decide(
    configuration: &Configuration,
    wanted: &WantedAttributes,
    managed: &ManagedResources,
    scope: &TargetScope,
) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    for (address, resource) in &configuration.resources {
        if !scope.includes(address) || managed.is_held(address) {
            continue;
        }
        let change = of_configured(address, &wanted[address], managed.known.get(address));
        changes.extend(change.map(|change| Change {
            origin: resource.origin.clone(),
            ..change
        }));
    }
    follow_replacements(&mut changes, wanted, managed, scope);
    let gone = managed
        .known
        .iter()
        .filter(|(address, known)| !configuration.resources.contains_key(*address) && !known.held);
    changes.extend(
        gone.filter(|(address, _)| scope.includes(address))
            .map(|(address, known)| removal(address, known, ChangeReason::NotConfigured)),
    );
    changes
}

fn of_configured(address: &Address, wanted: &Attributes, known: Option<&ManagedResource>) -> Option<Change> {
    let Some(ManagedResource {
        id,
        live: Some(live),
        adopted,
        ..
    }) = known
    else {
        let reason = if known.is_some_and(|known| known.recorded.is_some()) {
            ChangeReason::Gone
        } else {
            ChangeReason::Configured
        };
        return Some(Change {
            after: Some(wanted.clone()),
            ..change(address, Action::Create, reason)
        });
    };
    let before = live.restricted_to(wanted);
    let fields = differing_fields(wanted, live);
    let forces: Vec<String> = live.forces_replacement(wanted).map(str::to_owned).into_iter().collect();
    let action = match (fields.is_empty(), forces.is_empty(), adopted) {
        (_, false, _) => Action::Replace,
        (_, _, Some(ChangeReason::FoundAgain)) => Action::Adopt,
        (false, _, _) => Action::Update,
        // Unchanged resources that every server has are recorded without a change in the plan.
        (true, _, _) => return None,
    };
    let reason = match (action, adopted) {
        (Action::Adopt, Some(reason)) => *reason,
        _ => ChangeReason::Configured,
    };
    Some(Change {
        id: Some(*id),
        before: Some(before),
        after: Some(wanted.clone()),
        fields,
        loses_messages: !forces.is_empty() && address.kind() == Kind::Channel,
        forces_replacement: forces,
        ..change(address, action, reason)
    })
}

/// The change that removes a managed resource.
pub(super) fn removal(address: &Address, known: &ManagedResource, reason: ChangeReason) -> Change {
    let action = if known.live.is_none() || address.is_permanent() {
        Action::Forget
    } else {
        Action::Delete
    };
    let reason = if known.live.is_none() {
        ChangeReason::Gone
    } else {
        reason
    };
    let before = known.live.clone().or_else(|| known.recorded.clone());
    let before = match (&before, &known.recorded) {
        (Some(before), Some(recorded)) => Some(before.restricted_to(recorded)),
        _ => before,
    };
    Change {
        id: Some(known.id),
        name: before.as_ref().and_then(Attributes::name).map(str::to_owned),
        before,
        ..change(address, action, reason)
    }
}

fn change(address: &Address, action: Action, reason: ChangeReason) -> Change {
    Change {
        address: address.clone(),
        action,
        reason,
        id: None,
        name: None,
        before: None,
        after: None,
        fields: Vec::new(),
        forces_replacement: Vec::new(),
        loses_messages: false,
        origin: None,
    }
}

/// A replaced resource has a new id, so resources that refer to it are updated. A webhook is deleted with its channel and
/// created again.
fn follow_replacements(
    changes: &mut Vec<Change>,
    wanted: &WantedAttributes,
    managed: &ManagedResources,
    scope: &TargetScope,
) {
    let replaced: BTreeSet<Address> = changes
        .iter()
        .filter(|change| change.action == Action::Replace)
        .map(|change| change.address.clone())
        .collect();
    if replaced.is_empty() {
        return;
    }
    for (address, attributes) in wanted {
        let refers = |attributes: &Attributes| {
            let found = attributes.references();
            found
                .into_iter()
                .filter_map(Reference::address)
                .any(|address| replaced.contains(address))
        };
        if !refers(attributes) || replaced.contains(address) || !scope.includes(address) || managed.is_held(address) {
            continue;
        }
        let Some(ManagedResource {
            id, live: Some(live), ..
        }) = managed.known.get(address)
        else {
            continue;
        };
        let place = changes.iter().position(|change| change.address == *address);
        let mut one = place.map_or_else(
            || Change {
                id: Some(*id),
                before: Some(live.restricted_to(attributes)),
                after: Some(attributes.clone()),
                ..change(address, Action::Update, ChangeReason::Configured)
            },
            |place| changes.remove(place),
        );
        if address.kind() == Kind::Webhook {
            one = Change {
                after: one.after,
                ..change(address, Action::Create, ChangeReason::Gone)
            };
        } else {
            let configured = fields_that(attributes, &replaced);
            one.fields.extend(
                configured
                    .into_iter()
                    .filter(|field| !one.fields.contains(field))
                    .collect::<Vec<_>>(),
            );
        }
        changes.insert(place.unwrap_or(changes.len()), one);
    }
}

/// Names of the attributes that contain one of these addresses.
fn fields_that(attributes: &Attributes, replaced: &BTreeSet<Address>) -> Vec<String> {
    let names: Vec<String> = replaced.iter().map(|address| format!("\"{address}\"")).collect();
    let configured = attributes.to_map().into_iter().filter(|(_, value)| {
        let text = value.to_string();
        names.iter().any(|name| text.contains(name))
    });
    configured.map(|(field, _)| field).collect()
}
