//! Parses YAML to a tree of texts, lists and maps with positions. Size, depth and time are bounded for any input.
//!
//! Owns the supported subset of YAML: one document, text keys, anchors and aliases of bounded size, merge keys (`<<`). Tags,
//! several documents and duplicate keys are errors. All scalars are texts here, so that any value may be `${name}`.

use std::collections::HashMap;
use std::rc::Rc;

use arrakis_themes::{Problem, SourceLocation};
use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, options};

/// Maximum size of a file, in bytes. A server with 500 channels of 100 overwrites each needs about half of it.
pub(crate) const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Maximum depth. A configuration has at most nine levels.
const MAX_DEPTH: usize = 32;
/// Maximum number of nodes of a small file, with aliases expanded.
const MAX_NODES: usize = 250_000;
/// A large file may have one node per this number of bytes: overwrites take about ten bytes each.
const BYTES_PER_NODE: usize = 4;

/// A position in the file, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// A value of the file with its position. Aliases share their target.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) at: Mark,
    pub(crate) tree: Tree,
    /// Number of nodes, including this one, with aliases expanded.
    weight: usize,
}

#[derive(Debug)]
pub(crate) enum Tree {
    /// A text. A `plain` one has no quotes, so it may be a number, a boolean or empty.
    Scalar { text: String, plain: bool },
    /// A list.
    List(Vec<Rc<Node>>),
    /// A map in the order of the file, with unique keys.
    Map(Vec<(Name, Rc<Node>)>),
}

/// A key of a map with its position.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) at: Mark,
}

impl Node {
    /// Whether it is an empty value, `~` or `null`.
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(&self.tree, Tree::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The type of the node, for messages.
    pub(crate) fn what(&self) -> &'static str {
        match &self.tree {
            _ if self.is_nothing() => "nothing",
            Tree::Scalar { .. } => "a text",
            Tree::List(_) => "a list",
            Tree::Map(_) => "a map",
        }
    }

    /// The value of a key of a map.
    pub(crate) fn get(&self, name: &str) -> Option<&(Name, Rc<Self>)> {
        match &self.tree {
            Tree::Map(entries) => entries.iter().find(|(key, _)| key.text == name),
            _ => None,
        }
    }
}

/// The hint for a colour that YAML parses as a comment.
pub(crate) const COLOUR_IN_COMMENT: &str = "a `#` starts a comment in YAML; put colours into quotes, like \"#FFD700\"";
/// Number of lines above an error of the parser in which a colour without quotes is searched.
const MAX_LINES_BACK: usize = 200;

/// The hint for a variable without quotes, which YAML parses as a map.
const VARIABLE_WITHOUT_QUOTES: &str = "between `{ }` and `[ ]`, put variables into quotes, like \"${name}\"";

/// Whether a line contains `${` outside of quotes.
fn has_variable_without_quotes(line: &str) -> bool {
    let mut quote = None;
    let mut before = None;
    for sign in line.chars() {
        match (quote, sign) {
            (None, '{') if before == Some('$') => return true,
            (None, '"' | '\'') => quote = Some(sign),
            (Some(open), _) if open == sign => quote = None,
            _ => {}
        }
        before = Some(sign);
    }
    false
}

/// The column, from 0, of a comment in place of a value that looks like a colour.
fn colour_in_comment(line: &str) -> Option<usize> {
    let mut quote = None;
    let mut before = (None, None);
    for (column, (byte, sign)) in line.char_indices().enumerate() {
        match (quote, sign) {
            (None, '"' | '\'') => quote = Some(sign),
            (Some(open), _) if open == sign => quote = None,
            (None, '#') if before.0.is_none_or(char::is_whitespace) => {
                let digits = line[byte + 1..].chars().take_while(char::is_ascii_hexdigit).count();
                let follows_key = matches!(before.1, Some(':' | ',' | '[' | '-'));
                return (follows_key && matches!(digits, 3..=8)).then_some(column);
            }
            _ => {}
        }
        before.0 = Some(sign);
        if !sign.is_whitespace() {
            before.1 = Some(sign);
        }
    }
    None
}

/// The lines of a file, for messages.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    pub(crate) file: &'a str,
    lines: Vec<&'a str>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(file: &'a str, text: &'a str) -> Self {
        Self {
            file,
            lines: text.lines().collect(),
        }
    }

    pub(crate) fn line(&self, at: Mark) -> &'a str {
        let index = usize::try_from(at.line).unwrap_or_default().checked_sub(1);
        index
            .and_then(|index| self.lines.get(index))
            .copied()
            .unwrap_or_default()
    }

    /// The position of a colour without quotes at or above `at`. YAML parses it and the rest of the line, including closing
    /// brackets, as a comment.
    fn colour_in_comment(&self, at: Mark) -> Option<Mark> {
        let below = usize::try_from(at.line).unwrap_or(usize::MAX).min(self.lines.len());
        let found = self.lines[..below].iter().enumerate().rev();
        found.take(MAX_LINES_BACK).find_map(|(index, line)| {
            let column = colour_in_comment(line)?;
            let number = |value: usize| u32::try_from(value + 1).unwrap_or(u32::MAX);
            Some(Mark {
                line: number(index),
                column: number(column),
            })
        })
    }

    /// The error of the parser, or the colour or variable without quotes that probably caused it.
    fn parser_error(&self, at: Mark, reason: String) -> Stop {
        match self.colour_in_comment(at) {
            Some(colour) => Stop(colour, format!("{reason}; {COLOUR_IN_COMMENT}")),
            None if has_variable_without_quotes(self.line(at)) => {
                Stop(at, format!("{reason}; {VARIABLE_WITHOUT_QUOTES}"))
            }
            None => Stop(at, reason),
        }
    }

    pub(crate) fn problem(&self, at: Mark, reason: impl Into<String>) -> Problem {
        let place = SourceLocation::new(at.line.into(), at.column.into(), self.line(at));
        Problem::at_location(self.file, place, reason)
    }
}

/// The bytes as UTF-8 text without a byte order mark; at most the maximum size.
pub(crate) fn text<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, Problem> {
    if bytes.len() > MAX_BYTES {
        let reason = format!("the file has {} bytes; the maximum is {MAX_BYTES}", bytes.len());
        return Err(Problem::about(file, reason));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let (line, column) = position(&bytes[..error.valid_up_to()]);
        let reason = "this byte is not UTF-8; save the file as UTF-8";
        let shown = bytes[..error.valid_up_to()]
            .rsplit(|byte| *byte == b'\n')
            .next()
            .unwrap_or_default();
        Problem::at_location(
            file,
            SourceLocation::new(line, column, &String::from_utf8_lossy(shown)),
            reason,
        )
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some(index) = text.find('\0') {
        let (line, column) = position(&text.as_bytes()[..index]);
        let shown = text
            .lines()
            .nth(usize::try_from(line).unwrap_or(1) - 1)
            .unwrap_or_default();
        let reason = "a NUL character, which YAML does not allow; is this a text file?";
        return Err(Problem::at_location(
            file,
            SourceLocation::new(line, column, shown),
            reason,
        ));
    }
    Ok(text)
}

/// Line and column at the end of these bytes.
fn position(before: &[u8]) -> (u64, u64) {
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let last = before.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let column = String::from_utf8_lossy(last).chars().count() + 1;
    (u64::try_from(line).unwrap_or(1), u64::try_from(column).unwrap_or(1))
}

/// Parses the document of a file. Syntax errors are added to `problems`; `None` if nothing can be parsed.
pub(crate) fn parse(source: &Source<'_>, text: &str, problems: &mut Vec<Problem>) -> Option<Rc<Node>> {
    let options = options! { emit_comments: false, flow_nesting_limit: 64, block_nesting_limit: 64, };
    let mut builder = Builder {
        source,
        problems,
        open: Vec::new(),
        anchors: HashMap::new(),
        root: None,
        nodes: 0,
        most_nodes: MAX_NODES.max(text.len() / BYTES_PER_NODE),
    };
    for event in Parser::new_from_str_with_options(text, options) {
        let handled = match event {
            Ok((event, span)) => builder.take(event, span),
            Err(error) => Err(source.parser_error(mark(*error.marker()), plain_message(&error))),
        };
        if let Err(Stop(at, reason)) = handled {
            let problem = source.problem(at, reason);
            builder.problems.push(problem);
            return None;
        }
    }
    let root = builder.root.take();
    if root.is_none() {
        problems.push(Problem::about(source.file, "the file is empty"));
    }
    root
}

/// The message of the parser, replaced where it requires knowledge of the YAML specification.
fn plain_message(error: &ScanError) -> String {
    let info = error.info();
    let lower = info.to_lowercase();
    if lower.contains("recursion") || lower.contains("nest") {
        return format!("more than {MAX_DEPTH} levels of nesting; a configuration has fewer");
    }
    let hint = if lower.contains("tab") {
        "; indent with spaces"
    } else if lower.contains("anchor") || lower.contains("alias") {
        "; write `&name` where it is defined, above this place"
    } else {
        ""
    };
    format!("this is not YAML: {info}{hint}")
}

fn mark(marker: granit_parser::Marker) -> Mark {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    Mark {
        line: number(marker.line()),
        column: number(marker.col()).saturating_add(1),
    }
}

/// An error that ends parsing.
struct Stop(Mark, String);

/// A list or map that is still open.
struct Open {
    at: Mark,
    anchor: usize,
    weight: usize,
    content: Content,
}

enum Content {
    List(Vec<Rc<Node>>),
    Map {
        entries: Vec<(Name, Rc<Node>)>,
        key: Option<Name>,
        places: HashMap<String, usize>,
    },
}

struct Builder<'a, 'p> {
    source: &'a Source<'a>,
    problems: &'p mut Vec<Problem>,
    open: Vec<Open>,
    anchors: HashMap<usize, Rc<Node>>,
    root: Option<Rc<Node>>,
    nodes: usize,
    most_nodes: usize,
}

impl Builder<'_, '_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        let at = mark(span.start);
        match event {
            Event::DocumentStart(..) if self.root.is_some() => Err(Stop(
                at,
                "a second document begins here; a configuration is one".to_owned(),
            )),
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(at, tag.is_some());
                let plain = style == ScalarStyle::Plain;
                let node = Node {
                    at,
                    tree: Tree::Scalar {
                        text: text.into_owned(),
                        plain,
                    },
                    weight: 1,
                };
                self.close(Rc::new(node), anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_tag(at, tag.is_some());
                self.begin(at, anchor, Content::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_tag(at, tag.is_some());
                self.begin(
                    at,
                    anchor,
                    Content::Map {
                        entries: Vec::new(),
                        key: None,
                        places: HashMap::new(),
                    },
                )
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(id) => match self.anchors.get(&id).cloned() {
                Some(node) => self.close(node, 0),
                None => Err(Stop(at, "this alias is inside the value that it refers to".to_owned())),
            },
            _ => Ok(()),
        }
    }

    fn refuse_tag(&mut self, at: Mark, there: bool) {
        if there {
            let reason = "tags (`!…`) are not used in a configuration; a text that begins with `!` needs quotes";
            self.problems.push(self.source.problem(at, reason));
        }
    }

    fn begin(&mut self, at: Mark, anchor: usize, content: Content) -> Result<(), Stop> {
        if self.open.len() >= MAX_DEPTH {
            return Err(Stop(
                at,
                format!("more than {MAX_DEPTH} levels of nesting; a configuration has fewer"),
            ));
        }
        if let Some(Open {
            content: Content::Map { key: None, .. },
            ..
        }) = self.open.last()
        {
            return Err(Stop(
                at,
                "a key is a text, not a list or a map; a text with `{`, `[` or `${` needs quotes".to_owned(),
            ));
        }
        self.open.push(Open {
            at,
            anchor,
            weight: 1,
            content,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Stop> {
        let Some(Open {
            at,
            anchor,
            weight,
            content,
        }) = self.open.pop()
        else {
            return Ok(());
        };
        let tree = match content {
            Content::List(items) => Tree::List(items),
            Content::Map { entries, .. } => Tree::Map(entries),
        };
        self.close(Rc::new(Node { at, tree, weight }), anchor)
    }

    /// Adds a complete node to the open list or map.
    fn close(&mut self, node: Rc<Node>, anchor: usize) -> Result<(), Stop> {
        // Lists and maps are counted by their children, aliases by their targets.
        self.nodes += 1;
        let most = self.most_nodes;
        if self.nodes > most || node.weight > most {
            return Err(Stop(
                node.at,
                format!("more than {most} values, with each alias counted as the value that it refers to"),
            ));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.weight = open.weight.saturating_add(node.weight);
        let (at, too_heavy) = (node.at, open.weight > most);
        match &mut open.content {
            Content::List(items) => items.push(node),
            Content::Map { entries, key, places } => match key.take() {
                None => {
                    let Tree::Scalar { text, .. } = &node.tree else {
                        return Err(Stop(at, "a key is a text, not a list or a map".to_owned()));
                    };
                    *key = Some(Name { text: text.clone(), at });
                }
                Some(name) if name.text == "<<" => self.merge(&name, &node),
                Some(name) => match places.get(&name.text) {
                    // A key of the map itself overrides a merged one, as YAML requires.
                    Some(index) if entries[*index].0.at == MERGED => entries[*index] = (name, node),
                    Some(_) => {
                        let reason = format!("the key `{}` occurs twice", shortened(&name.text));
                        self.problems.push(self.source.problem(name.at, reason));
                    }
                    None => {
                        places.insert(name.text.clone(), entries.len());
                        entries.push((name, node));
                    }
                },
            },
        }
        match too_heavy {
            true => Err(Stop(
                at,
                format!("more than {most} values, with each alias counted as the value that it refers to"),
            )),
            false => Ok(()),
        }
    }

    /// `<<: *name`: adds the entries of that map whose keys are absent here.
    fn merge(&mut self, name: &Name, node: &Rc<Node>) {
        let Tree::Map(theirs) = &node.tree else {
            let problem = self
                .source
                .problem(name.at, "`<<` requires a map, like `<<: *defaults`");
            self.problems.push(problem);
            return;
        };
        let Some(Open {
            content: Content::Map { entries, places, .. },
            ..
        }) = self.open.last_mut()
        else {
            return;
        };
        for (theirs, value) in theirs {
            if !places.contains_key(&theirs.text) {
                places.insert(theirs.text.clone(), entries.len());
                entries.push((
                    Name {
                        text: theirs.text.clone(),
                        at: MERGED,
                    },
                    Rc::clone(value),
                ));
            }
        }
    }
}

/// The position of merged keys while their map is open. Messages use the position of the value.
const MERGED: Mark = Mark { line: 0, column: 0 };

/// A name for a message: on one line, and shortened.
pub(crate) fn shortened(text: &str) -> String {
    const MAX_LENGTH: usize = 60;
    let sign = |sign: char| if sign.is_control() { '\u{fffd}' } else { sign };
    let mut shown: String = text.chars().take(MAX_LENGTH).map(sign).collect();
    if text.chars().nth(MAX_LENGTH).is_some() {
        shown.push('…');
    }
    shown
}

impl Node {
    /// A plain text, for tests.
    pub(crate) fn text(at: Mark, text: &str) -> Self {
        Self {
            at,
            tree: Tree::Scalar {
                text: text.to_owned(),
                plain: false,
            },
            weight: 1,
        }
    }
}
