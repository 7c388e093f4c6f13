//! From what is written to the model: references met, flags obeyed, limits held, order found.
//!
//! Two passes: [`names`] finds every address there is and which of them a flag drops; then one module per kind builds its
//! resources. Each notes what is wrong and goes on.

mod broken;
mod channels;
mod checks;
mod defaults;
mod extras;
mod moderation;
mod names;
mod order;
mod overwrites;
mod roles;
mod server;

use std::collections::BTreeMap;

use arrakis_themes::Problem;
use indexmap::IndexMap;

use super::document::ServerFile;
use super::reader::Reader;
use super::theme::Base;
use super::tree::Mark;
use crate::model::{Address, Attributes, Configuration, Defaults, Kind, Origin, Resource};
use names::Names;

/// Resources as they are built, with where each is written.
pub(crate) struct Draft {
    resources: IndexMap<Address, Attributes>,
    marks: BTreeMap<Address, Mark>,
    warnings: Vec<Problem>,
}

impl Draft {
    /// Where a resource is written; the beginning of the file for one of the theme's.
    fn mark(&self, address: &Address) -> Mark {
        self.marks.get(address).copied().unwrap_or(Mark { line: 1, column: 1 })
    }

    fn put(&mut self, address: Address, attributes: Attributes, at: Mark) {
        self.marks.insert(address.clone(), at);
        self.resources.insert(address, attributes);
    }
}

/// The configuration and what is probably not meant. It counts only when the reader has no problems.
pub(crate) fn resolve(
    document: &ServerFile,
    base: Option<Base>,
    flags: &BTreeMap<String, bool>,
    reader: &mut Reader<'_>,
) -> (Configuration, Vec<Problem>) {
    let base = base.unwrap_or(Base {
        configuration: Configuration::default(),
        absent: BTreeMap::new(),
    });
    let names = Names::of(document, &base, flags, reader);
    let theme = base.configuration.theme;
    let managed_defaults = document
        .defaults
        .as_ref()
        .is_some_and(|defaults| defaults.value.0 == Defaults::Managed);
    let resources = base
        .configuration
        .resources
        .into_iter()
        .map(|(address, one)| (address, one.attributes));
    let mut draft = Draft {
        resources: resources.collect(),
        marks: BTreeMap::new(),
        warnings: Vec::new(),
    };
    server::build(document, &names, &mut draft, reader);
    roles::build(document, &names, &mut draft, reader);
    channels::build(document, &names, &mut draft, reader);
    extras::build(document, &names, &mut draft, reader);
    moderation::build(document, &names, &mut draft, reader);
    order::place(document, &names, &mut draft, reader);
    defaults::apply(document, managed_defaults, &mut draft, reader);
    checks::check(&mut draft, reader);
    let broken_rules = broken::rules(&draft, reader);

    let file = reader.source.file.to_owned();
    let Draft {
        mut resources,
        marks,
        warnings,
    } = draft;
    // Kinds stand together; within a kind the order is the author's.
    resources.sort_by(|one, _, other, _| one.kind().cmp(&other.kind()));
    let resources = resources
        .into_iter()
        .map(|(address, attributes)| {
            let origin = marks.get(&address).map(|at| Origin {
                file: file.clone(),
                line: at.line.into(),
                column: at.column.into(),
            });
            (address, Resource { attributes, origin })
        })
        .collect();
    let configuration = Configuration {
        theme,
        resources,
        managed_defaults,
        broken_rules,
    };
    (configuration, warnings)
}

/// The address of an entry that is there: a good key, known, and dropped by no flag.
fn present(kind: Kind, name: &super::reader::At<String>, names: &Names) -> Option<Address> {
    let address = names::address(kind, &name.value)?;
    (!names.is_dropped(&address)).then_some(address)
}
