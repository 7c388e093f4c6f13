//! Reads values of one file: puts variables in, checks types and lengths, keeps what is wrong with its place.

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

/// Longest name that Discord takes, in characters.
const LONGEST_NAME: usize = 100;
/// Longest description that fits an embed's field.
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

    /// Notes what is wrong at a place.
    pub(crate) fn refuse(&mut self, at: Location, reason: impl Into<String>) {
        self.problems.push(Problem::at(&self.file, self.source, at, reason));
    }

    /// Notes what is wrong with the file as a whole.
    pub(crate) fn refuse_file(&mut self, reason: impl Into<String>) {
        self.problems.push(Problem::about(&self.file, reason));
    }

    /// Notes a wrong name and suggests the nearest of the right ones.
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

    /// Notes a correction that is known outright.
    pub(crate) fn refuse_for(&mut self, at: Location, reason: impl Into<String>, right: String) {
        let problem = Problem::at(&self.file, self.source, at, reason);
        self.problems.push(Problem {
            suggestion: Some(right),
            ..problem
        });
    }

    /// The text with its variables put in.
    pub(crate) fn text(&mut self, text: &Text) -> String {
        let lookup = |name: &str| match self.variables.get(name) {
            Some(variable) => {
                as_text(&variable.value).ok_or_else(|| format!("`{name}` is a list and fits into no text"))
            }
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
                // What stands for it must not draw complaints of its own.
                String::new()
            }
        }
    }

    /// A text that is there and fits.
    fn bounded(&mut self, text: &Text, shortest: usize, longest: usize) -> String {
        let before = self.problems.len();
        let value = self.text(text);
        let length = value.chars().count();
        if self.problems.len() == before {
            if value.trim().is_empty() {
                self.refuse(text.referenced, "a text is needed here");
            } else if length < shortest {
                self.refuse(
                    text.referenced,
                    format!("at least {shortest} characters are needed here"),
                );
            } else if length > longest {
                self.refuse(
                    text.referenced,
                    format!("the text has {length} characters; at most {longest} fit"),
                );
            }
        }
        value
    }

    /// A name, as Discord takes them: 1 to 100 characters.
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

    /// A value of a type that reads itself from text and explains its errors.
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

    /// A colour; black stands for a bad one, which refuses the theme.
    pub(crate) fn color(&mut self, text: &Text) -> Color {
        self.parse(text).unwrap_or(Color::from_rgb(0))
    }

    /// A whole number within limits; the lower limit stands for a bad one.
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

    /// `true` or `false`; `false` when nothing is said.
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

    /// A name that another part of the theme defines; `what` says which part.
    pub(crate) fn reference<T: FromStr<Err: Display>>(&mut self, text: &Text, what: &str, known: &[&str]) -> Option<T> {
        if known.contains(&text.value.as_str()) {
            // A bad key was refused where it is defined; saying so again at each use helps nobody.
            return text.value.parse().ok();
        }
        let reason = format!("there is no {what} `{}`", text.value);
        self.refuse_near(text.referenced, reason, &text.value, known.iter().copied());
        None
    }

    /// The key of an entry, refused when one before it has the same.
    pub(crate) fn unique<T: FromStr<Err: Display> + PartialEq>(
        &mut self,
        text: &Text,
        what: &str,
        before: impl IntoIterator<Item = T>,
    ) -> Option<T> {
        let key = self.parse(text)?;
        if before.into_iter().any(|other| other == key) {
            self.refuse(text.referenced, format!("the {what} `{}` is there twice", text.value));
            return None;
        }
        Some(key)
    }
}
