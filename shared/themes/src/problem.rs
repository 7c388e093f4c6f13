//! What is wrong with a theme: told with file, line, column, reason, and the right spelling where one is near.

use std::fmt;

use serde_saphyr::{Error, Location, MessageFormatter as _, UserMessageFormatter};

/// Where a problem is, counted from 1 as editors count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line.
    pub line: u64,
    /// Column, in characters.
    pub column: u64,
    /// The line as it is written; of a very long one, the part around the column. Control characters are shown as `�`.
    pub text: String,
    /// The column within [`Place::text`].
    pub caret: u64,
}

impl Place {
    /// A place in a line whose whole text is `source`.
    #[must_use]
    pub fn new(line: u64, column: u64, source: &str) -> Self {
        let index = usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX);
        let start = index.saturating_sub(WIDEST_EXCERPT / 2);
        let mut signs = source.chars().skip(start);
        let shown = signs.by_ref().take(WIDEST_EXCERPT).map(visible);
        let (mut text, mut caret) = (shown.collect::<String>(), index - start);
        if start > 0 {
            text.insert(0, '…');
            caret += 1;
        }
        if signs.next().is_some() {
            text.push('…');
        }
        let caret = u64::try_from(caret.min(WIDEST_EXCERPT)).unwrap_or_default() + 1;
        Self {
            line,
            column,
            text,
            caret,
        }
    }
}

/// The sign, or one that a terminal does not obey in place of a control and of what turns the direction of writing.
fn visible(sign: char) -> char {
    let turns = matches!(sign, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if turns || sign.is_control() { '\u{fffd}' } else { sign }
}

/// A text of which every sign is visible; lines stay lines.
fn visible_text(text: &str) -> String {
    text.chars()
        .map(|sign| if sign == '\n' { sign } else { visible(sign) })
        .collect()
}

/// Characters of a line that are shown: the rest of a very long one helps nobody and would be kept once for each problem.
const WIDEST_EXCERPT: usize = 400;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// File, as a person would name it: `sietch/tiers.yaml`.
    pub file: String,
    /// Where in the file; `None` when it is about the whole of it.
    pub place: Option<Place>,
    /// What is wrong and what is expected.
    pub reason: String,
    /// What was probably meant.
    pub suggestion: Option<String>,
}

/// Everything that is wrong, in order of files. Never empty when it is an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            place,
            reason,
            suggestion,
        } = self;
        let (file, reason) = (visible_text(file), visible_text(reason));
        match place {
            None => write!(f, "{file}: {reason}")?,
            Some(Place {
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
    /// About a place in a file whose whole text is `source`.
    pub(crate) fn at(file: &str, source: &str, location: Location, reason: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            place: place(source, location),
            reason: reason.into(),
            suggestion: None,
        }
    }

    /// About a place in a file.
    #[must_use]
    pub fn at_place(file: &str, place: Place, reason: impl Into<String>) -> Self {
        Self {
            place: Some(place),
            ..Self::about(file, reason)
        }
    }

    /// About a whole file, or something that is no file.
    #[must_use]
    pub fn about(file: &str, reason: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            place: None,
            reason: reason.into(),
            suggestion: None,
        }
    }

    /// Adds the nearest of `known` to what was written, when one is near.
    #[must_use]
    pub fn suggesting<'a>(mut self, written: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        self.suggestion = nearest(written, known);
        self
    }

    /// From what the YAML reader refused.
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
            Error::DuplicateMappingKey { key: Some(key), .. } => problem(format!("the key `{key}` is there twice")),
            // A colour without quotes is a comment, and what is left is nothing at all.
            _ if starts_comment(source, location) => {
                problem("a `#` starts a comment in YAML; put colours into quotes, like \"#FFD700\"".to_owned())
            }
            Error::Unexpected {
                expected: "string scalar",
                ..
            } => problem("one text or number is expected here".to_owned()),
            other => problem(UserMessageFormatter.format_message(other).into_owned()),
        }
    }
}

fn one_of(known: &[&str]) -> String {
    let quoted: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => "nothing is expected here".to_owned(),
        [only] => format!("expected {only}"),
        several => format!("expected one of {}", several.join(", ")),
    }
}

/// The known name that is nearest to what was written, when it is near enough to be a slip: up to a third of the letters, or
/// the one name that begins with it.
#[must_use]
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let lower = written.to_lowercase();
    let distance = |name: &str| strsim::damerau_levenshtein(&lower, &name.to_lowercase());
    let limit = (written.chars().count() / 3).max(1);
    let known: Vec<&str> = known.into_iter().collect();
    // So many letters must at least be changed. Measuring against what was pasted in by mistake would take long and find nothing.
    let may_be_near = |name: &&&str| name.chars().count().abs_diff(lower.chars().count()) <= limit;
    let best = known
        .iter()
        .filter(may_be_near)
        .map(|name| (distance(name), *name))
        .min();
    let slip = best.filter(|(distance, _)| *distance <= limit).map(|(_, name)| name);
    let begins = |name: &&&str| lower.len() >= 3 && name.to_lowercase().starts_with(&lower);
    let cut_short = match known.iter().filter(begins).collect::<Vec<_>>().as_slice() {
        [only] => Some(**only),
        _ => None,
    };
    slip.or(cut_short).map(str::to_owned)
}

fn starts_comment(source: &str, location: Location) -> bool {
    place(source, location).is_some_and(|place| place.text.contains(": #"))
}

fn place(source: &str, location: Location) -> Option<Place> {
    let line = usize::try_from(location.line()).ok()?.checked_sub(1)?;
    let text = source.lines().nth(line).unwrap_or_default().to_owned();
    Some(Place::new(location.line(), location.column(), &text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_near_names_are_suggested() {
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
            "either could be meant"
        );
    }
}
