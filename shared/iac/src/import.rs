//! Import: matches addresses of the configuration with existing resources of the server.
//!
//! Owns the matching by name. An address with several candidates is not matched.

use std::collections::{BTreeMap, BTreeSet};

use crate::export;
use crate::live::{LiveResource, LiveServer};
use crate::model::{Address, Attributes, Clearable, Configuration, Kind, Reference, Snowflake, normalised_name};
use crate::state::{State, StateEntry, StateError};

/// The existing resources that match a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportMatches {
    /// Addresses that are not in the state, with the ids of their resources, in an order in which they can be imported.
    pub found: Vec<(Address, Snowflake)>,
    /// Configured addresses without a resource on the server, or with several candidates.
    pub missing: Vec<Address>,
    /// Resources of the server that are neither managed nor configured.
    pub left: Vec<(Kind, Snowflake)>,
}

/// A resource that cannot be imported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// No resource of the kind has the id.
    #[error("the server has no {} with the id {id}", kind.noun())]
    NotThere {
        /// The kind.
        kind: Kind,
        /// The id.
        id: Snowflake,
    },
    /// The resource exists and has an unknown type.
    #[error("the {} {id} cannot be read: Discord sent `{value}` as its kind, which is unknown to this version of gaib", kind.noun())]
    Unreadable {
        /// The kind.
        kind: Kind,
        /// The id.
        id: Snowflake,
        /// The type that Discord sent.
        value: String,
    },
    /// A role of an application, of boosting or of a subscription.
    #[error(
        "the role `{0}` is managed by an application or by boosting; it can be neither created nor deleted, so gaib cannot manage it"
    )]
    OfAnApplication(String),
    /// The address or the id is in the state already.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Imports a resource into the state.
///
/// # Errors
/// It does not exist or cannot be managed, or the address or id is in the state already.
pub fn import(
    address: &Address,
    id: Snowflake,
    configuration: Option<&Configuration>,
    state: &mut State,
    live: &LiveServer,
) -> Result<(), ImportError> {
    let kind = address.kind();
    let absent = || match live.unreadable(kind, id) {
        Some(value) => ImportError::Unreadable {
            kind,
            id,
            value: value.value.clone(),
        },
        None => ImportError::NotThere { kind, id },
    };
    let found = live.get(kind, id).ok_or_else(absent)?;
    if found.managed {
        let name = found.attributes.name().unwrap_or_default().to_owned();
        return Err(ImportError::OfAnApplication(name));
    }
    let names = state.names(live.guild_id, live.bot.user_id);
    let mut attributes = names.with_addresses(&found.attributes);
    if let Some(wanted) = configuration.and_then(|configuration| configuration.get(address)) {
        attributes = attributes.restricted_to(wanted);
        let is_export = configuration.is_some_and(|configuration| configuration.managed_defaults);
        take_image(
            &mut attributes,
            wanted,
            is_export && live.images.contains_key(&(kind, id)),
        );
    }
    state.guild_id = Some(live.guild_id);
    Ok(state.import(address.clone(), StateEntry { id, attributes })?)
}

/// Discord does not return images. An image that cannot be changed (of an emoji or sticker) is assumed to be the existing one.
/// An image of an export that can be changed is the downloaded one.
fn take_image(attributes: &mut Attributes, wanted: &Attributes, is_downloaded: bool) {
    let is_replaceable = attributes.kind().image().is_some_and(|image| image.is_replaceable);
    if (!is_replaceable || is_downloaded)
        && let Some(image) = attributes.image_mut()
    {
        *image = wanted.image().cloned();
    }
}

/// Matches configured addresses that are not in the state with resources of the server.
#[must_use]
pub fn matches(configuration: &Configuration, state: &State, live: &LiveServer) -> ImportMatches {
    let managed: BTreeMap<Address, Snowflake> = state
        .resources
        .iter()
        .map(|(address, entry)| (address.clone(), entry.id))
        .collect();
    // An export is deterministic: a configuration from an export matches by address.
    let exported = export::assign(live, &managed);
    let mut search = ImportSearch {
        live,
        found: managed.clone(),
        taken: managed_ids(&managed),
    };
    let mut matches = ImportMatches::default();
    let mut kinds: Vec<(&Address, &Attributes)> = configuration
        .resources
        .iter()
        .map(|(address, resource)| (address, &resource.attributes))
        .collect();
    kinds.sort_by_key(|(address, _)| address.kind());
    for (address, attributes) in kinds {
        if managed.contains_key(address) {
            continue;
        }
        match search.find(address, attributes, exported.get(address).copied()) {
            Some(id) => {
                search.taken.insert((address.kind(), id));
                search.found.insert(address.clone(), id);
                matches.found.push((address.clone(), id));
            }
            None => matches.missing.push(address.clone()),
        }
    }
    let left = live
        .resources()
        .filter(|resource| !resource.managed && !is_permanent(resource, live));
    let left = left.map(|resource| (resource.attributes.kind(), resource.id));
    matches.left = left.filter(|key| !search.taken.contains(key)).collect();
    matches
}

fn managed_ids(managed: &BTreeMap<Address, Snowflake>) -> BTreeSet<(Kind, Snowflake)> {
    managed.iter().map(|(address, id)| (address.kind(), *id)).collect()
}

fn is_permanent(resource: &LiveResource, live: &LiveServer) -> bool {
    let kind = resource.attributes.kind();
    kind.is_single() || (kind == Kind::Role && resource.id == live.guild_id)
}

struct ImportSearch<'a> {
    live: &'a LiveServer,
    found: BTreeMap<Address, Snowflake>,
    taken: BTreeSet<(Kind, Snowflake)>,
}

impl ImportSearch<'_> {
    fn find(&self, address: &Address, wanted: &Attributes, exported: Option<Snowflake>) -> Option<Snowflake> {
        let kind = address.kind();
        if address.is_permanent() {
            return self.live.get(kind, self.live.guild_id).map(|found| found.id);
        }
        let free = |id: &Snowflake| !self.taken.contains(&(kind, *id));
        let like = |found: &&LiveResource| free(&found.id) && !found.managed && self.is_like(wanted, &found.attributes);
        let by_name: Vec<Snowflake> = self.live.of_kind(kind).filter(like).map(|found| found.id).collect();
        match (by_name.as_slice(), exported.filter(free)) {
            (several, Some(exported)) if several.contains(&exported) => Some(exported),
            ([one], _) => Some(*one),
            _ => None,
        }
    }

    /// Whether the names are equal and, for channels, the configured kind and category.
    fn is_like(&self, wanted: &Attributes, found: &Attributes) -> bool {
        match (wanted, found) {
            (Attributes::Channel(wanted), Attributes::Channel(found))
            | (Attributes::Category(wanted), Attributes::Category(found)) => {
                let name = |name: &Option<String>| name.as_deref().map(|name| normalised_name(found.kind, name));
                let same_kind = wanted.kind == found.kind || wanted.kind.converts_to(found.kind);
                let category = wanted
                    .category
                    .as_ref()
                    .map(|category| category.value().map(|one| self.resolve(one)));
                let there = found
                    .category
                    .as_ref()
                    .and_then(Clearable::value)
                    .map(|one| self.resolve(one));
                same_kind
                    && name(&wanted.name) == name(&found.name)
                    && category.is_none_or(|category| category == there)
            }
            _ => wanted.name().is_some() && wanted.name() == found.name(),
        }
    }

    fn resolve(&self, reference: &Reference) -> Option<Snowflake> {
        match reference {
            Reference::Id(id) => Some(*id),
            Reference::Address(address) => self.found.get(address).copied(),
        }
    }
}
