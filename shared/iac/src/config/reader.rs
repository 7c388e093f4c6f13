//! Turns nodes into types: puts variables in, keeps what is wrong with its place, and goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use arrakis_domain::Value;
use arrakis_themes::{Problem, as_text, expand, nearest};

use super::tree::{COLOUR_IN_COMMENT, Mark, Name, Node, Source, Tree, shortened};
use crate::model::{Address, Part};

/// Most problems that are told: nobody reads more, and a hostile file could ask for any number.
const MOST_PROBLEMS: usize = 200;

/// Longest text that variables may come to, in bytes.
pub(crate) const MOST_EXPANDED: usize = 64 * 1024;
/// Most bytes that variables may come to in a whole file.
const MOST_EXPANDED_IN_ALL: usize = 16 * 1024 * 1024;

/// Something and where it is written.
#[derive(Clone, Debug)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) at: Mark,
}

/// Read from a node; what is wrong goes to the reader.
pub(crate) trait FromNode: Sized {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self>;
}

impl<T: FromNode> FromNode for At<T> {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        T::read(node, reader).map(|value| Self { value, at: node.at })
    }
}

/// Variables and what they are; those whose value is wrong are known and silent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    pub(crate) values: BTreeMap<String, Value>,
    pub(crate) broken: BTreeSet<String>,
    /// Names of flags, which are no variables but easily taken for such.
    pub(crate) flags: BTreeSet<String>,
}

/// A rule of Discord's that a value breaks. The value is taken nevertheless: see [`crate::model::BrokenRule`].
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    pub(crate) of: Subject,
    pub(crate) at: Mark,
    pub(crate) reason: String,
}

/// What a broken rule is about.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    /// The value at this path of keys, innermost first.
    Path(Vec<String>),
    /// Parts of a resource.
    Parts(Address, Vec<Part>),
}

/// Problems of one file, as they are found.
pub(crate) struct Reader<'a> {
    pub(crate) source: &'a Source<'a>,
    pub(crate) scope: Scope,
    pub(crate) broken: Vec<Broken>,
    problems: Vec<Problem>,
    /// Problems beyond those that are told.
    untold: usize,
    /// Bytes that variables came to so far.
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

    /// Everything that is wrong, in the order of the file; what is about the whole of it comes first.
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
        if self.problems.len() < MOST_PROBLEMS {
            self.problems.push(problem);
        } else {
            self.untold += 1;
        }
    }

    /// Counts a problem that would not be told any more, before anybody words it.
    pub(crate) fn is_full(&mut self) -> bool {
        let full = self.problems.len() >= MOST_PROBLEMS;
        self.untold += usize::from(full);
        full
    }

    /// Notes what is wrong at a place.
    pub(crate) fn refuse(&mut self, at: Mark, reason: impl Into<String>) {
        self.push(self.source.problem(at, reason));
    }

    /// Records that the value at a place breaks a rule of Discord's. The readers of the enclosing maps add the path.
    pub(crate) fn break_rule(&mut self, at: Mark, reason: impl Into<String>) {
        self.broken.push(Broken {
            of: Subject::Path(Vec::new()),
            at,
            reason: reason.into(),
        });
    }

    /// Prefixes the paths of the broken rules behind the first `before` with this key.
    pub(crate) fn prefix_broken_rules(&mut self, before: usize, key: &str) {
        for broken in self.broken.iter_mut().skip(before) {
            if let Subject::Path(path) = &mut broken.of {
                path.push(key.to_owned());
            }
        }
    }

    /// Reads a value, and assigns the rules that it breaks to these parts of a resource.
    pub(crate) fn with_subject<T>(
        &mut self,
        address: &Address,
        parts: &[Part],
        read: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let before = self.broken.len();
        let value = read(self);
        for broken in self.broken.iter_mut().skip(before) {
            if matches!(broken.of, Subject::Path(_)) {
                broken.of = Subject::Parts(address.clone(), parts.to_vec());
            }
        }
        value
    }

    /// Records that parts of a resource break a rule of Discord's.
    pub(crate) fn break_rule_of(&mut self, at: Mark, address: &Address, parts: &[Part], reason: impl Into<String>) {
        self.with_subject(address, parts, |reader| reader.break_rule(at, reason));
    }

    /// Notes a wrong name and suggests the nearest of the right ones.
    pub(crate) fn refuse_near<'k>(
        &mut self,
        at: Mark,
        reason: impl Into<String>,
        written: &str,
        known: impl IntoIterator<Item = &'k str>,
    ) {
        // Measuring a hostile text of megabytes against each name would take long and find nothing.
        let suggestion = (written.len() <= 200 && self.problems.len() < MOST_PROBLEMS)
            .then(|| nearest(written, known))
            .flatten();
        self.push(Problem {
            suggestion,
            ..self.source.problem(at, reason)
        });
    }

    /// Notes a correction that is known outright.
    pub(crate) fn refuse_for(&mut self, at: Mark, reason: impl Into<String>, right: impl Into<String>) {
        self.push(Problem {
            suggestion: Some(right.into()),
            ..self.source.problem(at, reason)
        });
    }

    /// Notes what is wrong with the file as a whole.
    pub(crate) fn refuse_file(&mut self, reason: impl Into<String>) {
        self.push(Problem::about(self.source.file, reason));
    }

    /// How many problems there are so far.
    pub(crate) fn count(&self) -> usize {
        self.problems.len() + self.untold
    }

    /// The text of a scalar with its variables put in.
    pub(crate) fn text(&mut self, node: &Node) -> Option<String> {
        match &node.tree {
            Tree::Scalar { text, .. } if !node.is_nothing() => self.expanded(text, node.at),
            Tree::Scalar { .. } if self.source.line(node.at).contains(": #") => {
                self.refuse(node.at, COLOUR_IN_COMMENT);
                None
            }
            // `${name}` without quotes is fine, but `{name}` and `[name]` are a map and a list.
            _ => {
                let reason = format!("one text or number is expected here, not {}", node.what());
                self.refuse(node.at, reason);
                None
            }
        }
    }

    /// Counts what variables come to; refuses, once, a file in which it is too much.
    fn spend(&mut self, bytes: usize, at: Mark) -> bool {
        let before = self.expanded;
        self.expanded = before.saturating_add(bytes);
        let fits = self.expanded <= MOST_EXPANDED_IN_ALL;
        if !fits && before <= MOST_EXPANDED_IN_ALL {
            self.refuse(
                at,
                format!("the variables of this file come to more than {MOST_EXPANDED_IN_ALL} bytes"),
            );
        }
        fits
    }

    /// A text with its variables put in.
    fn expanded(&mut self, text: &str, at: Mark) -> Option<String> {
        if !text.contains("${") {
            return Some(text.to_owned());
        }
        let scope = &self.scope;
        let mut silent = false;
        let lookup = |name: &str| match scope.values.get(name) {
            Some(value) => as_text(value).ok_or_else(|| format!("`{name}` is a list and fits into no text")),
            None => {
                silent |= scope.broken.contains(name);
                Err(match scope.flags.contains(name) {
                    true => format!("`{name}` is a flag; write `flag: {name}` on what it governs"),
                    false => format!("there is no variable `{}`", shortened(name)),
                })
            }
        };
        match expand(text, lookup) {
            Ok(expanded) => return self.spend(expanded.len(), at).then_some(expanded),
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

    /// The list that a scalar stands for when it is exactly `${name}` and that is a list.
    fn list_variable(&mut self, node: &Node) -> Option<Vec<Rc<Node>>> {
        let Tree::Scalar { text, .. } = &node.tree else {
            return None;
        };
        let name = text.strip_prefix("${")?.strip_suffix('}')?;
        let Value::List(items) = self.scope.values.get(name)? else {
            return None;
        };
        // Put in as it is: the signs `${` in an item are its own.
        let nodes: Vec<Rc<Node>> = items
            .iter()
            .map(|item| Rc::new(Node::text(node.at, &item.replace("${", "$${"))))
            .collect();
        let bytes = items.iter().map(|item| item.len() + std::mem::size_of::<Node>()).sum();
        Some(if self.spend(bytes, node.at) { nodes } else { Vec::new() })
    }

    /// The items of a list, with list variables put in.
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

    /// The entries of a map; nothing at all is an empty one.
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
