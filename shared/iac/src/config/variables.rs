//! Variables and flags: their declarations, given values and precedence.
//!
//! Later sources take precedence: the default in the file, `theme.variables` (for variables of a theme), the environment,
//! `--var-file` in order, `--var` in order. Only defaults may contain other variables.

use std::collections::{BTreeMap, BTreeSet};

use arrakis_domain::{Value, VariableType};
use arrakis_themes::{Problem, as_text, expand, is_name, parse_value};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::document::{FlagEntry, VariableEntry};
use crate::grammar::with_article;
use crate::yaml::reader::{At, FromNode, MAX_EXPANDED, Reader};
use crate::yaml::scalar::{Link, List, Named, Text, Truth};
use crate::yaml::tree::{self, Mark, Node, Source, Tree, shortened};

/// Maximum length of a chain of variables of which each contains the next.
const MAX_CHAIN_LENGTH: usize = 32;

/// Given values of variables and flags.
#[derive(Clone, Debug, Default)]
pub struct VariableInputs {
    /// Values of `GAIB_VAR_name` in the environment, by name. Undeclared names are ignored, since an environment may serve
    /// several files.
    pub environment: BTreeMap<String, String>,
    /// Files of `--var-file`, in order.
    pub files: Vec<VariableFile>,
    /// Arguments of `--var name=value`, in order.
    pub arguments: Vec<(String, String)>,
}

/// A file of `name: value` lines.
#[derive(Clone, Debug)]
pub struct VariableFile {
    /// Name of the file in messages.
    pub name: String,
    /// Content.
    pub bytes: Vec<u8>,
}

/// The type of a variable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TypeName(pub(crate) VariableType);

const TYPES: [VariableType; 5] = [
    VariableType::Text,
    VariableType::Color,
    VariableType::Boolean,
    VariableType::Number,
    VariableType::List,
];

impl FromNode for TypeName {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node)?;
        let found = TYPES.into_iter().find(|kind| kind.as_str() == text);
        if found.is_none() {
            let known = TYPES.map(|kind| format!("`{}`", kind.as_str())).join(", ");
            let reason = format!("`{}` is not a type; expected one of {known}", shortened(&text));
            reader.refuse_near(node.at, reason, &text, TYPES.map(VariableType::as_str));
        }
        found.map(Self)
    }
}

impl JsonSchema for TypeName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Type".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": TYPES.map(VariableType::as_str) })
    }
}

/// A default before its variables are replaced.
#[derive(Clone, Debug)]
pub(crate) enum DefaultEntry {
    Scalar(String),
    List(Vec<String>),
}

impl FromNode for DefaultEntry {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match &node.tree {
            Tree::Scalar { text, .. } if !node.is_nothing() => Some(Self::Scalar(text.clone())),
            Tree::List(items) => {
                let mut texts = Vec::with_capacity(items.len());
                for item in items {
                    match &item.tree {
                        Tree::Scalar { text, .. } if !item.is_nothing() => texts.push(text.clone()),
                        _ => {
                            let what = item.what();
                            reader.refuse(item.at, format!("a list variable contains texts, not {what}"));
                        }
                    }
                }
                Some(Self::List(texts))
            }
            // The reader reports it, with a hint about colours without quotes.
            _ => reader.text(node).map(Self::Scalar),
        }
    }
}

impl JsonSchema for DefaultEntry {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Default".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean", "array"], "items": { "type": ["string", "number", "boolean"] } })
    }
}

document! {
    /// The theme of a file.
    pub(crate) struct ThemeMap {
        /// The id, like `sietch`.
        name: Text<1, 50>,
        /// Values of variables of the theme.
        variables: Named<DefaultEntry>,
        /// States of flags of the theme.
        flags: Named<Truth>,
        /// Addresses of resources of the theme that are removed, like `channel.support`.
        without: List<Link>,
    }
}

/// A theme: its id, or a map.
#[derive(Clone, Debug)]
pub(crate) struct ThemeEntry(pub(crate) ThemeMap);

impl FromNode for ThemeEntry {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        if let Tree::Scalar { .. } = &node.tree {
            let name = At::read(node, reader)?;
            return Some(Self(ThemeMap {
                name: Some(name),
                ..ThemeMap::default()
            }));
        }
        let map = ThemeMap::read(node, reader)?;
        if map.name.is_none() {
            reader.refuse(node.at, "the `name` of the theme is missing; write `name: sietch`");
        }
        Some(Self(map))
    }
}

impl JsonSchema for ThemeEntry {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ThemeUse".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let map = generator.subschema_for::<ThemeMap>();
        json_schema!({ "anyOf": [{ "type": "string" }, map] })
    }
}

/// A given value and its source.
pub(crate) struct Given {
    entry: DefaultEntry,
    by: By,
    pub(crate) used: bool,
}

/// The source of a given value.
enum By {
    Environment,
    Argument,
    File(Problem),
}

impl Given {
    /// The text for a theme, which parses it: a list is separated by commas.
    pub(crate) fn text(&self) -> String {
        match &self.entry {
            DefaultEntry::Scalar(text) => text.clone(),
            DefaultEntry::List(items) => items.join(","),
        }
    }

    fn is_list(&self) -> bool {
        matches!(self.entry, DefaultEntry::List(_))
    }

    /// Reports a problem of the value at its source.
    pub(crate) fn problem(&self, name: &str, reason: &str) -> Problem {
        match &self.by {
            By::Environment => Problem::about(&format!("environment, GAIB_VAR_{name}"), reason),
            By::Argument => Problem::about(&format!("--var {name}"), reason),
            By::File(place) => Problem {
                reason: reason.to_owned(),
                ..place.clone()
            },
        }
    }

    /// The value, converted to this type.
    pub(crate) fn value(&self, name: &str, kind: VariableType) -> Result<Value, Problem> {
        let value = typed(kind, &self.entry, |text| Ok(text.to_owned()));
        value.map_err(|reason| self.problem(name, &format!("`{name}`, {}: {reason}", with_article(kind.as_str()))))
    }
}

/// Given values by name; the last of each name.
pub(crate) fn given(inputs: &VariableInputs, reader: &mut Reader<'_>) -> BTreeMap<String, Given> {
    let mut all = BTreeMap::new();
    for (name, text) in &inputs.environment {
        let entry = DefaultEntry::Scalar(text.clone());
        all.insert(
            name.clone(),
            Given {
                entry,
                by: By::Environment,
                used: true,
            },
        );
    }
    for file in &inputs.files {
        read_file(file, &mut all, reader);
    }
    for (name, text) in &inputs.arguments {
        let entry = DefaultEntry::Scalar(text.clone());
        all.insert(
            name.clone(),
            Given {
                entry,
                by: By::Argument,
                used: false,
            },
        );
    }
    all
}

fn read_file(file: &VariableFile, all: &mut BTreeMap<String, Given>, reader: &mut Reader<'_>) {
    let text = match tree::text(&file.name, &file.bytes) {
        Ok(text) => text,
        Err(problem) => return reader.push(problem),
    };
    let source = Source::new(&file.name, text);
    let mut problems = Vec::new();
    let root = tree::parse(&source, text, &mut problems);
    let mut own = Reader::new(&source, problems);
    if let Some(entries) = root.as_deref().and_then(|root| own.entries(root)) {
        for (name, value) in entries {
            if let Some(entry) = DefaultEntry::read(value, &mut own) {
                let by = By::File(source.problem(name.at, String::new()));
                all.insert(name.text.clone(), Given { entry, by, used: false });
            }
        }
    }
    own.finish().into_iter().for_each(|problem| reader.push(problem));
}

/// Reports given names that are not declared. `merged` are those of the theme that the file was written from.
pub(crate) fn refuse_unknown(
    given: &BTreeMap<String, Given>,
    known: &BTreeSet<String>,
    merged: &BTreeSet<String>,
    reader: &mut Reader<'_>,
) {
    for (name, value) in given
        .iter()
        .filter(|(name, value)| !value.used && !known.contains(*name))
    {
        if merged.contains(name) {
            let reason = format!(
                "the file contains the values of the theme, in which `{name}` is replaced already; change them there, or refer to \
                 the theme with `theme` in place of `from_theme`"
            );
            reader.push(value.problem(name, &reason));
            continue;
        }
        let problem = value.problem(name, &format!("there is no variable or flag `{}`", shortened(name)));
        reader.push(problem.suggesting(&shortened(name), known.iter().map(String::as_str)));
    }
}

/// Resolves the declared variables into the scope of the reader.
pub(crate) fn declare(entries: &Named<VariableEntry>, given: &BTreeMap<String, Given>, reader: &mut Reader<'_>) {
    let mut declared = BTreeMap::new();
    for (name, entry) in &entries.0 {
        if check_name(name, reader) {
            declared.insert(name.value.as_str(), (name.at, &entry.value));
        }
    }
    let mut solver = Solver {
        declared: &declared,
        given,
        values: BTreeMap::new(),
        broken: BTreeSet::new(),
    };
    for name in declared.keys() {
        // A problem is reported once; variables that depend on it report none.
        let _ = solver.resolve(name, &mut Vec::new(), reader);
    }
    reader.scope.values.append(&mut solver.values);
    reader.scope.broken.append(&mut solver.broken);
}

/// Resolves defaults that may contain other variables.
struct Solver<'a> {
    declared: &'a BTreeMap<&'a str, (Mark, &'a VariableEntry)>,
    given: &'a BTreeMap<String, Given>,
    values: BTreeMap<String, Value>,
    broken: BTreeSet<String>,
}

impl Solver<'_> {
    fn resolve(&mut self, name: &str, path: &mut Vec<String>, reader: &mut Reader<'_>) -> Option<Value> {
        if let Some(value) = self.values.get(name) {
            return Some(value.clone());
        }
        if self.broken.contains(name) {
            return None;
        }
        let (at, entry) = *self.declared.get(name)?;
        let kind = entry.r#type.as_ref().map_or(VariableType::Text, |kind| kind.value.0);
        let found = match (self.given.get(name), &entry.default) {
            (Some(given), _) => given.value(name, kind).map_err(|problem| reader.push(problem)).ok(),
            (None, Some(default)) => self.default(name, kind, default, path, reader),
            (None, None) => {
                let reason =
                    format!("`{name}` has no value; set it by `--var {name}=…`, `GAIB_VAR_{name}` or a default");
                reader.refuse(at, reason);
                None
            }
        };
        match &found {
            Some(value) => drop(self.values.insert(name.to_owned(), value.clone())),
            None => drop(self.broken.insert(name.to_owned())),
        }
        found
    }

    fn default(
        &mut self,
        name: &str,
        kind: VariableType,
        default: &At<DefaultEntry>,
        path: &mut Vec<String>,
        reader: &mut Reader<'_>,
    ) -> Option<Value> {
        path.push(name.to_owned());
        let mut silent = false;
        let put_in = |text: &str| {
            let lookup = |other: &str| {
                if path.iter().any(|step| step == other) {
                    return Err(format!("it refers to itself: {} → {other}", path.join(" → ")));
                }
                if path.len() > MAX_CHAIN_LENGTH {
                    return Err(format!(
                        "a chain of more than {MAX_CHAIN_LENGTH} variables that refer to one another"
                    ));
                }
                if !self.declared.contains_key(other) {
                    return Err(format!("there is no variable `{}`", shortened(other)));
                }
                let Some(value) = self.resolve(other, path, reader) else {
                    silent = true;
                    return Err(String::new());
                };
                as_text(&value).ok_or_else(|| format!("`{other}` is a list and cannot be part of a text"))
            };
            expand(text, lookup).map_err(|(_, reason)| reason)
        };
        let value = typed(kind, &default.value, put_in);
        path.pop();
        match value {
            Ok(value) => return Some(value),
            Err(_) if silent => {}
            Err(reason) => {
                let reason = format!(
                    "the default of `{name}`, {}, does not fit: {reason}",
                    with_article(kind.as_str())
                );
                reader.refuse(default.at, reason);
            }
        }
        None
    }
}

/// Reads a value of this type; `put_in` replaces the variables in its texts.
pub(crate) fn typed(
    kind: VariableType,
    entry: &DefaultEntry,
    mut put_in: impl FnMut(&str) -> Result<String, String>,
) -> Result<Value, String> {
    let mut expanded = |text: &str| {
        let text = put_in(text)?;
        match text.len() > MAX_EXPANDED {
            true => Err(format!("the value has more than {MAX_EXPANDED} bytes")),
            false => Ok(text),
        }
    };
    match (entry, kind) {
        (DefaultEntry::List(items), VariableType::List) => items
            .iter()
            .map(|item| expanded(item))
            .collect::<Result<_, _>>()
            .map(Value::List),
        (DefaultEntry::List(_), _) => Err("a list is written here".to_owned()),
        (DefaultEntry::Scalar(text), _) => {
            parse_value(kind, &expanded(text)?).map_err(|reason| shortened_reason(&reason))
        }
    }
}

/// A reason that quotes a text, shortened.
fn shortened_reason(reason: &str) -> String {
    match reason.char_indices().nth(300) {
        None => reason.to_owned(),
        Some((index, _)) => format!("{}…", &reason[..index]),
    }
}

/// Whether a text can name a variable or a flag; reports one that cannot.
pub(super) fn check_name(name: &At<String>, reader: &mut Reader<'_>) -> bool {
    let fits = is_name(&name.value) && name.value.len() <= 50;
    if !fits {
        let reason = format!(
            "`{}` is not a name; use up to 50 lower-case letters, digits and `_`, starting with a letter",
            shortened(&name.value)
        );
        reader.refuse(name.at, reason);
    }
    fits
}

/// The states of the declared flags.
pub(crate) fn declare_flags(
    entries: &Named<FlagEntry>,
    given: &BTreeMap<String, Given>,
    reader: &mut Reader<'_>,
) -> BTreeMap<String, bool> {
    let mut flags = BTreeMap::new();
    for (name, entry) in &entries.0 {
        if !check_name(name, reader) {
            continue;
        }
        if reader.scope.values.contains_key(&name.value) || reader.scope.broken.contains(&name.value) {
            reader.refuse(
                name.at,
                format!(
                    "`{}` is a variable already; both are set by the same `--var`",
                    name.value
                ),
            );
        }
        let default = entry.value.default.as_ref().is_none_or(|default| default.value.0);
        flags.insert(name.value.clone(), state(&name.value, default, given, reader));
    }
    flags
}

/// The state of a flag: the given state or the default.
pub(crate) fn state(name: &str, default: bool, given: &BTreeMap<String, Given>, reader: &mut Reader<'_>) -> bool {
    match given.get(name).map(|given| given.value(name, VariableType::Boolean)) {
        Some(Ok(Value::Boolean(state))) => state,
        Some(Err(problem)) => {
            reader.push(problem);
            default
        }
        _ => default,
    }
}

impl Given {
    /// Whether the value can be passed to a theme as this type.
    pub(crate) fn fits(&self, kind: VariableType) -> bool {
        !self.is_list() || kind == VariableType::List
    }
}
