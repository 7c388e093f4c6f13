//! `discord-server.yaml`: from bytes to a [`Configuration`], or everything that is wrong with them at once.
//!
//! Owns the format, variables and flags, the use of a theme, and the JSON schema. Refuses, with file, line, column, reason
//! and, where one is near, the right spelling: unknown keys, bad values, unresolved variables and references, cycles,
//! duplicate names, Discord's limits. Whatever the bytes are, memory and time are bounded.
//!
//! Steps: `yaml::tree` (YAML with places) → `variables` → `document` (types) → `resolve` (the model). What the resources of a
//! kind may have is declared in `kinds`.

mod document;
mod resolve;
mod schema;
mod theme;
mod variables;

use std::collections::BTreeSet;

use arrakis_themes::{Problem, Problems, Registry};

use crate::model::Configuration;
use crate::yaml::reader::{FromNode, Reader};
use crate::yaml::scalar::Named;
use crate::yaml::tree::{self, Source};
use document::{FlagEntry, ServerFile, VariableEntry};
use variables::ThemeEntry;

pub use schema::schema;
pub use theme::from_theme;
pub use variables::{Inputs, VariableFile};

/// What a file was read to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// What the server should be.
    pub configuration: Configuration,
    /// What is allowed and probably not meant.
    pub warnings: Vec<Problem>,
}

/// Reads a configuration. `file` is what a person calls it; `themes` are those it may build on.
///
/// # Errors
///
/// Everything that is wrong with the file and with what was given for its variables, in the order of the file.
pub fn load(file: &str, bytes: &[u8], themes: &Registry, inputs: &Inputs) -> Result<Loaded, Problems> {
    let text = tree::text(file, bytes).map_err(|problem| Problems(vec![problem]))?;
    let source = Source::new(file, text);
    let mut problems = Vec::new();
    let root = tree::parse(&source, text, &mut problems);
    let mut reader = Reader::new(&source, problems);
    let Some(root) = root else {
        return Err(Problems(reader.finish()));
    };

    let given = variables::given(inputs, &mut reader);
    let part = |key: &str| root.get(key).map(|(_, node)| node.as_ref());
    let declared = part("variables").and_then(|node| Named::<VariableEntry>::read(node, &mut reader));
    variables::declare(&declared.unwrap_or_default(), &given, &mut reader);
    let declared = part("flags").and_then(|node| Named::<FlagEntry>::read(node, &mut reader));
    let mut flags = variables::declare_flags(&declared.unwrap_or_default(), &given, &mut reader);
    let theme = part("theme").and_then(|node| ThemeEntry::read(node, &mut reader));
    let theme = theme.and_then(|entry| theme::used(&entry.0, themes, &given, &mut flags, &mut reader));
    reader.scope.flags = flags.keys().cloned().collect();
    let scope = &reader.scope;
    let known: BTreeSet<String> = scope
        .values
        .keys()
        .chain(&scope.broken)
        .chain(flags.keys())
        .cloned()
        .collect();
    variables::refuse_unknown(&given, &known, &mut reader);

    let document = ServerFile::read(&root, &mut reader);
    let outcome = document.map(|document| resolve::resolve(&document, theme, &flags, &mut reader));
    let problems = reader.finish();
    match outcome {
        Some((configuration, warnings)) if problems.is_empty() => Ok(Loaded {
            configuration,
            warnings,
        }),
        _ => Err(Problems(problems)),
    }
}
