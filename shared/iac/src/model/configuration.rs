//! What a server should be: resources in order, each with the place where it is written.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Address, Attributes, BrokenRule, Clearable, Kind, Origin, Reference};

choices! {
    /// What an attribute means that a configuration does not write. Discord has no numbers for it.
    pub enum Defaults {
        /// It is left as it is.
        Unmanaged "unmanaged" = 0,
        /// It has Discord's default.
        Managed "managed" = 1,
    }
}

/// A resource as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// What it should be.
    pub attributes: Attributes,
    /// Where it is written; `None` when no file says it.
    pub origin: Option<Origin>,
}

/// The theme that a configuration builds on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThemeUse {
    /// Its id, `sietch`.
    pub id: String,
    /// Its version, `3.0.0`.
    pub version: String,
}

/// What a server should be.
///
/// The order of resources means something: roles stand from the highest to the lowest, categories and channels from the
/// top to the bottom. What is not here is not managed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// The theme it builds on, for the registry of deployments.
    pub theme: Option<ThemeUse>,
    /// The resources, in order.
    pub resources: IndexMap<Address, Resource>,
    /// Whether the file leaves out attributes that have their default and means them (`defaults: managed`). `resources` have
    /// them all the same; this is how the configuration is written.
    #[serde(default)]
    pub managed_defaults: bool,
    /// Rules of Discord's that values of it break: see [`BrokenRule`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub broken_rules: Vec<BrokenRule>,
}

impl Configuration {
    /// A resource's attributes.
    #[must_use]
    pub fn get(&self, address: &Address) -> Option<&Attributes> {
        self.resources.get(address).map(|resource| &resource.attributes)
    }

    /// The resources of one kind, in order.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = (&Address, &Attributes)> {
        self.resources
            .iter()
            .filter(move |(address, _)| address.kind() == kind)
            .map(|(address, resource)| (address, &resource.attributes))
    }

    /// The channels whose category is this one, in order; `None` for those in no category or one that is not said.
    pub fn channels_in<'a>(&'a self, category: Option<&'a Address>) -> impl Iterator<Item = &'a Address> {
        self.resources
            .iter()
            .filter_map(move |(address, resource)| match &resource.attributes {
                Attributes::Channel(channel) => {
                    let own = channel
                        .category
                        .as_ref()
                        .and_then(Clearable::value)
                        .and_then(Reference::address);
                    (own == category).then_some(address)
                }
                _ => None,
            })
    }

    /// SHA-256, in hexadecimal, of what it says and in which order; where it is written changes nothing.
    #[must_use]
    pub fn digest(&self) -> String {
        let said: Vec<(&Address, &Attributes)> = self
            .resources
            .iter()
            .map(|(address, resource)| (address, &resource.attributes))
            .collect();
        let bytes = serde_json::to_vec(&said).unwrap_or_default();
        hex::encode(Sha256::digest(bytes))
    }
}
