//! Outcomes of creations without a response.
//!
//! Finds the resource, if any, that a request with an unknown outcome created. Discord has no idempotency key for creations,
//! and it may store another name than the one that was sent. So all resources that the server did not have before the
//! request are compared with the attributes that were sent:
//!
//! 1. by the name as Discord is known to store it;
//! 2. by the name without case, white space and ASCII punctuation, which Discord is known to change;
//! 3. by all other attributes, since Discord may have changed the name in another way.
//!
//! The first comparison with exactly one match determines the resource. With several matches, or with new resources that match
//! nothing, the outcome is unclear: the request or another user may have created them, and the operator has to decide.

use std::collections::BTreeSet;

use super::altered;
use crate::live::{AddressIndex, LiveResource, LiveServer};
use crate::model::{Address, Attributes, Kind, Reference, Snowflake, case_folded_name};
use crate::state::{PendingCreation, State};

/// Largest time by which Discord's clock may be behind the clock of the pending record, in milliseconds.
const CLOCK_SKEW_MS: u64 = 5_000;

/// Time after a creation request in which it may still take effect, in milliseconds: much longer than the lifetime of a
/// request.
pub const LATEST_EFFECT_MS: u64 = 600_000;

/// Attributes that separate requests set after the creation.
const LATER: [&str; 3] = ["given_to_bot", "require_tag", "hide_download_options"];

/// The outcome of a creation without a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreationOutcome {
    /// The server has no resource that the request may have created.
    Absent,
    /// The request created this resource.
    Found {
        /// Its id.
        id: Snowflake,
        /// The attributes that the request sent.
        requested: Box<Attributes>,
    },
    /// The request may have created one of these resources, or none.
    Unclear(Vec<Snowflake>),
}

/// Ids of a kind that the server already has and that are not older than a request at `since_ms`. A request after the reading
/// of the server created none of them.
#[must_use]
pub fn ids_before(kind: Kind, live: &LiveServer, since_ms: u64) -> BTreeSet<Snowflake> {
    let earliest = since_ms.saturating_sub(CLOCK_SKEW_MS);
    let readable = live.of_kind(kind).map(|resource| resource.id);
    let unreadable = live.unreadable.iter().map(|value| value.id);
    readable
        .chain(unreadable)
        .filter(|id| id.created_at_ms() >= earliest)
        .collect()
}

/// Finds the resource that a pending creation created.
#[must_use]
pub fn find_pending(address: &Address, pending: &PendingCreation, state: &State, live: &LiveServer) -> CreationOutcome {
    CreationSearch::new(state, live).find(address, pending)
}

/// Managed resources whose creation was repeated after a missing response, with the ids that an earlier request created
/// after all.
#[must_use]
pub fn find_duplicates(state: &State, live: &LiveServer) -> Vec<(Address, Vec<Snowflake>)> {
    let search = CreationSearch::new(state, live);
    let doubles = state.repeated.iter().map(|(address, pending)| {
        let alike = search.similar_candidates(address, pending);
        (address.clone(), alike.into_iter().map(|(id, _)| id).collect::<Vec<_>>())
    });
    doubles.filter(|(_, ids)| !ids.is_empty()).collect()
}

/// A search for created resources, with the resources that are known to have another origin.
pub(super) struct CreationSearch<'a> {
    state: &'a State,
    live: &'a LiveServer,
    /// Resources that were found and are in no state yet.
    found: Vec<(Address, Snowflake)>,
    taken: BTreeSet<(Kind, Snowflake)>,
}

impl<'a> CreationSearch<'a> {
    pub(super) fn new(state: &'a State, live: &'a LiveServer) -> Self {
        let managed = state.resources.iter();
        Self {
            state,
            live,
            found: Vec::new(),
            taken: managed.map(|(address, entry)| (address.kind(), entry.id)).collect(),
        }
    }

    /// Finds one resource, and excludes it from later searches. Search categories before channels: a channel is searched
    /// in the category that was found.
    pub(super) fn find(&mut self, address: &Address, pending: &PendingCreation) -> CreationOutcome {
        let outcome = self.search(address, pending);
        if let CreationOutcome::Found { id, .. } = &outcome {
            self.taken.insert((address.kind(), *id));
            self.found.push((address.clone(), *id));
        }
        outcome
    }

    fn search(&self, address: &Address, pending: &PendingCreation) -> CreationOutcome {
        match self.similar_candidates(address, pending).as_slice() {
            [(id, requested)] => CreationOutcome::Found {
                id: *id,
                requested: Box::new((*requested).clone()),
            },
            [] => match self.other_candidates(address, pending) {
                others if others.is_empty() => CreationOutcome::Absent,
                others => CreationOutcome::Unclear(others),
            },
            several => CreationOutcome::Unclear(several.iter().map(|(id, _)| *id).collect()),
        }
    }

    /// Candidates by the first test that has any, each with the attributes of the request that may have created it.
    fn similar_candidates<'p>(
        &self,
        address: &Address,
        pending: &'p PendingCreation,
    ) -> Vec<(Snowflake, &'p Attributes)> {
        let names = self.names();
        let tests: [(bool, Likeness<'_>); 3] = [
            (false, &|requested, found| {
                requested.stored_name().is_some() && requested.stored_name() == found.stored_name()
            }),
            (true, &|requested, found| {
                let fold = |attributes: &Attributes| attributes.stored_name().map(|name| case_folded_name(&name));
                fold(requested).is_some_and(|name| !name.is_empty() && fold(found) == Some(name))
            }),
            (true, &|requested, found| {
                differs_in_name_alone(requested, found, &names)
            }),
        ];
        let new = self.new_resources(address, pending);
        let passing = tests.iter().map(|(is_bounded, is_like)| {
            let candidates = new.iter().filter(|found| !is_bounded || is_in_time(pending, found.id));
            let alike = candidates.filter_map(|found| {
                let fits = |requested: &&Attributes| {
                    self.is_same_place(requested, &found.attributes) && is_like(requested, &found.attributes)
                };
                Some((found.id, pending.requested().find(fits)?))
            });
            alike.collect::<Vec<_>>()
        });
        passing.into_iter().find(|alike| !alike.is_empty()).unwrap_or_default()
    }

    /// Resources of that time that differ from the requested attributes or cannot be read.
    fn other_candidates(&self, address: &Address, pending: &PendingCreation) -> Vec<Snowflake> {
        let kind = address.kind();
        let readable = self.new_resources(address, pending).into_iter().map(|found| found.id);
        let unreadable = self.live.unreadable.iter().map(|value| value.id);
        let unreadable = unreadable.filter(|id| {
            let is_of_kind = self.live.unreadable(kind, *id).is_some() && self.live.get(kind, *id).is_none();
            is_of_kind && self.is_new(kind, pending, *id)
        });
        let all = readable.chain(unreadable);
        all.filter(|id| is_in_time(pending, *id)).collect()
    }

    /// New resources of the same kind and place.
    fn new_resources(&self, address: &Address, pending: &PendingCreation) -> Vec<&'a LiveResource> {
        let kind = address.kind();
        let new = self.live.of_kind(kind);
        let new = new.filter(|found| self.is_new(kind, pending, found.id) && !found.managed);
        let is_here = |found: &&LiveResource| {
            let mut requested = pending.requested();
            requested.any(|requested| self.is_same_place(requested, &found.attributes))
        };
        new.filter(is_here).collect()
    }

    fn is_new(&self, kind: Kind, pending: &PendingCreation, id: Snowflake) -> bool {
        let earliest = pending.since_ms.saturating_sub(CLOCK_SKEW_MS);
        id.created_at_ms() >= earliest && !self.taken.contains(&(kind, id)) && !pending.others.contains(&id)
    }

    fn names(&self) -> AddressIndex {
        let managed = self.state.resources.iter().map(|(address, entry)| (address, entry.id));
        let found = self.found.iter().map(|(address, id)| (address, *id));
        AddressIndex::new(self.live.guild_id, self.live.bot.user_id, managed.chain(found))
    }

    /// The id to which a reference resolves.
    fn resolve(&self, reference: &Reference) -> Option<Snowflake> {
        match reference {
            Reference::Id(id) => Some(*id),
            Reference::Address(address) => self.state.id(address).or_else(|| {
                let mut found = self.found.iter();
                found.find(|(known, _)| known == address).map(|(_, id)| *id)
            }),
        }
    }

    /// Whether kind and place are as requested, where both are known.
    fn is_same_place(&self, requested: &Attributes, found: &Attributes) -> bool {
        requested.is_same_place(found, &|reference| self.resolve(reference))
    }
}

fn is_in_time(pending: &PendingCreation, id: Snowflake) -> bool {
    id.created_at_ms() <= pending.last_request_ms().saturating_add(LATEST_EFFECT_MS)
}

type Likeness<'a> = &'a dyn Fn(&Attributes, &Attributes) -> bool;

/// Whether all known attributes except the name are as requested.
fn differs_in_name_alone(requested: &Attributes, found: &Attributes, names: &AddressIndex) -> bool {
    let fields: Vec<String> = requested.to_map().keys().cloned().collect();
    let fields: Vec<String> = fields
        .into_iter()
        .filter(|field| !LATER.contains(&field.as_str()))
        .collect();
    let altered = altered::compare(requested, Some(&fields), found, names);
    altered.requested.keys().all(|field| field == "name")
}
