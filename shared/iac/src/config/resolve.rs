//! From the document to the model: resolves references and flags, checks limits and determines the order.
//!
//! Two passes: [`names`] collects all addresses and those that a flag removes; then each kind builds its resources (see
//! `kinds`). Problems are collected in the reader.

mod broken;
mod checks;
mod defaults;
mod names;
mod order;

use std::collections::BTreeMap;

use arrakis_themes::Problem;

use super::document::ServerFile;
use super::theme::Base;
use crate::kinds::Draft;
use crate::model::{Configuration, Defaults, Origin, Resource};
use crate::yaml::reader::Reader;

/// The configuration and its warnings. Valid only if the reader has no problems.
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
    let names = names::of(document, &base, flags, reader);
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
    document.build(&names, &mut draft, reader);
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
    // Grouped by kind; within a kind, in the order of the file.
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
