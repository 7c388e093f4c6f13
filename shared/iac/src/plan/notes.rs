//! Notes for the user about the results of a plan.

use std::collections::{BTreeMap, BTreeSet};

use super::document::{Action, Change};
use super::known::ManagedResources;
use crate::grammar::with_article;
use crate::live::LiveServer;
use crate::model::{Attributes, Kind, Snowflake};

/// Notes about resources that are created although the server has an unmanaged resource with the same name.
pub(super) fn notes(changes: &[Change], managed: &ManagedResources, live: &LiveServer) -> Vec<String> {
    let taken: BTreeSet<(Kind, Snowflake)> = managed
        .known
        .iter()
        .map(|(address, known)| (address.kind(), known.id))
        .collect();
    let mut unmanaged: BTreeMap<(Kind, String), Snowflake> = BTreeMap::new();
    for resource in live.resources() {
        let kind = resource.attributes.kind();
        if let Some(name) = key_of(&resource.attributes)
            && !taken.contains(&(kind, resource.id))
        {
            unmanaged.entry((kind, name)).or_insert(resource.id);
        }
    }
    let made = changes.iter().filter(|change| change.action == Action::Create);
    made.filter_map(|change| {
        let kind = change.address.kind();
        let name = key_of(change.after.as_ref()?)?;
        let id = unmanaged.get(&(kind, name))?;
        let (address, shown) = (&change.address, change.name.as_deref().unwrap_or_default());
        if live.get(kind, *id).is_some_and(|found| found.managed) {
            return Some(format!(
                "{address} will be created beside the role `{shown}` ({id}), which an application manages and which stays"
            ));
        }
        Some(format!(
            "{address} will be created although the server has {} `{shown}` that is not managed; \
             `gaib server import {address} {id}` imports that one instead",
            with_article(kind.noun())
        ))
    })
    .collect()
}

/// The key by which a user may confuse resources: the name and, for channels, the kind of channel.
fn key_of(attributes: &Attributes) -> Option<String> {
    match attributes {
        Attributes::Channel(channel) => Some(format!("{} {}", channel.kind.is_voice(), channel.name.as_deref()?)),
        other => other.name().map(str::to_owned),
    }
}
