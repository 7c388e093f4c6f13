//! Resources of a file as they are built.

use std::collections::BTreeMap;

use arrakis_themes::Problem;
use indexmap::IndexMap;

use super::Attributes;
use crate::values::{Address, Image, Kind, RulePart};
use crate::yaml::reader::{At, Reader};
use crate::yaml::scalar::{List, Named, Text};
use crate::yaml::tree::Mark;
use crate::yaml::{KnownAddresses, entries};

/// Resources as they are built, with where each is written.
#[derive(Default)]
pub(crate) struct Draft {
    pub(crate) resources: IndexMap<Address, Attributes>,
    pub(crate) marks: BTreeMap<Address, Mark>,
    pub(crate) warnings: Vec<Problem>,
}

impl Draft {
    /// Where a resource is written; the beginning of the file for one of the theme's.
    pub(crate) fn mark(&self, address: &Address) -> Mark {
        self.marks.get(address).copied().unwrap_or(Mark { line: 1, column: 1 })
    }

    pub(crate) fn put(&mut self, address: Address, attributes: Attributes, at: Mark) {
        self.marks.insert(address.clone(), at);
        self.resources.insert(address, attributes);
    }
}

/// A section of the file: the resources of a kind, or the one resource of a kind.
pub(crate) trait Section: Sized {
    /// Builds the resources. Problems are collected in the reader.
    fn build(section: &At<Self>, names: &KnownAddresses, draft: &mut Draft, reader: &mut Reader<'_>);
}

/// The keys that every resource of a file has.
pub(crate) trait ResourceEntry {
    /// Attributes that are left as they are.
    fn unmanaged(&self) -> Option<&At<List<Text<1, 50>>>>;

    /// The keys that are written.
    fn written(&self) -> Vec<&'static str>;

    /// The flag that removes it while the flag is off; `None` for a kind without flags.
    fn flag(&self) -> Option<&At<Text<1, 50>>>;
}

/// Resources of a section, each with its name; the one resource of a kind has none.
pub(crate) trait Entries {
    fn resources(&self) -> Vec<(Option<&At<String>>, &dyn ResourceEntry)>;
}

impl<E: ResourceEntry> Entries for At<Named<E>> {
    fn resources(&self) -> Vec<(Option<&At<String>>, &dyn ResourceEntry)> {
        let mut all: Vec<(Option<&At<String>>, &dyn ResourceEntry)> = Vec::new();
        for (name, entry) in entries(Some(self)) {
            all.push((Some(name), &entry.value));
        }
        all
    }
}

impl<E: ResourceEntry> Entries for At<E> {
    fn resources(&self) -> Vec<(Option<&At<String>>, &dyn ResourceEntry)> {
        vec![(None, &self.value)]
    }
}

/// Declares what of an entry every resource has.
macro_rules! resource_entry {
    ($name:ident) => {
        resource_entry!(@ $name, |_entry| None);
    };
    ($name:ident, flag) => {
        resource_entry!(@ $name, |entry| entry.flag.as_ref());
    };
    (@ $name:ident, |$entry:ident| $flag:expr) => {
        impl $crate::kinds::ResourceEntry for $name {
            fn unmanaged(&self) -> Option<&$crate::yaml::reader::At<$crate::yaml::scalar::List<$crate::yaml::scalar::Text<1, 50>>>> {
                self.unmanaged.as_ref()
            }

            fn written(&self) -> Vec<&'static str> {
                Self::written(self)
            }

            fn flag(&self) -> Option<&$crate::yaml::reader::At<$crate::yaml::scalar::Text<1, 50>>> {
                let $entry = self;
                $flag
            }
        }
    };
}
pub(crate) use resource_entry;

/// The part of a resource that is this attribute.
pub(crate) fn attribute(name: &str) -> [RulePart; 1] {
    [RulePart::Attribute(name.to_owned())]
}

/// The image at a path. The file is read when the plan is made or applied.
pub(crate) fn image(path: Option<&At<Text<1, 1024>>>) -> Option<Image> {
    path.map(|path| Image {
        path: path.value.0.clone(),
        sha256: None,
    })
}

/// The entries of a section that are present, each with its address.
pub(crate) fn present<'a, E>(
    section: &'a At<Named<E>>,
    kind: Kind,
    names: &KnownAddresses,
) -> Vec<(Address, &'a At<String>, &'a At<E>)> {
    let entries = entries(Some(section)).iter();
    entries
        .filter_map(|(name, entry)| Some((names.present(kind, name)?, name, entry)))
        .collect()
}
