//! Removes ids that do not exist on the server from a configuration, such as an export of another server.

use super::compare::differing_fields;
use super::known::ManagedResources;
use super::preflight::exists;
use crate::live::LiveServer;
use crate::model::{Attributes, Configuration, Reference, Snowflake};

/// Removes ids that the server does not have, in attributes that differ from the server. Returns a note for each changed
/// resource.
pub(super) fn prune(configuration: &mut Configuration, managed: &ManagedResources, live: &LiveServer) -> Vec<String> {
    let mut notes = Vec::new();
    configuration.resources.retain(|address, resource| {
        let known = managed.known.get(address).and_then(|known| known.live.as_ref());
        let differs = |field: &str| {
            known.is_none_or(|known| {
                let wanted = managed.names.with_addresses(&resource.attributes);
                differing_fields(&wanted, known).iter().any(|name| name == field)
            })
        };
        let gone = unknown_ids(&resource.attributes, differs, live);
        if gone.is_empty() {
            return true;
        }
        let is_gone = |reference: &Reference| matches!(reference, Reference::Id(id) if gone.contains(id));
        let stays = resource.attributes.remove_references(&is_gone) || known.is_some();
        let ids: Vec<String> = gone.iter().map(ToString::to_string).collect();
        let what = if stays {
            "loses its references to"
        } else {
            "is ignored because it requires"
        };
        notes.push(format!("{address} {what} {}: not on this server", ids.join(", ")));
        stays
    });
    notes
}

/// Ids in changed attributes that the server does not have.
fn unknown_ids(attributes: &Attributes, differs: impl Fn(&str) -> bool, live: &LiveServer) -> Vec<Snowflake> {
    let mut gone = Vec::new();
    for field in attributes.fields().iter().filter(|field| differs(field)) {
        let mut one = attributes.clone();
        let others = attributes.fields().iter().filter(|other| *other != field);
        others.for_each(|other| one.release(other));
        one.map_references(&mut |kinds, reference| {
            if let Reference::Id(id) = reference
                && !exists(live, kinds, *id)
                && !gone.contains(id)
            {
                gone.push(*id);
            }
        });
    }
    gone
}
