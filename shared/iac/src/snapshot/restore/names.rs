//! Addresses for the resources of a snapshot: those of the present state first.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{RestoreInputs, Unmapped};
use crate::grammar::plural;
use crate::live::LiveServer;
use crate::model::{Address, Kind, Snowflake};
use crate::plan::held;
use crate::snapshot::pairs::Pairs;
use crate::snapshot::{ServerRecord, free_address};
use crate::state::{State, StateEntry};

/// The addresses of a restore.
pub(super) struct Naming {
    /// Recorded ids by address.
    pub(super) names: BTreeMap<Address, Snowflake>,
    /// Present ids of those that exist.
    pub(super) found: BTreeMap<Address, Snowflake>,
    /// Resources without an address, and those that were mapped by their order.
    pub(super) unmapped: Vec<Unmapped>,
}

impl Naming {
    /// Gives each resource of the snapshot an address: that of the present state where it is there, else the recorded one, else
    /// that with a number.
    pub(super) fn new(inputs: &RestoreInputs<'_>, merged: &State, pairs: &Pairs) -> Self {
        let (record, live) = (inputs.record, inputs.live);
        let mut naming = Self {
            names: BTreeMap::new(),
            found: BTreeMap::new(),
            unmapped: unread(record, live),
        };
        naming.unmapped.extend(by_order(pairs));
        let entries = merged.resources.iter();
        let present: HashMap<(Kind, Snowflake), &Address> = entries
            .map(|(address, entry)| ((address.kind(), entry.id), address))
            .collect();
        let mut others = Vec::new();
        for (address, id) in &record.addresses {
            let kind = address.kind();
            if live.unread.contains(&kind) {
                continue;
            }
            let later = pairs.later(kind, *id);
            let own = later.and_then(|later| present.get(&(kind, later)).copied());
            match own.zip(later) {
                Some((own, later)) => {
                    naming.names.insert(own.clone(), *id);
                    naming.found.insert(own.clone(), later);
                }
                None => others.push((address, *id, later)),
            }
        }
        for (address, id, later) in others {
            naming.add(address, id, later, merged, live);
        }
        naming
    }

    /// Gives a resource an address that the present state does not have.
    fn add(&mut self, address: &Address, id: Snowflake, later: Option<Snowflake>, merged: &State, live: &LiveServer) {
        let entry = merged.resources.get(address);
        let held_for = entry.and_then(|entry| held(address, entry, live));
        if let Some(reason) = held_for.filter(|_| later.is_none()) {
            self.unmapped.push(Unmapped {
                what: address.to_string(),
                reason: format!("not restored: {reason}"),
            });
            return;
        }
        // The entry of a deleted resource is replaced.
        let is_other = |one: &Address| {
            let entry = merged.resources.get(one);
            entry.is_some_and(|entry| live.get(one.kind(), entry.id).is_some() || held(one, entry, live).is_some())
        };
        let own = free_address(address, |one| self.names.contains_key(one) || is_other(one));
        self.names.insert(own.clone(), id);
        if let Some(later) = later {
            self.found.insert(own, later);
        }
    }
}

/// The kinds of a snapshot that were not read from the live server.
fn unread(record: &ServerRecord, live: &LiveServer) -> Vec<Unmapped> {
    let kinds: BTreeSet<Kind> = record.addresses.keys().map(Address::kind).collect();
    let unread = kinds.into_iter().filter(|kind| live.unread.contains(kind));
    let unmapped = unread.map(|kind| Unmapped {
        what: plural(kind.noun()),
        reason: "not restored: the bot may not read them".to_owned(),
    });
    unmapped.collect()
}

fn by_order(pairs: &Pairs) -> impl Iterator<Item = Unmapped> {
    pairs.by_order.iter().map(|(kind, name)| Unmapped {
        what: format!("the {} `{name}`", kind.noun()),
        reason: "several have this name, and were mapped by their order".to_owned(),
    })
}

/// The entry of a state with an id.
pub(super) fn entry_by_id(state: &State, kind: Kind, id: Snowflake) -> Option<&StateEntry> {
    let mut entries = state.resources.iter();
    let found = entries.find(|(address, entry)| address.kind() == kind && entry.id == id);
    found.map(|(_, entry)| entry)
}

/// Whether the workspace manages a resource after the restore: it does now, or it did when the snapshot was created.
pub(super) fn is_managed_after(state: &State, address: &Address, before: Option<&StateEntry>) -> bool {
    state.resources.contains_key(address) || state.pending.contains_key(address) || before.is_some()
}
