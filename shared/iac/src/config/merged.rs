//! `from_theme`: the theme that a file was written from. It is a record and adds no resources, so the file is valid without the
//! theme.

use std::collections::{BTreeMap, BTreeSet};

use arrakis_themes::Registry;

use super::theme::{Base, from_theme};
use super::variables::check_name;
use crate::model::{Configuration, ThemeUse};
use crate::yaml::reader::{At, FromNode, MAX_EXPANDED, Reader};
use crate::yaml::scalar::{Named, Text, Truth};
use crate::yaml::tree::Node;

document! {
    /// The theme that this file was written from.
    pub(crate) struct FromThemeEntry {
        /// The id, like `sietch`.
        name: Text<1, 50>,
        /// The version of the theme at that time.
        version: Text<1, 50>,
        /// SHA-256 of the resources of the theme at that time, in hexadecimal.
        digest: Text<64, 64>,
        /// Values of variables of the theme that are not their defaults.
        variables: Named<Text<0, MAX_EXPANDED>>,
        /// States of flags of the theme that are not their defaults.
        flags: Named<Truth>,
    }
}

/// The base of a file that was written from a theme: the record, without resources.
pub(super) fn base(root: &Node, reader: &mut Reader<'_>) -> Option<Base> {
    let (key, node) = root.get("from_theme")?;
    if root.get("theme").is_some() {
        let at = if key.at.line == 0 { node.at } else { key.at };
        reader.refuse(
            at,
            "`theme` and `from_theme` exclude each other: `theme` adds the resources of a theme, `from_theme` records that they are \
             written in this file",
        );
    }
    let theme = read(node, reader)?;
    Some(Base {
        configuration: Configuration {
            theme: Some(theme),
            ..Configuration::default()
        },
        absent: BTreeMap::new(),
    })
}

fn read(node: &Node, reader: &mut Reader<'_>) -> Option<ThemeUse> {
    let entry = FromThemeEntry::read(node, reader)?;
    for (key, is_missing) in [("name", entry.name.is_none()), ("version", entry.version.is_none())] {
        if is_missing && node.get(key).is_none() {
            reader.refuse(node.at, format!("the `{key}` of the theme is missing"));
        }
    }
    let mut variables = BTreeMap::new();
    for (name, value) in entry.variables.iter().flat_map(|variables| &variables.value.0) {
        if check_name(name, reader) {
            variables.insert(name.value.clone(), value.value.0.clone());
        }
    }
    let mut flags = BTreeMap::new();
    for (name, value) in entry.flags.iter().flat_map(|flags| &flags.value.0) {
        if check_name(name, reader) {
            flags.insert(name.value.clone(), value.value.0);
        }
    }
    let text = |At { value: Text(text), .. }: At<Text<1, 50>>| text;
    Some(ThemeUse {
        id: text(entry.name?),
        version: text(entry.version?),
        digest: entry.digest.map(|digest| digest.value.0).unwrap_or_default(),
        variables,
        flags,
    })
}

/// Names of the variables and flags of the theme that a file was written from. Values for them have no effect there.
pub(super) fn names_of_theme(base: &Base, themes: &Registry) -> BTreeSet<String> {
    let used = base.configuration.theme.as_ref();
    let theme = used.and_then(|used| themes.theme(&used.id).ok());
    let names = theme
        .into_iter()
        .flat_map(|theme| theme.variables.keys().chain(theme.flags.keys()));
    names.cloned().collect()
}

/// The theme of a configuration as `themes` have it now, with the same values of variables and flags, where its version or its
/// resources have changed since the file was written from it. `None` when they are the same, and when there is no such theme.
#[must_use]
pub fn changed_theme(configuration: &Configuration, themes: &Registry) -> Option<ThemeUse> {
    let recorded = configuration.theme.as_ref()?;
    let current = match themes.with_settings(&recorded.id, &recorded.settings()) {
        Ok(theme) => from_theme(&theme),
        // The theme may no longer have a variable, or have it with another type.
        Err(_) => from_theme(themes.theme(&recorded.id).ok()?),
    };
    let is_same = |current: &ThemeUse| {
        current.version == recorded.version && (recorded.digest.is_empty() || current.digest == recorded.digest)
    };
    current.theme.filter(|current| !is_same(current))
}
