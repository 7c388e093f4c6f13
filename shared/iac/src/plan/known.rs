//! What is managed, with what the server says of it: the state, refreshed.
//!
//! Finds again what an interrupted apply made (its pending record says what to look for), and notices what somebody else
//! changed or removed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::compare::{differing_fields, filled, normalised};
use super::document::{Drift, Reason};
use super::tags;
use crate::live::{Live, LiveResource, Names};
use crate::model::{Address, Attributes, Clearable, Kind, Reference, Snowflake, same_name};
use crate::state::{Pending, State};

/// How far Discord's clock may be behind the one that wrote the pending record, in milliseconds.
const CLOCK_SKEW_MS: u64 = 5_000;

/// A managed resource.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// Its id.
    pub(super) id: Snowflake,
    /// What the state says; `None` when it is not in there yet.
    pub(super) recorded: Option<Attributes>,
    /// What the server says, references by address; `None` when it is gone.
    pub(super) live: Option<Attributes>,
    /// Why it is to be taken into the state, when it is not in there yet.
    pub(super) adopted: Option<Reason>,
    /// What was asked for and is kept otherwise by Discord (see [`super::altered`]).
    pub(super) altered: BTreeMap<String, Value>,
}

/// All of it.
#[derive(Clone, Debug)]
pub(super) struct Managed {
    pub(super) names: Names,
    pub(super) known: BTreeMap<Address, Known>,
    /// Pending records of which nothing was found.
    pub(super) lost: Vec<Address>,
}

impl Managed {
    /// Looks everything up. `configured` names the resources that are there on every server and may have to be adopted.
    pub(super) fn find<'a>(state: &State, live: &Live, configured: impl Iterator<Item = &'a Address>) -> Self {
        let mut ids: BTreeMap<Address, (Snowflake, Reason)> = BTreeMap::new();
        let mut lost = Vec::new();
        let mut taken: BTreeSet<(Kind, Snowflake)> = state
            .resources
            .iter()
            .map(|(address, entry)| (address.kind(), entry.id))
            .collect();
        // Categories before channels: a channel is looked for in the category that was found.
        for (address, pending) in &state.pending {
            if state.resources.contains_key(address) {
                continue;
            }
            match look_for(address, pending, state, live, &ids, &taken) {
                Some(id) => {
                    taken.insert((address.kind(), id));
                    ids.insert(address.clone(), (id, Reason::FoundAgain));
                }
                None => lost.push(address.clone()),
            }
        }
        for address in configured.filter(|address| address.is_permanent()) {
            if !state.resources.contains_key(address) && live.get(address.kind(), live.guild_id).is_some() {
                ids.insert(address.clone(), (live.guild_id, Reason::AlwaysThere));
            }
        }
        // An id that is gone stands for nothing: what still refers to it refers to the old thing, not to its successor.
        let recorded = state.resources.iter().map(|(address, entry)| (address, entry.id));
        let all = recorded.chain(ids.iter().map(|(address, (id, _))| (address, *id)));
        let names = Names::new(
            live.guild_id,
            live.bot.user_id,
            all.filter(|(address, id)| live.get(address.kind(), *id).is_some()),
        );
        let attributes_of = |address: &Address, id| {
            let found: Option<&LiveResource> = live.get(address.kind(), id);
            found.map(|resource| normalised(names.localised(&resource.attributes)))
        };
        let mut known = BTreeMap::new();
        for (address, entry) in &state.resources {
            let mut recorded = normalised(names.localised(&entry.attributes));
            let live = attributes_of(address, entry.id).map(|live| filled(live, &recorded));
            tags::fill_ids(&mut recorded, live.as_ref());
            let one = Known {
                id: entry.id,
                recorded: Some(recorded),
                live,
                adopted: None,
                altered: state.altered.get(address).cloned().unwrap_or_default(),
            };
            known.insert(address.clone(), one);
        }
        for (address, (id, reason)) in ids {
            let live = attributes_of(&address, id);
            known.insert(
                address,
                Known {
                    id,
                    recorded: None,
                    live,
                    adopted: Some(reason),
                    altered: BTreeMap::new(),
                },
            );
        }
        Self { names, known, lost }
    }

    /// What somebody else changed, of the attributes that the state has and `managed` keeps.
    pub(super) fn drift(&self, managed: impl Fn(&Address) -> Option<Attributes>) -> Vec<Drift> {
        let mut drift = Vec::new();
        for (address, known) in &self.known {
            let Some(recorded) = &known.recorded else { continue };
            let before = match managed(address) {
                Some(managed) => recorded.narrowed_to(&managed),
                None => recorded.clone(),
            };
            let after = known.live.as_ref().map(|live| live.narrowed_to(&before));
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

/// What a creation made whose end is not known, if it is on the server and in no state yet.
#[must_use]
pub fn find_pending(address: &Address, pending: &Pending, state: &State, live: &Live) -> Option<Snowflake> {
    let managed = state
        .resources
        .iter()
        .map(|(address, entry)| (address.kind(), entry.id));
    look_for(address, pending, state, live, &BTreeMap::new(), &managed.collect())
}

/// What a create whose answer was lost may have made: of the same kind and name, in the same category, not older than the
/// request, and nobody's else. Of several the oldest, which is the first that could have been it.
fn look_for(
    address: &Address,
    pending: &Pending,
    state: &State,
    live: &Live,
    found: &BTreeMap<Address, (Snowflake, Reason)>,
    taken: &BTreeSet<(Kind, Snowflake)>,
) -> Option<Snowflake> {
    let resolve = |reference: &Reference| match reference {
        Reference::Id(id) => Some(*id),
        Reference::Address(address) => state.id(address).or_else(|| found.get(address).map(|(id, _)| *id)),
    };
    let earliest = pending.since_ms.saturating_sub(CLOCK_SKEW_MS);
    live.of_kind(address.kind())
        .filter(|resource| resource.id.created_at_ms() >= earliest && !resource.managed)
        .filter(|resource| !taken.contains(&(address.kind(), resource.id)) && !pending.others.contains(&resource.id))
        .find(|resource| {
            pending
                .asked()
                .any(|asked| is_like(asked, &resource.attributes, &resolve))
        })
        .map(|resource| resource.id)
}

fn is_like(asked: &Attributes, found: &Attributes, resolve: &impl Fn(&Reference) -> Option<Snowflake>) -> bool {
    match (asked, found) {
        (Attributes::Channel(asked), Attributes::Channel(found))
        | (Attributes::Category(asked), Attributes::Category(found)) => {
            let parent = |category: &Option<Clearable<Reference>>| {
                category.as_ref().and_then(Clearable::value).and_then(resolve)
            };
            let names = asked.name.as_deref().zip(found.name.as_deref());
            asked.kind == found.kind
                && names.is_some_and(|(one, other)| same_name(found.kind, one, other))
                && (asked.category.is_none() || parent(&asked.category) == parent(&found.category))
        }
        _ => asked.name().is_some() && asked.name() == found.name(),
    }
}
