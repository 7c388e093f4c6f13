//! The place of resources that the snapshot does not have.

use std::collections::{BTreeMap, BTreeSet};

use crate::live::{LiveResource, LiveServer};
use crate::model::{Address, Attributes, Clearable, Configuration, Kind, Reference, Snowflake};
use crate::state::State;

/// Resources with one order: Discord sorts roles, categories, and the text and the voice channels of each category separately.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    kind: Kind,
    category: Option<Reference>,
    is_voice: bool,
}

impl Group {
    /// The group of a resource. `reference` returns the reference to a category in the form that the groups are compared in.
    fn of(attributes: &Attributes, reference: impl Fn(&Reference) -> Reference) -> Self {
        let (category, is_voice) = match attributes {
            Attributes::Channel(channel) => {
                let category = channel.category.as_ref().and_then(Clearable::value);
                (category.map(reference), channel.kind.is_voice())
            }
            _ => (None, false),
        };
        Self {
            kind: attributes.kind(),
            category,
            is_voice,
        }
    }
}

/// The addresses of a configuration with further ones: each after the resource that precedes it on the live server.
///
/// Only resources that are, and stay, in its group count: positions of two groups cannot be compared, and a further restore would
/// find another resource before it.
pub(super) fn order_with(
    configuration: &Configuration,
    kept: &[Address],
    state: &State,
    live: &LiveServer,
) -> Vec<Address> {
    let entries = state.resources.iter();
    let by_id: BTreeMap<(Kind, Snowflake), &Address> = entries
        .map(|(address, entry)| ((address.kind(), entry.id), address))
        .collect();
    let category = |reference: &Reference| match reference {
        Reference::Id(id) => by_id
            .get(&(Kind::Category, *id))
            .map_or(Reference::Id(*id), |address| Reference::from((*address).clone())),
        Reference::Address(address) => Reference::from(address.clone()),
    };
    let kept: BTreeSet<&Address> = kept.iter().collect();
    let mut behind: BTreeMap<Option<&Address>, Vec<&Address>> = BTreeMap::new();
    let mut placed: BTreeSet<&Address> = BTreeSet::new();
    for kind in Kind::ALL {
        let mut last: BTreeMap<Group, &Address> = BTreeMap::new();
        for resource in in_order(live, *kind) {
            let Some(address) = by_id.get(&(*kind, resource.id)).copied() else {
                continue;
            };
            let group = Group::of(&resource.attributes, category);
            if let Some(restored) = configuration.get(address) {
                if Group::of(restored, category) == group {
                    last.insert(group, address);
                }
            } else if kept.contains(address) {
                behind.entry(last.get(&group).copied()).or_default().push(address);
                placed.insert(address);
            }
        }
    }
    let first = behind.remove(&None).unwrap_or_default();
    let mut order: Vec<Address> = first.into_iter().cloned().collect();
    for address in configuration.resources.keys() {
        order.push(address.clone());
        let next = behind.remove(&Some(address)).unwrap_or_default();
        order.extend(next.into_iter().cloned());
    }
    order.extend(kept.difference(&placed).map(|address| (*address).clone()));
    order
}

fn in_order(live: &LiveServer, kind: Kind) -> Vec<&LiveResource> {
    let mut all = match kind {
        Kind::Role => live.roles_in_order(),
        Kind::Category | Kind::Channel => live.channels_in_order(),
        _ => live.of_kind(kind).collect(),
    };
    all.retain(|resource| resource.attributes.kind() == kind);
    all
}
