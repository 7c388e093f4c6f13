//! Problems of a theme or configuration file: file, line, column, reason, and a suggestion if there is a similar name.

use std::fmt;

use serde_saphyr::{Error, Location, MessageFormatter as _, UserMessageFormatter};

/// Location of a problem in a file. Lines and columns are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLocation {
    /// Line number.
    pub line: u64,
    /// Column, in characters.
    pub column: u64,
    /// Text of the line; for a very long line, the part around the column. Control characters are replaced by `�`.
    pub text: String,
    /// The column within [`SourceLocation::text`].
    pub caret: u64,
}

impl SourceLocation {
    /// A location in a line whose whole text is `source`.
    #[must_use]
    pub fn new(line: u64, column: u64, source: &str) -> Self {
        let index = usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX);
        let start = index.saturating_sub(MAX_EXCERPT / 2);
        let mut characters = source.chars().skip(start);
        let shown = characters.by_ref().take(MAX_EXCERPT).map(visible);
        let (mut text, mut caret) = (shown.collect::<String>(), index - start);
        if start > 0 {
            text.insert(0, '…');
            caret += 1;
        }
        if characters.next().is_some() {
            text.push('…');
        }
        let caret = u64::try_from(caret.min(MAX_EXCERPT)).unwrap_or_default() + 1;
        Self {
            line,
            column,
            text,
            caret,
        }
    }
}

/// The character, or `�` for a control character and for one that changes the direction of writing, which a terminal would
/// execute.
fn visible(character: char) -> char {
    let is_directional =
        matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if is_directional || character.is_control() {
        '\u{fffd}'
    } else {
        character
    }
}

/// A text with every character made [`visible`], except line breaks.
fn visible_text(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character == '\n' {
                character
            } else {
                visible(character)
            }
        })
        .collect()
}

/// Longest excerpt of a line in characters: every problem holds one.
const MAX_EXCERPT: usize = 400;

/// A problem of a theme or configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path of the file in messages: `sietch/tiers.yaml`.
    pub file: String,
    /// Location in the file; `None` for the whole file.
    pub location: Option<SourceLocation>,
    /// What is wrong and what is expected.
    pub reason: String,
    /// The name that was probably meant.
    pub suggestion: Option<String>,
}

/// All problems, in order of files. Not empty when it is an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            location,
            reason,
            suggestion,
        } = self;
        let (file, reason) = (visible_text(file), visible_text(reason));
        match location {
            None => write!(f, "{file}: {reason}")?,
            Some(SourceLocation {
                line,
                column,
                text,
                caret,
            }) => {
                write!(f, "{file}:{line}:{column}: {reason}")?;
                let number = line.to_string();
                let gutter = " ".repeat(number.len());
                let indent = " ".repeat(usize::try_from(caret.saturating_sub(1)).unwrap_or_default());
                write!(f, "\n{gutter} |\n{number} | {text}\n{gutter} | {indent}^")?;
            }
        }
        if let Some(suggestion) = suggestion {
            write!(f, "\nhelp: did you mean `{}`?", visible_text(suggestion))?;
        }
        Ok(())
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl Problem {
    /// A problem at a location in a file whose whole text is `source`.
    pub(crate) fn at(file: &str, source: &str, location: Location, reason: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            location: source_location(source, location),
            reason: reason.into(),
            suggestion: None,
        }
    }

    /// A problem at a location in a file.
    #[must_use]
    pub fn at_location(file: &str, location: SourceLocation, reason: impl Into<String>) -> Self {
        Self {
            location: Some(location),
            ..Self::about(file, reason)
        }
    }

    /// A problem of a whole file, or of something that is not a file.
    #[must_use]
    pub fn about(file: &str, reason: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            location: None,
            reason: reason.into(),
            suggestion: None,
        }
    }

    /// Adds the most similar name of `known` as a suggestion, if one is similar to `written`.
    #[must_use]
    pub fn suggesting<'a>(mut self, written: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        self.suggestion = nearest(written, known);
        self
    }

    /// The problem for an error of the YAML parser.
    pub(crate) fn from_yaml(file: &str, source: &str, error: &Error) -> Self {
        let error = error.without_snippet();
        let location = error.location().unwrap_or(Location::UNKNOWN);
        let problem = |reason: String| Self::at(file, source, location, reason);
        match error {
            Error::SerdeUnknownField { field, expected, .. } => {
                problem(format!("unknown key `{field}`; {}", one_of(expected)))
                    .suggesting(field, expected.iter().copied())
            }
            Error::SerdeUnknownVariant { variant, expected, .. } => {
                problem(format!("`{variant}` is not known here; {}", one_of(expected)))
                    .suggesting(variant, expected.iter().copied())
            }
            Error::SerdeMissingField { field, .. } => problem(format!("the key `{field}` is missing")),
            Error::DuplicateMappingKey { key: Some(key), .. } => problem(format!("the key `{key}` occurs twice")),
            // A colour without quotes is a comment, so the value is missing.
            _ if starts_comment(source, location) => {
                problem("a `#` starts a comment in YAML; put colours into quotes, like \"#FFD700\"".to_owned())
            }
            Error::Unexpected {
                expected: "string scalar",
                ..
            } => problem("expected one text or number".to_owned()),
            other => problem(UserMessageFormatter.format_message(other).into_owned()),
        }
    }
}

fn one_of(known: &[&str]) -> String {
    let quoted: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => "no key is expected here".to_owned(),
        [only] => format!("expected {only}"),
        several => format!("expected one of {}", several.join(", ")),
    }
}

/// The known name that is most similar to `written`, if it is similar enough: it differs in at most a third of the letters,
/// or it is the only name that begins with `written`.
#[must_use]
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let lower = written.to_lowercase();
    let distance = |name: &str| strsim::damerau_levenshtein(&lower, &name.to_lowercase());
    let limit = (written.chars().count() / 3).max(1);
    let known: Vec<&str> = known.into_iter().collect();
    // The distance is at least the difference in length. Comparing a long text would be slow and find nothing.
    let may_be_similar = |name: &&&str| name.chars().count().abs_diff(lower.chars().count()) <= limit;
    let best = known
        .iter()
        .filter(may_be_similar)
        .map(|name| (distance(name), *name))
        .min();
    let typo = best.filter(|(distance, _)| *distance <= limit).map(|(_, name)| name);
    let begins = |name: &&&str| lower.len() >= 3 && name.to_lowercase().starts_with(&lower);
    let prefix_of = match known.iter().filter(begins).collect::<Vec<_>>().as_slice() {
        [only] => Some(**only),
        _ => None,
    };
    typo.or(prefix_of).map(str::to_owned)
}

fn starts_comment(source: &str, location: Location) -> bool {
    source_location(source, location).is_some_and(|at| at.text.contains(": #"))
}

fn source_location(source: &str, location: Location) -> Option<SourceLocation> {
    let line = usize::try_from(location.line()).ok()?.checked_sub(1)?;
    let text = source.lines().nth(line).unwrap_or_default().to_owned();
    Some(SourceLocation::new(location.line(), location.column(), &text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_similar_names_are_suggested() {
        let known = ["naib", "fedaykin", "usul"];
        assert_eq!(nearest("fedaikin", known), Some("fedaykin".into()));
        assert_eq!(nearest("Naib", known), Some("naib".into()));
        assert_eq!(nearest("niab", known), Some("naib".into()));
        assert_eq!(nearest("harkonnen", known), None);
        assert_eq!(nearest("x", []), None);
        assert_eq!(
            nearest("ADMIN", ["ADMINISTRATOR", "CONNECT"]),
            Some("ADMINISTRATOR".into())
        );
        assert_eq!(
            nearest("MANAGE", ["MANAGE_ROLES", "MANAGE_CHANNELS"]),
            None,
            "both names begin with it"
        );
    }
}
