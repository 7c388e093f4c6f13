//! [`Reader`]: reads values of one file, substitutes variables, checks types and lengths, and records problems with their
//! locations.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use arrakis_domain::{Color, Variable};
use serde_saphyr::Location;

use crate::document::Text;
use crate::folder::ThemeFolder;
use crate::problem::Problem;
use crate::values::{as_text, expand};

/// Longest name that Discord accepts, in characters.
const LONGEST_NAME: usize = 100;
/// Longest description: the limit of an embed's field, in characters.
const LONGEST_TEXT: usize = 1_024;

pub(crate) struct Reader<'a> {
    file: String,
    source: &'a str,
    variables: &'a BTreeMap<String, Variable>,
    pub(crate) problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(folder: &'a ThemeFolder, file: &str, variables: &'a BTreeMap<String, Variable>) -> Self {
        let source = folder.files.get(file).map_or("", String::as_str);
        Self {
            file: folder.name_of(file),
            source,
            variables,
            problems: Vec::new(),
        }
    }

    /// Records a problem at a location.
    pub(crate) fn refuse(&mut self, at: Location, reason: impl Into<String>) {
        self.problems.push(Problem::at(&self.file, self.source, at, reason));
    }

    /// Records a problem of the whole file.
    pub(crate) fn refuse_file(&mut self, reason: impl Into<String>) {
        self.problems.push(Problem::about(&self.file, reason));
    }

    /// Records an unknown name and suggests the most similar known one.
    pub(crate) fn refuse_near<'k>(
        &mut self,
        at: Location,
        reason: impl Into<String>,
        written: &str,
        known: impl IntoIterator<Item = &'k str>,
    ) {
        self.problems
            .push(Problem::at(&self.file, self.source, at, reason).suggesting(written, known));
    }

    /// Records a problem with its correction as the suggestion.
    pub(crate) fn refuse_for(&mut self, at: Location, reason: impl Into<String>, right: String) {
        let problem = Problem::at(&self.file, self.source, at, reason);
        self.problems.push(Problem {
            suggestion: Some(right),
            ..problem
        });
    }

    /// The text with its variables substituted.
    pub(crate) fn text(&mut self, text: &Text) -> String {
        let lookup = |name: &str| match self.variables.get(name) {
            Some(variable) => as_text(&variable.value)
                .ok_or_else(|| format!("`{name}` is a list and cannot be substituted in a text")),
            None => Err(format!("there is no variable `{name}` in theme.yaml")),
        };
        match expand(&text.value, lookup) {
            Ok(expanded) => expanded,
            Err((name, reason)) => {
                let known = self.variables.keys().map(String::as_str);
                let near = name.and_then(|name| crate::problem::nearest(&name, known));
                let problem = Problem::at(&self.file, self.source, text.referenced, reason);
                self.problems.push(Problem {
                    suggestion: near.map(|name| format!("${{{name}}}")),
                    ..problem
                });
                // Callers report no further problem for an empty text after a recorded one.
                String::new()
            }
        }
    }

    /// A text whose length is within limits, in characters.
    fn bounded(&mut self, text: &Text, shortest: usize, longest: usize) -> String {
        let before = self.problems.len();
        let value = self.text(text);
        let length = value.chars().count();
        if self.problems.len() == before {
            if value.trim().is_empty() {
                self.refuse(text.referenced, "a text is required here");
            } else if length < shortest {
                self.refuse(
                    text.referenced,
                    format!("at least {shortest} characters are required here"),
                );
            } else if length > longest {
                self.refuse(
                    text.referenced,
                    format!("the text has {length} characters; the maximum is {longest}"),
                );
            }
        }
        value
    }

    /// A name: 1 to 100 characters, as Discord accepts them.
    pub(crate) fn name(&mut self, text: &Text) -> String {
        self.bounded(text, 1, LONGEST_NAME)
    }

    /// A server's name: 2 to 100 characters.
    pub(crate) fn server_name(&mut self, text: &Text) -> String {
        self.bounded(text, 2, LONGEST_NAME)
    }

    /// A sentence or two: up to 1,024 characters.
    pub(crate) fn sentence(&mut self, text: &Text) -> String {
        self.bounded(text, 1, LONGEST_TEXT)
    }

    /// A value of a type that is parsed from text.
    pub(crate) fn parse<T: FromStr<Err: Display>>(&mut self, text: &Text) -> Option<T> {
        let before = self.problems.len();
        let value = self.text(text);
        if self.problems.len() > before {
            return None;
        }
        match value.parse() {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                self.refuse(text.referenced, T::Err::to_string(&error));
                None
            }
        }
    }

    /// A colour; black in place of an invalid one, after which the theme is refused.
    pub(crate) fn color(&mut self, text: &Text) -> Color {
        self.parse(text).unwrap_or(Color::from_rgb(0))
    }

    /// A whole number within limits; the lower limit in place of an invalid one.
    pub(crate) fn number(&mut self, text: &Text, limits: RangeInclusive<u32>) -> u32 {
        let before = self.problems.len();
        let value = self.text(text);
        match value.parse() {
            Ok(number) if limits.contains(&number) => return number,
            _ if self.problems.len() > before => {}
            _ => {
                let reason = format!(
                    "`{value}` is not a whole number from {} to {}",
                    limits.start(),
                    limits.end()
                );
                self.refuse(text.referenced, reason);
            }
        }
        *limits.start()
    }

    /// `true` or `false`; `false` by default.
    pub(crate) fn boolean(&mut self, text: Option<&Text>) -> bool {
        let Some(text) = text else { return false };
        let before = self.problems.len();
        match self.text(text).as_str() {
            "true" => true,
            "false" => false,
            _ if self.problems.len() > before => false,
            other => {
                self.refuse(text.referenced, format!("`{other}` is neither `true` nor `false`"));
                false
            }
        }
    }

    /// A reference to a name that another part of the theme defines; `what` names the part in messages.
    pub(crate) fn reference<T: FromStr<Err: Display>>(&mut self, text: &Text, what: &str, known: &[&str]) -> Option<T> {
        if known.contains(&text.value.as_str()) {
            // An invalid key is reported once, where it is defined.
            return text.value.parse().ok();
        }
        let reason = format!("there is no {what} `{}`", text.value);
        self.refuse_near(text.referenced, reason, &text.value, known.iter().copied());
        None
    }

    /// The key of an entry, which must differ from those before it.
    pub(crate) fn unique<T: FromStr<Err: Display> + PartialEq>(
        &mut self,
        text: &Text,
        what: &str,
        before: impl IntoIterator<Item = T>,
    ) -> Option<T> {
        let key = self.parse(text)?;
        if before.into_iter().any(|other| other == key) {
            self.refuse(text.referenced, format!("the {what} `{}` occurs twice", text.value));
            return None;
        }
        Some(key)
    }
}
