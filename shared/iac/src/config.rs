//! `discord-server.yaml`: from bytes to a [`Configuration`], or all of its problems.
//!
//! Owns the format, variables and flags, the use of a theme, and the JSON schema. Reports unknown keys, invalid values,
//! unresolved variables and references, cycles and duplicate names, with file, line, column, reason and the most similar
//! spelling. Memory and time are bounded for any input.
//!
//! Steps: `yaml::tree` (YAML with places) → `variables` → `document` (types) → `resolve` (the model). The attributes of each
//! kind are declared in `kinds`.

mod document;
mod merged;
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

pub use merged::changed_theme;
pub use schema::schema;
pub use theme::from_theme;
pub use variables::{VariableFile, VariableInputs};

/// The result of loading a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The configuration.
    pub configuration: Configuration,
    /// Valid input that is probably a mistake.
    pub warnings: Vec<Problem>,
}

/// Loads a configuration. `file` is the name of the file in messages; `themes` are the available themes.
///
/// # Errors
///
/// All problems of the file and of the given variables, in the order of the file.
pub fn load(file: &str, bytes: &[u8], themes: &Registry, inputs: &VariableInputs) -> Result<Loaded, Problems> {
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
    let merged = merged::base(&root, &mut reader);
    let of_theme = merged.as_ref().map(|base| merged::names_of_theme(base, themes));
    reader.scope.flags = flags.keys().cloned().collect();
    let scope = &reader.scope;
    let known: BTreeSet<String> = scope
        .values
        .keys()
        .chain(&scope.broken)
        .chain(flags.keys())
        .cloned()
        .collect();
    variables::refuse_unknown(&given, &known, &of_theme.unwrap_or_default(), &mut reader);

    let document = ServerFile::read(&root, &mut reader);
    let base = theme.or(merged);
    let outcome = document.map(|document| resolve::resolve(&document, base, &flags, &mut reader));
    let problems = reader.finish();
    match outcome {
        Some((configuration, warnings)) if problems.is_empty() => Ok(Loaded {
            configuration,
            warnings,
        }),
        _ => Err(Problems(problems)),
    }
}
