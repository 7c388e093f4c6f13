//! Converts nodes to types, replaces variables, and collects problems with their positions.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use arrakis_domain::Value;
use arrakis_themes::{Problem, as_text, expand, nearest};

use super::tree::{COLOUR_IN_COMMENT, Mark, Name, Node, Source, Tree, shortened};
use crate::values::{Address, RulePart};

/// Maximum number of reported problems. Bounds the output for a hostile file.
const MAX_PROBLEMS: usize = 200;

/// Maximum length of a text after variables are replaced, in bytes.
pub(crate) const MAX_EXPANDED: usize = 64 * 1024;
/// Maximum number of bytes that replaced variables add to a file.
const MAX_EXPANDED_IN_ALL: usize = 16 * 1024 * 1024;

/// A value and its position.
#[derive(Clone, Debug)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) at: Mark,
}

/// A type that can be read from a node. Problems are collected in the reader.
pub(crate) trait FromNode: Sized {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self>;
}

impl<T: FromNode> FromNode for At<T> {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        T::read(node, reader).map(|value| Self { value, at: node.at })
    }
}

/// Values of variables; `None` for a known variable with an invalid value, which is not reported again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    pub(crate) values: BTreeMap<String, Value>,
    pub(crate) broken: BTreeSet<String>,
    /// Names of flags, for a message about a flag that is used as a variable.
    pub(crate) flags: BTreeSet<String>,
}

/// A rule of Discord that a value breaks. The value stays: see [`crate::values::BrokenRule`].
#[derive(Clone, Debug)]
pub(crate) struct RuleBreak {
    pub(crate) of: RuleSubject,
    pub(crate) at: Mark,
    pub(crate) reason: String,
}

/// The location of a broken rule.
#[derive(Clone, Debug)]
pub(crate) enum RuleSubject {
    /// A value, by its path of keys, innermost first.
    Path(Vec<String>),
    /// Parts of a resource.
    Parts(Address, Vec<RulePart>),
}

/// The reader of a file: its variables and its problems so far.
pub(crate) struct Reader<'a> {
    pub(crate) source: &'a Source<'a>,
    pub(crate) scope: Scope,
    pub(crate) broken: Vec<RuleBreak>,
    problems: Vec<Problem>,
    /// Number of problems that are not reported.
    untold: usize,
    /// Bytes that replaced variables added so far.
    expanded: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(source: &'a Source<'a>, problems: Vec<Problem>) -> Self {
        let mut reader = Self {
            source,
            scope: Scope::default(),
            broken: Vec::new(),
            problems: Vec::new(),
            untold: 0,
            expanded: 0,
        };
        problems.into_iter().for_each(|problem| reader.push(problem));
        reader
    }

    /// All problems, in the order of the file; problems of the whole file come first.
    pub(crate) fn finish(mut self) -> Vec<Problem> {
        let place = |problem: &Problem| problem.location.as_ref().map(|place| (place.line, place.column));
        self.problems.sort_by_key(place);
        if self.untold > 0 {
            let reason = match self.untold {
                1 => "1 more problem is not shown; correct these first".to_owned(),
                more => format!("{more} more problems are not shown; correct these first"),
            };
            self.problems.push(Problem::about(self.source.file, reason));
        }
        self.problems
    }

    pub(crate) fn push(&mut self, problem: Problem) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        } else {
            self.untold += 1;
        }
    }

    /// Counts a problem beyond the maximum. Called before its message is created.
    pub(crate) fn is_full(&mut self) -> bool {
        let full = self.problems.len() >= MAX_PROBLEMS;
        self.untold += usize::from(full);
        full
    }

    /// Reports a problem at a position.
    pub(crate) fn refuse(&mut self, at: Mark, reason: impl Into<String>) {
        self.push(self.source.problem(at, reason));
    }

    /// Records that a value breaks a rule of Discord. The readers of the enclosing maps add the path.
    pub(crate) fn break_rule(&mut self, at: Mark, reason: impl Into<String>) {
        self.broken.push(RuleBreak {
            of: RuleSubject::Path(Vec::new()),
            at,
            reason: reason.into(),
        });
    }

    /// Adds a key to the paths of the broken rules after the first `before`.
    pub(crate) fn prefix_broken_rules(&mut self, before: usize, key: &str) {
        for broken in self.broken.iter_mut().skip(before) {
            if let RuleSubject::Path(path) = &mut broken.of {
                path.push(key.to_owned());
            }
        }
    }

    /// Reads a value, and assigns the rules that it breaks to these parts of a resource.
    pub(crate) fn with_subject<T>(
        &mut self,
        address: &Address,
        parts: &[RulePart],
        read: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let before = self.broken.len();
        let value = read(self);
        for broken in self.broken.iter_mut().skip(before) {
            if matches!(broken.of, RuleSubject::Path(_)) {
                broken.of = RuleSubject::Parts(address.clone(), parts.to_vec());
            }
        }
        value
    }

    /// Records that parts of a resource break a rule of Discord.
    pub(crate) fn break_rule_of(&mut self, at: Mark, address: &Address, parts: &[RulePart], reason: impl Into<String>) {
        self.with_subject(address, parts, |reader| reader.break_rule(at, reason));
    }

    /// Reports an unknown name and suggests the most similar known one.
    pub(crate) fn refuse_near<'k>(
        &mut self,
        at: Mark,
        reason: impl Into<String>,
        written: &str,
        known: impl IntoIterator<Item = &'k str>,
    ) {
        // Comparing a very long text with each name would be slow and useless.
        let suggestion = (written.len() <= 200 && self.problems.len() < MAX_PROBLEMS)
            .then(|| nearest(written, known))
            .flatten();
        self.push(Problem {
            suggestion,
            ..self.source.problem(at, reason)
        });
    }

    /// Reports a problem with a known correction.
    pub(crate) fn refuse_for(&mut self, at: Mark, reason: impl Into<String>, right: impl Into<String>) {
        self.push(Problem {
            suggestion: Some(right.into()),
            ..self.source.problem(at, reason)
        });
    }

    /// Reports a problem of the whole file.
    pub(crate) fn refuse_file(&mut self, reason: impl Into<String>) {
        self.push(Problem::about(self.source.file, reason));
    }

    /// Number of problems so far.
    pub(crate) fn count(&self) -> usize {
        self.problems.len() + self.untold
    }

    /// The text of a scalar, with variables replaced.
    pub(crate) fn text(&mut self, node: &Node) -> Option<String> {
        match &node.tree {
            Tree::Scalar { text, .. } if !node.is_nothing() => self.expanded(text, node.at),
            Tree::Scalar { .. } if self.source.line(node.at).contains(": #") => {
                self.refuse(node.at, COLOUR_IN_COMMENT);
                None
            }
            // `${name}` is valid without quotes; `{name}` and `[name]` are a map and a list.
            _ => {
                let reason = format!("one text or number is expected here, not {}", node.what());
                self.refuse(node.at, reason);
                None
            }
        }
    }

    /// Counts bytes of replaced variables. Reports once that the maximum is exceeded.
    fn count_replaced_bytes(&mut self, bytes: usize, at: Mark) -> bool {
        let before = self.expanded;
        self.expanded = before.saturating_add(bytes);
        let fits = self.expanded <= MAX_EXPANDED_IN_ALL;
        if !fits && before <= MAX_EXPANDED_IN_ALL {
            self.refuse(
                at,
                format!("the values of the variables in this file have more than {MAX_EXPANDED_IN_ALL} bytes"),
            );
        }
        fits
    }

    /// A text with variables replaced.
    fn expanded(&mut self, text: &str, at: Mark) -> Option<String> {
        if !text.contains("${") {
            return Some(text.to_owned());
        }
        let scope = &self.scope;
        let mut silent = false;
        let lookup = |name: &str| match scope.values.get(name) {
            Some(value) => as_text(value).ok_or_else(|| format!("`{name}` is a list and cannot be part of a text")),
            None => {
                silent |= scope.broken.contains(name);
                Err(match scope.flags.contains(name) {
                    true => format!("`{name}` is a flag; write `flag: {name}` in the resources that depend on it"),
                    false => format!("there is no variable `{}`", shortened(name)),
                })
            }
        };
        match expand(text, lookup) {
            Ok(expanded) => return self.count_replaced_bytes(expanded.len(), at).then_some(expanded),
            Err(_) if silent => {}
            Err((name, reason)) => {
                let known = self.scope.values.keys().map(String::as_str);
                let near = name
                    .filter(|name| name.len() <= 200)
                    .and_then(|name| nearest(&name, known));
                let suggestion = near.map(|name| format!("${{{name}}}"));
                self.push(Problem {
                    suggestion,
                    ..self.source.problem(at, reason)
                });
            }
        }
        None
    }

    /// The list of a scalar that is exactly `${name}`, where the variable is a list.
    fn list_variable(&mut self, node: &Node) -> Option<Vec<Rc<Node>>> {
        let Tree::Scalar { text, .. } = &node.tree else {
            return None;
        };
        let name = text.strip_prefix("${")?.strip_suffix('}')?;
        let Value::List(items) = self.scope.values.get(name)? else {
            return None;
        };
        // An item is used unchanged, also if it contains `${`.
        let nodes: Vec<Rc<Node>> = items
            .iter()
            .map(|item| Rc::new(Node::text(node.at, &item.replace("${", "$${"))))
            .collect();
        let bytes = items.iter().map(|item| item.len() + std::mem::size_of::<Node>()).sum();
        Some(if self.count_replaced_bytes(bytes, node.at) {
            nodes
        } else {
            Vec::new()
        })
    }

    /// The items of a list, with list variables replaced.
    pub(crate) fn items(&mut self, node: &Node) -> Option<Vec<Rc<Node>>> {
        if let Some(items) = self.list_variable(node) {
            return Some(items);
        }
        let Tree::List(items) = &node.tree else {
            let what = node.what();
            self.refuse(
                node.at,
                format!("a list is expected here, like `[one, two]`, not {what}"),
            );
            return None;
        };
        let mut whole = Vec::with_capacity(items.len());
        for item in items {
            match self.list_variable(item) {
                Some(several) => whole.extend(several),
                None => whole.push(Rc::clone(item)),
            }
        }
        Some(whole)
    }

    /// The entries of a map; an empty value is an empty map.
    pub(crate) fn entries<'n>(&mut self, node: &'n Node) -> Option<&'n [(Name, Rc<Node>)]> {
        match &node.tree {
            Tree::Map(entries) => Some(entries),
            Tree::Scalar { .. } if node.is_nothing() => Some(&[]),
            _ => {
                let what = node.what();
                self.refuse(
                    node.at,
                    format!("a map of keys and values is expected here, not {what}"),
                );
                None
            }
        }
    }
}
