//! Variables and flags: their defaults and the values that an operator set.

use std::collections::BTreeMap;

use arrakis_domain::{Color, FeatureFlag, Value, Variable, VariableType};

use super::reader::Reader;
use crate::document::{DefaultValue, VariableEntry, VariableKind};
use crate::problem::Problem;
use crate::settings::Settings;
use crate::template::ThemeTemplate;
use crate::values::{expand, is_name, parse_value};

/// File name in problems of settings.
const SETTINGS: &str = "settings";

/// Variables by name, with their resolved values.
pub(crate) fn variables(template: &ThemeTemplate, settings: &Settings) -> (BTreeMap<String, Variable>, Vec<Problem>) {
    let entries = &template.manifest.variables;
    let none = BTreeMap::new();
    let mut reader = Reader::new(&template.folder, "theme.yaml", &none);
    let mut variables = BTreeMap::new();
    for (name, entry) in entries {
        check_name(name, entry.referenced, &mut reader);
        let kind = kind_of(&entry.value);
        let written = default_text(name, entries, &mut Vec::new());
        let at = entry.value.default.referenced;
        let default = match (&entry.value.default.value, written) {
            (DefaultValue::List(items), _) if kind == VariableType::List => Ok(Value::List(items.clone())),
            (DefaultValue::List(_), _) => Err("a list is written here".to_owned()),
            (_, Ok(_)) if kind == VariableType::List => Err("write a list here, like `[one, two]`".to_owned()),
            (_, Ok(text)) => parse_value(kind, &text),
            (_, Err(reason)) => Err(reason),
        };
        let default = default.unwrap_or_else(|reason| {
            reader.refuse(
                at,
                format!("the default of `{name}`, a {}, does not fit: {reason}", kind.as_str()),
            );
            placeholder(kind)
        });
        let value = match settings.variables.get(name).map(|text| parse_value(kind, text)) {
            None => default.clone(),
            Some(Ok(value)) => value,
            Some(Err(reason)) => {
                reader.problems.push(Problem::about(
                    SETTINGS,
                    format!("`{name}`, a {}: {reason}", kind.as_str()),
                ));
                default.clone()
            }
        };
        let description = entry.value.description.value.clone();
        variables.insert(
            name.clone(),
            Variable {
                description,
                default,
                value,
            },
        );
    }
    for name in settings.variables.keys().filter(|name| !entries.contains_key(*name)) {
        let problem = Problem::about(SETTINGS, format!("the theme has no variable `{name}`"));
        reader
            .problems
            .push(problem.suggesting(name, entries.keys().map(String::as_str)));
    }
    (variables, reader.problems)
}

/// Flags by name, with their resolved states.
pub(crate) fn flags(template: &ThemeTemplate, settings: &Settings) -> (BTreeMap<String, FeatureFlag>, Vec<Problem>) {
    let entries = &template.manifest.flags;
    let none = BTreeMap::new();
    let mut reader = Reader::new(&template.folder, "theme.yaml", &none);
    let mut flags = BTreeMap::new();
    for (name, entry) in entries {
        check_name(name, entry.referenced, &mut reader);
        let default = entry.value.default;
        let enabled = settings.flags.get(name).copied().unwrap_or(default);
        let description = entry.value.description.value.clone();
        flags.insert(
            name.clone(),
            FeatureFlag {
                description,
                default,
                enabled,
            },
        );
    }
    for name in settings.flags.keys().filter(|name| !entries.contains_key(*name)) {
        let problem = Problem::about(SETTINGS, format!("the theme has no flag `{name}`"));
        reader
            .problems
            .push(problem.suggesting(name, entries.keys().map(String::as_str)));
    }
    (flags, reader.problems)
}

fn check_name(name: &str, at: serde_saphyr::Location, reader: &mut Reader<'_>) {
    if !is_name(name) {
        reader.refuse(
            at,
            format!("`{name}` is not a name; use lower-case letters, digits and `_`, starting with a letter"),
        );
    }
}

fn kind_of(entry: &VariableEntry) -> VariableType {
    match entry.kind {
        VariableKind::String => VariableType::Text,
        VariableKind::Color => VariableType::Color,
        VariableKind::Boolean => VariableType::Boolean,
        VariableKind::Number => VariableType::Number,
        VariableKind::List => VariableType::List,
    }
}

/// The default of a variable with its references substituted; `path` are the variables that refer to it.
fn default_text(
    name: &str,
    entries: &BTreeMap<String, serde_saphyr::Spanned<VariableEntry>>,
    path: &mut Vec<String>,
) -> Result<String, String> {
    if path.iter().any(|step| step == name) {
        return Err(format!("it refers to itself: {} → {name}", path.join(" → ")));
    }
    let entry = entries
        .get(name)
        .ok_or_else(|| format!("there is no variable `{name}` in theme.yaml"))?;
    path.push(name.to_owned());
    let text = match &entry.value.default.value {
        DefaultValue::Scalar(text) => {
            expand(text, |other| default_text(other, entries, path)).map_err(|(_, reason)| reason)
        }
        DefaultValue::Boolean(value) => Ok(value.to_string()),
        DefaultValue::Number(value) => Ok(value.to_string()),
        DefaultValue::Float(value) => Ok(value.to_string()),
        DefaultValue::List(_) if path.len() > 1 => {
            Err(format!("`{name}` is a list and cannot be substituted in a text"))
        }
        DefaultValue::List(_) => Ok(String::new()),
    };
    path.pop();
    text
}

/// Placeholder for an invalid default while the rest is checked; the theme is refused afterwards.
fn placeholder(kind: VariableType) -> Value {
    match kind {
        // Two characters are enough for every name.
        VariableType::Text => Value::Text("??".to_owned()),
        VariableType::Color => Value::Color(Color::from_rgb(0)),
        VariableType::Boolean => Value::Boolean(false),
        VariableType::Number => Value::Number(10),
        VariableType::List => Value::List(Vec::new()),
    }
}
