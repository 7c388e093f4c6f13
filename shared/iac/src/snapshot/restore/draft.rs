//! The parts of a restoration: configuration, working state, and what cannot be brought back.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;

use super::names::{Naming, entry_by_id, is_managed_after};
use super::order::order_with;
use super::{RestoreInputs, Unmapped, as_it_is};
use crate::export::{self, ExportDetail};
use crate::grammar::counted;
use crate::live::AddressIndex;
use crate::model::{Address, Attributes, Configuration, Image, Kind, Reference, Resource, Snowflake};
use crate::snapshot::fit::fit;
use crate::snapshot::pairs::Pairs;
use crate::snapshot::{ImageRecord, without_tag_ids};
use crate::state::{State, StateEntry};

/// A restoration in the making.
pub(super) struct Draft<'a> {
    inputs: &'a RestoreInputs<'a>,
    pairs: &'a Pairs,
    naming: &'a Naming,
    unmapped: Vec<Unmapped>,
    images: BTreeMap<Address, Option<Image>>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(inputs: &'a RestoreInputs<'a>, pairs: &'a Pairs, naming: &'a Naming) -> Self {
        Self {
            inputs,
            pairs,
            naming,
            unmapped: naming.unmapped.clone(),
            images: BTreeMap::new(),
        }
    }

    /// What cannot be brought back, and the recorded images of resources whose image is restored.
    pub(super) fn finish(self) -> (Vec<Unmapped>, BTreeMap<Address, Option<Image>>) {
        (self.unmapped, self.images)
    }

    fn report(&mut self, what: String, reason: String) {
        self.unmapped.push(Unmapped { what, reason });
    }

    /// The resources of the snapshot as the live server can have them.
    pub(super) fn configuration(&mut self, merged: &State) -> Configuration {
        let record = self.inputs.record;
        let mut configuration = export::from_live(&record.server, &self.naming.names, ExportDetail::Complete);
        let mut lost: BTreeMap<String, usize> = BTreeMap::new();
        let mut restored = IndexMap::new();
        for (address, mut resource) in std::mem::take(&mut configuration.resources) {
            let attributes = &mut resource.attributes;
            without_tag_ids(attributes);
            let is_possible = self.map_references(&address, attributes, &mut lost)
                && self.set_image(&address, attributes, merged)
                && self.set_times(&address, attributes);
            if !is_possible {
                continue;
            }
            let live = self.inputs.live;
            let found = self.naming.found.get(&address);
            let found = found.and_then(|id| live.get(address.kind(), *id));
            for reason in fit(attributes, found.map(|found| &found.attributes), live) {
                self.report(address.to_string(), reason);
            }
            restored.insert(address, resource);
        }
        configuration.resources = restored;
        for (what, count) in lost {
            let verb = if count == 1 { "is" } else { "are" };
            let reason = format!(
                "not on the server any more; {} {verb} restored without it",
                counted(count, "resource")
            );
            self.report(what, reason);
        }
        configuration
    }

    /// Replaces the ids of resources without an address by their present ids. Removes those of deleted resources, and counts
    /// in `lost` the resources that referred to them. `false` where the resource cannot exist without one of them.
    fn map_references(
        &self,
        address: &Address,
        attributes: &mut Attributes,
        lost: &mut BTreeMap<String, usize>,
    ) -> bool {
        let (live, pairs) = (self.inputs.live, self.pairs);
        let mut gone: BTreeMap<Snowflake, Kind> = BTreeMap::new();
        attributes.map_references(&mut |kinds, reference| {
            let Reference::Id(id) = *reference else { return };
            let is_there = |kind: &Kind| live.get(*kind, id).is_some() || live.unreadable(*kind, id).is_some();
            match (pairs.reference(kinds, id), kinds.first()) {
                (Some(later), _) => *reference = Reference::Id(later),
                (None, Some(kind)) if !kinds.iter().any(is_there) => {
                    gone.insert(id, *kind);
                }
                _ => {}
            }
        });
        if gone.is_empty() {
            return true;
        }
        for (id, kind) in &gone {
            *lost.entry(self.describe(*kind, *id)).or_default() += 1;
        }
        let is_gone = |reference: &Reference| matches!(reference, Reference::Id(id) if gone.contains_key(id));
        attributes.remove_references(&is_gone) || self.naming.found.contains_key(address)
    }

    /// A resource of the snapshot that has no address, for messages.
    fn describe(&self, kind: Kind, id: Snowflake) -> String {
        let recorded = self.inputs.record.server.get(kind, id);
        let of = match recorded.is_some_and(|resource| resource.managed) {
            true => " of an application",
            false => "",
        };
        match recorded.and_then(|resource| resource.attributes.name()) {
            Some(name) => format!("the {} `{name}`{of} (id {id})", kind.noun()),
            None => format!("the {} {id}", kind.noun()),
        }
    }

    fn recorded_image(&self, address: &Address) -> Option<&'a ImageRecord> {
        let id = self.naming.names.get(address)?;
        let record = self.inputs.record;
        record
            .images
            .iter()
            .find(|image| image.kind == address.kind() && image.id == *id)
    }

    fn recorded_entry(&self, address: &Address) -> Option<&'a StateEntry> {
        let id = self.naming.names.get(address)?;
        entry_by_id(self.inputs.recorded_state?, address.kind(), *id)
    }

    /// Sets the image: of a new resource the one of the snapshot; of an existing one that of the state, unless it was changed since.
    /// Returns `false`, and reports, where Discord requires an image that the snapshot does not have.
    fn set_image(&mut self, address: &Address, attributes: &mut Attributes, merged: &State) -> bool {
        let Some(definition) = address.kind().image() else {
            return true;
        };
        let recorded = self.recorded_image(address);
        let found = self.naming.found.get(address).copied();
        let is_restored = match found {
            None => recorded.is_some(),
            Some(id) => definition.is_replaceable && recorded.is_some_and(|recorded| self.is_changed(recorded, id)),
        };
        if found.is_none() && recorded.is_none() && definition.is_required {
            self.report(
                address.to_string(),
                "not restored: the snapshot does not have its image".to_owned(),
            );
            return false;
        }
        let image = match recorded.filter(|_| is_restored) {
            Some(recorded) => {
                // The state had the file that was uploaded, which may differ from the one that Discord returns.
                let before = self.recorded_entry(address);
                let before = before.and_then(|entry| entry.attributes.image().cloned());
                self.images.insert(address.clone(), before);
                Some(recorded.image())
            }
            None => {
                let entry = merged.resources.get(address).filter(|entry| Some(entry.id) == found);
                entry.and_then(|entry| entry.attributes.image()).cloned()
            }
        };
        if let Some(attribute) = attributes.image_mut() {
            *attribute = image;
        }
        true
    }

    /// Whether an existing resource has another image than when the snapshot was created.
    fn is_changed(&self, recorded: &ImageRecord, id: Snowflake) -> bool {
        let present = self.inputs.live.images.get(&(recorded.kind, id));
        recorded.id == id && present.is_none_or(|present| present.path != recorded.location)
    }

    /// Discord refuses a start in the past: such an event is not created again, and an existing one keeps its times.
    fn set_times(&mut self, address: &Address, attributes: &mut Attributes) -> bool {
        let now = self.inputs.now_ms;
        let Attributes::Event(event) = attributes else {
            return true;
        };
        if event.start.is_none_or(|start| start.unix_ms() > now) {
            return true;
        }
        if !self.naming.found.contains_key(address) {
            let reason = "not restored: the event began in the past";
            self.report(address.to_string(), reason.to_owned());
            return false;
        }
        (event.start, event.end) = (None, None);
        true
    }

    /// The working state and the borrowed addresses. Existing resources of the snapshot are added to the state.
    pub(super) fn state(&self, mut merged: State, mut borrowed: BTreeSet<Address>) -> (State, BTreeSet<Address>) {
        let live = self.inputs.live;
        let names = self.present_names(&merged);
        for address in self.naming.names.keys() {
            let before = self.recorded_entry(address);
            if !is_managed_after(self.inputs.state, address, before) {
                borrowed.insert(address.clone());
            }
            let Some(id) = self.naming.found.get(address).copied() else {
                continue;
            };
            let Some(found) = live.get(address.kind(), id).filter(|_| merged.id(address) != Some(id)) else {
                continue;
            };
            let mut attributes = names.with_addresses(&found.attributes);
            if let (Some(image), Some(before)) = (attributes.image_mut(), before.filter(|before| before.id == id)) {
                *image = before.attributes.image().cloned();
            }
            merged.altered.remove(address);
            merged.record(address.clone(), StateEntry { id, attributes });
        }
        (merged, borrowed)
    }

    /// The addresses of all resources that exist.
    fn present_names(&self, merged: &State) -> AddressIndex {
        let (live, found) = (self.inputs.live, &self.naming.found);
        let entries = merged.resources.iter().map(|(address, entry)| (address, entry.id));
        let others =
            entries.filter(|(address, id)| !found.contains_key(*address) && live.get(address.kind(), *id).is_some());
        let found = found.iter().map(|(address, id)| (address, *id));
        AddressIndex::new(live.guild_id, live.bot.user_id, others.chain(found))
    }

    /// Adds the existing resources of the state that the snapshot does not have to the configuration, as they are and where they are.
    /// Returns their addresses.
    pub(super) fn keep(&self, configuration: &mut Configuration, state: &State) -> Vec<Address> {
        let live = self.inputs.live;
        let entries = state.resources.iter().filter(|(address, entry)| {
            !configuration.resources.contains_key(*address) && live.get(address.kind(), entry.id).is_some()
        });
        let kept: Vec<Address> = entries.map(|(address, _)| address.clone()).collect();
        if kept.is_empty() {
            return kept;
        }
        let names = state.names(live.guild_id, live.bot.user_id);
        let order = order_with(configuration, &kept, state, live);
        let mut restored = std::mem::take(&mut configuration.resources);
        for address in order {
            let resource = restored.swap_remove(&address).or_else(|| {
                let entry = state.resources.get(&address)?;
                let found = live.get(address.kind(), entry.id)?;
                Some(Resource {
                    attributes: as_it_is(&names, found, entry),
                    origin: None,
                })
            });
            if let Some(resource) = resource {
                configuration.resources.insert(address, resource);
            }
        }
        kept
    }
}
