//! The way back to a snapshot: a configuration and a state, with which the planner plans it.
//!
//! The snapshot has every resource of the server, and a workspace manages some of them. So that a plan restores the others too, they are
//! *borrowed*: they are in the working state while the restore runs, and [`Restoration::split`] keeps them out of the state of the
//! workspace, where a later apply would delete them. Managed resources that the snapshot does not have are *kept*: they are in the
//! configuration as they are, so that no step deletes them.

mod draft;
mod names;
mod order;

use std::collections::{BTreeMap, BTreeSet};

use self::draft::Draft;
use self::names::Naming;
use super::ServerRecord;
use super::pairs::pairs;
use crate::live::{AddressIndex, LiveResource, LiveServer};
use crate::model::{Address, Attributes, Configuration, Image, Kind, Reference, Resource, Snowflake};
use crate::state::{PendingCreation, State, StateEntry};

/// What a restore starts from.
#[derive(Clone, Copy, Debug)]
pub struct RestoreInputs<'a> {
    /// The server as the snapshot has it.
    pub record: &'a ServerRecord,
    /// The state in the snapshot; `None` where it has none.
    pub recorded_state: Option<&'a State>,
    /// The present state of the workspace; an empty one where it has none.
    pub state: &'a State,
    /// The borrowed part of the working state of an interrupted restore of the same snapshot.
    pub borrowed: Option<&'a State>,
    /// The live server.
    pub live: &'a LiveServer,
    /// The present time, in milliseconds since the Unix epoch.
    pub now_ms: i128,
}

/// Something of a snapshot that a restore cannot bring back as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmapped {
    /// What it is, as in `role.naib`.
    pub what: String,
    /// The reason.
    pub reason: String,
}

/// A working state in two parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateParts {
    /// The state of the workspace.
    pub managed: State,
    /// The borrowed resources.
    pub borrowed: State,
}

/// The configuration and the state with which a plan takes a server back to a snapshot.
#[derive(Clone, Debug)]
pub struct Restoration {
    /// The server as it is to be.
    pub configuration: Configuration,
    /// The working state: the state of the workspace, and borrowed resources.
    pub state: State,
    /// What cannot be brought back, and what is adapted.
    pub unmapped: Vec<Unmapped>,
    /// Managed resources that the snapshot does not have. They stay as they are.
    pub kept: Vec<Address>,
    /// Address of each resource of the snapshot that can be brought back, by kind and recorded id.
    addresses: BTreeMap<(Kind, Snowflake), Address>,
    borrowed: BTreeSet<Address>,
    /// Pending creations of resources that the snapshot does not have. A plan would delete what they created.
    aside: BTreeMap<Address, PendingCreation>,
    /// The images that the state in the snapshot has of managed resources whose image is restored.
    images: BTreeMap<Address, Option<Image>>,
}

/// Makes the configuration and the state with which a plan takes the live server back to a snapshot.
#[must_use]
pub fn restoration(inputs: &RestoreInputs<'_>) -> Restoration {
    let (merged, lent) = merged_state(inputs);
    let known = |kind: Kind, id: Snowflake| known_id(inputs, &merged, &lent, kind, id);
    let pairs = pairs(&inputs.record.server, inputs.live, &known);
    let naming = Naming::new(inputs, &merged, &pairs);
    let mut draft = Draft::new(inputs, &pairs, &naming);
    let mut configuration = draft.configuration(&merged);
    let (mut state, borrowed) = draft.state(merged, lent);
    let kept = draft.keep(&mut configuration, &state);
    let mut aside = state.pending.clone();
    aside.retain(|address, _| !configuration.resources.contains_key(address));
    state.pending.retain(|address, _| !aside.contains_key(address));
    let mut addresses = BTreeMap::new();
    for (address, id) in &naming.names {
        if configuration.resources.contains_key(address) {
            addresses.insert((address.kind(), *id), address.clone());
        }
    }
    let (unmapped, images) = draft.finish();
    Restoration {
        configuration,
        state,
        unmapped,
        kept,
        addresses,
        borrowed,
        aside,
        images,
    }
}

/// The present id of a resource of the snapshot by its address, where the state managed it under this address then and now.
fn known_id(
    inputs: &RestoreInputs<'_>,
    merged: &State,
    lent: &BTreeSet<Address>,
    kind: Kind,
    id: Snowflake,
) -> Option<Snowflake> {
    let is_it = |(address, own): &(&Address, &Snowflake)| address.kind() == kind && **own == id;
    let (address, _) = inputs.record.addresses.iter().find(is_it)?;
    let was_managed = inputs.recorded_state.is_some_and(|state| state.id(address) == Some(id));
    (was_managed || lent.contains(address)).then(|| merged.id(address))?
}

/// The present state with the borrowed resources of an interrupted restore, and the addresses of these.
fn merged_state(inputs: &RestoreInputs<'_>) -> (State, BTreeSet<Address>) {
    let mut merged = inputs.state.clone();
    merged.guild_id = Some(inputs.live.guild_id);
    let mut lent = BTreeSet::new();
    let Some(borrowed) = inputs.borrowed else {
        return (merged, lent);
    };
    for (address, entry) in &borrowed.resources {
        // An apply meanwhile may have taken the address or the resource.
        if merged.import(address.clone(), entry.clone()).is_ok() {
            lent.insert(address.clone());
        }
    }
    for (address, pending) in &borrowed.pending {
        let is_taken = merged.resources.contains_key(address) && !lent.contains(address);
        if !is_taken && !merged.pending.contains_key(address) {
            merged.begin_create(address.clone(), pending.clone());
            lent.insert(address.clone());
        }
    }
    for (address, repeated) in &borrowed.repeated {
        if lent.contains(address) {
            merged.repeated.insert(address.clone(), repeated.clone());
        }
    }
    for (address, altered) in &borrowed.altered {
        if lent.contains(address) {
            merged.altered.insert(address.clone(), altered.clone());
        }
    }
    (merged, lent)
}

/// The attributes of a resource as it is, as far as its entry manages them.
fn as_it_is(names: &AddressIndex, found: &LiveResource, entry: &StateEntry) -> Attributes {
    let mut attributes = names.with_addresses(&found.attributes).restricted_to(&entry.attributes);
    if let Some(image) = attributes.image_mut() {
        *image = entry.attributes.image().cloned();
    }
    attributes
}

impl Restoration {
    /// The working state in its two parts: what is written to the workspace, and the borrowed resources. References of managed
    /// resources to borrowed ones are ids.
    #[must_use]
    pub fn split(&self, working: &State) -> StateParts {
        let is_borrowed = |address: &Address| self.borrowed.contains(address);
        let mut managed = restricted(working, |address| !is_borrowed(address));
        for (address, entry) in &mut managed.resources {
            entry.attributes.map_references(&mut |_, reference| {
                let borrowed = reference.address().filter(|one| is_borrowed(one));
                if let Some(id) = borrowed.and_then(|one| working.id(one)) {
                    *reference = Reference::Id(id);
                }
            });
            if let (Some(recorded), Some(image)) = (self.images.get(address), entry.attributes.image_mut()) {
                image.clone_from(recorded);
            }
        }
        for (address, pending) in &self.aside {
            let kept = managed.pending.entry(address.clone());
            kept.or_insert_with(|| pending.clone());
        }
        StateParts {
            managed,
            borrowed: restricted(working, is_borrowed),
        }
    }

    /// Leaves a resource as it is on the live server, for example because Discord cannot change it in place.
    pub fn leave(&mut self, address: &Address, live: &LiveServer, reason: &str) {
        self.unmapped.push(Unmapped {
            what: address.to_string(),
            reason: reason.to_owned(),
        });
        let names = self.state.names(live.guild_id, live.bot.user_id);
        let entry = self.state.resources.get(address);
        let present = entry.and_then(|entry| {
            let found = live.get(address.kind(), entry.id)?;
            Some(as_it_is(&names, found, entry))
        });
        let resources = &mut self.configuration.resources;
        match present {
            Some(attributes) => match resources.get_mut(address) {
                Some(resource) => resource.attributes = attributes,
                None => {
                    let origin = None;
                    resources.insert(address.clone(), Resource { attributes, origin });
                }
            },
            None => drop(resources.shift_remove(address)),
        }
    }

    /// Whether the resource with this id when the snapshot was created is there, or is created by the plan.
    #[must_use]
    pub fn is_restored(&self, kind: Kind, recorded: Snowflake) -> bool {
        self.addresses.contains_key(&(kind, recorded))
    }

    /// The id, in this working state, of the resource that had an id when the snapshot was created.
    #[must_use]
    pub fn id(&self, working: &State, kind: Kind, recorded: Snowflake) -> Option<Snowflake> {
        working.id(self.addresses.get(&(kind, recorded))?)
    }

    /// The resources that have another id than in the snapshot: address, recorded id, id in this working state.
    pub fn new_ids<'a>(&'a self, working: &'a State) -> impl Iterator<Item = (&'a Address, Snowflake, Snowflake)> {
        self.addresses.iter().filter_map(move |((_, recorded), address)| {
            let id = working.id(address).filter(|id| id != recorded)?;
            Some((address, *recorded, id))
        })
    }
}

/// The part of a state with these addresses.
fn restricted(state: &State, is_part: impl Fn(&Address) -> bool) -> State {
    let mut part = state.clone();
    part.resources.retain(|address, _| is_part(address));
    part.pending.retain(|address, _| is_part(address));
    part.repeated.retain(|address, _| is_part(address));
    part.altered.retain(|address, _| is_part(address));
    part
}
