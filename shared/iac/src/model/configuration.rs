//! The configuration: ordered resources with their positions in the file.

use std::collections::BTreeMap;

use arrakis_themes::Settings;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Address, Attributes, BrokenRule, Clearable, Kind, Origin, Reference};

choices! {
    /// The meaning of absent attributes. Discord has no numbers for it.
    pub enum Defaults {
        /// They stay unchanged.
        Unmanaged "unmanaged" = 0,
        /// It has Discord's default.
        Managed "managed" = 1,
    }
}

/// A resource as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// The configured attributes.
    pub attributes: Attributes,
    /// Position in the file; `None` if it is not from a file.
    pub origin: Option<Origin>,
}

/// The theme that a configuration builds on: it refers to the theme, or was written from it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThemeUse {
    /// Its id, `sietch`.
    pub id: String,
    /// Its version, `3.0.0`.
    pub version: String,
    /// [`Configuration::digest`] of the resources that the theme has with these values; empty when it is unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// Values of variables that differ from their defaults, as [`Settings::variables`] has them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// States of flags that differ from their defaults.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub flags: BTreeMap<String, bool>,
}

impl ThemeUse {
    /// The values of variables and flags as settings of the theme.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            variables: self.variables.clone(),
            flags: self.flags.clone(),
        }
    }
}

/// The configuration of a server.
///
/// The order of resources matters: roles from the highest to the lowest, categories and channels from the top. Other resources
/// are not managed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// The theme of the file.
    pub theme: Option<ThemeUse>,
    /// The resources, in order.
    pub resources: IndexMap<Address, Resource>,
    /// Whether absent attributes have their defaults (`defaults: managed`). `resources` contain these defaults; the field
    /// determines how the configuration is written.
    #[serde(default)]
    pub managed_defaults: bool,
    /// Rules of Discord that its values break: see [`BrokenRule`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub broken_rules: Vec<BrokenRule>,
}

impl Configuration {
    /// The attributes of a resource.
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

    /// The channels of a category, in order; `None` for those in no category or without a configured one.
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

    /// SHA-256 of the resources and their order in hexadecimal, without positions in the file.
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
