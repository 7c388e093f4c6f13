//! Managed resources with their attributes on the server: the refreshed state.
//!
//! Adds resources that an interrupted apply created (see [`super::lost`]), detects changes and deletions outside of gaib,
//! and keeps resources that exist and cannot be read.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::compare::{differing_fields, normalised, with_recorded_images};
use super::document::{ChangeReason, Drift};
use super::lost::{CreationOutcome, CreationSearch};
use super::tags;
use crate::grammar::with_article;
use crate::live::{AddressIndex, LiveResource, LiveServer};
use crate::model::{Address, Attributes, Kind, Snowflake};
use crate::state::{State, StateEntry};

/// A managed resource.
#[derive(Clone, Debug)]
pub(super) struct ManagedResource {
    /// Its id.
    pub(super) id: Snowflake,
    /// The attributes in the state; `None` when the resource is not in the state yet.
    pub(super) recorded: Option<Attributes>,
    /// The attributes on the server, with references by address; `None` when the resource does not exist any more.
    pub(super) live: Option<Attributes>,
    /// The reason for recording it in the state; `None` when it is in the state.
    pub(super) adopted: Option<ChangeReason>,
    /// Values that were sent and that Discord stores differently (see [`super::altered`]).
    pub(super) altered: BTreeMap<String, Value>,
    /// Whether it exists and cannot be read (see [`held`]): `live` has the attributes of the state, and no step changes it.
    pub(super) held: bool,
}

/// The reason why a managed resource that exists, or may exist, cannot be read; `None` when it can be read, or does not
/// exist. No plan changes, creates or removes such a resource from the state, and references to it stay.
#[must_use]
pub fn held(address: &Address, entry: &StateEntry, live: &LiveServer) -> Option<String> {
    let (kind, id) = (address.kind(), entry.id);
    let found = live.get(kind, id);
    if let Some(value) = live.unreadable(kind, id) {
        let is_managed = entry.attributes.to_map().contains_key(&value.field);
        return (found.is_none() || is_managed).then(|| {
            format!(
                "Discord sent `{}` as its `{}`, which is unknown to this version of gaib",
                value.value, value.field
            )
        });
    }
    if found.is_some() {
        return None;
    }
    let other = match kind {
        Kind::Channel => Kind::Category,
        Kind::Category => Kind::Channel,
        _ => {
            let why = "Discord sent a list with an entry without content, which may be it";
            return live.incomplete.contains(&kind).then(|| why.to_owned());
        }
    };
    let found = live.get(other, id).is_some();
    found.then(|| format!("Discord sent it as {}", with_article(other.noun())))
}

/// All managed resources.
#[derive(Clone, Debug)]
pub(super) struct ManagedResources {
    pub(super) names: AddressIndex,
    pub(super) known: BTreeMap<Address, ManagedResource>,
    /// Pending creations for which no resource was found.
    pub(super) lost: Vec<Address>,
}

impl ManagedResources {
    /// The managed resources. `configured` are addresses of the configuration; those that every server has are adopted.
    pub(super) fn find<'a>(state: &State, live: &LiveServer, configured: impl Iterator<Item = &'a Address>) -> Self {
        let mut ids: BTreeMap<Address, (Snowflake, ChangeReason)> = BTreeMap::new();
        let mut lost = Vec::new();
        let mut search = CreationSearch::new(state, live);
        // Categories before channels: a channel is looked for in the category that was found.
        for (address, pending) in &state.pending {
            if state.resources.contains_key(address) {
                continue;
            }
            match search.find(address, pending) {
                CreationOutcome::Found { id, .. } => {
                    ids.insert(address.clone(), (id, ChangeReason::FoundAgain));
                }
                CreationOutcome::Absent => lost.push(address.clone()),
                // The record stays; preflight reports it.
                CreationOutcome::Unclear(_) => {}
            }
        }
        for address in configured.filter(|address| address.is_permanent()) {
            if !state.resources.contains_key(address) && live.get(address.kind(), live.guild_id).is_some() {
                ids.insert(address.clone(), (live.guild_id, ChangeReason::AlwaysThere));
            }
        }
        let is_held = |(address, entry): &(&Address, &StateEntry)| held(address, entry, live).is_some();
        let held: BTreeSet<&Address> = state
            .resources
            .iter()
            .filter(is_held)
            .map(|(address, _)| address)
            .collect();
        // The id of a deleted resource has no address: references with it are to the old resource, not to its replacement.
        let recorded = state.resources.iter().map(|(address, entry)| (address, entry.id));
        let all = recorded.chain(ids.iter().map(|(address, (id, _))| (address, *id)));
        let names = AddressIndex::new(
            live.guild_id,
            live.bot.user_id,
            all.filter(|(address, id)| held.contains(address) || live.get(address.kind(), *id).is_some()),
        );
        let attributes_of = |address: &Address, id| {
            let found: Option<&LiveResource> = live.get(address.kind(), id);
            found.map(|resource| normalised(names.with_addresses(&resource.attributes)))
        };
        let mut known = BTreeMap::new();
        for (address, entry) in &state.resources {
            let mut recorded = normalised(names.with_addresses(&entry.attributes));
            let held = held.contains(address);
            let live = match held {
                true => Some(recorded.clone()),
                false => attributes_of(address, entry.id).map(|live| with_recorded_images(live, &recorded)),
            };
            tags::fill_ids(&mut recorded, live.as_ref());
            let one = ManagedResource {
                id: entry.id,
                recorded: Some(recorded),
                live,
                adopted: None,
                altered: state.altered.get(address).cloned().unwrap_or_default(),
                held,
            };
            known.insert(address.clone(), one);
        }
        for (address, (id, reason)) in ids {
            let live = attributes_of(&address, id);
            known.insert(
                address,
                ManagedResource {
                    id,
                    recorded: None,
                    live,
                    adopted: Some(reason),
                    altered: BTreeMap::new(),
                    held: false,
                },
            );
        }
        Self { names, known, lost }
    }

    /// Whether it exists and cannot be read.
    pub(super) fn is_held(&self, address: &Address) -> bool {
        self.known.get(address).is_some_and(|known| known.held)
    }

    /// Differences between state and server, in the attributes that `managed` returns.
    pub(super) fn drift(&self, managed: impl Fn(&Address) -> Option<Attributes>) -> Vec<Drift> {
        let mut drift = Vec::new();
        for (address, known) in &self.known {
            let Some(recorded) = &known.recorded else { continue };
            let before = match managed(address) {
                Some(managed) => recorded.restricted_to(&managed),
                None => recorded.clone(),
            };
            let after = known.live.as_ref().map(|live| live.restricted_to(&before));
            let fields = match &after {
                Some(after) => differing_fields(&before, after),
                None => Vec::new(),
            };
            if after.is_none() || !fields.is_empty() {
                drift.push(Drift {
                    address: address.clone(),
                    id: known.id,
                    before,
                    after,
                    fields,
                });
            }
        }
        drift
    }
}
