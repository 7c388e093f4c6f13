//! The place of resources that the snapshot does not have.

use std::collections::{BTreeMap, BTreeSet};

use crate::live::{LiveResource, LiveServer};
use crate::model::{Address, Configuration, Kind, Snowflake};
use crate::state::State;

/// The addresses of a configuration with further ones: each behind the resource that is before it on the live server.
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
    let kept: BTreeSet<&Address> = kept.iter().collect();
    let mut behind: BTreeMap<Option<&Address>, Vec<&Address>> = BTreeMap::new();
    let mut placed: BTreeSet<&Address> = BTreeSet::new();
    for kind in Kind::ALL {
        let mut last: Option<&Address> = None;
        for resource in in_order(live, *kind) {
            let Some(address) = by_id.get(&(*kind, resource.id)).copied() else {
                continue;
            };
            if configuration.resources.contains_key(address) {
                last = Some(address);
            } else if kept.contains(address) {
                behind.entry(last).or_default().push(address);
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
