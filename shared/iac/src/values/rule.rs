//! Rules of Discord that values of a configuration break.
//!
//! A server may have values that Discord does not accept any more: names that were forbidden later, more overwrites than one
//! request may contain. Such a value can be read and exported; a broken rule blocks only a plan that sends the value.

use serde::{Deserialize, Serialize};

use super::{Address, Target};

/// The position of a resource in a file, for messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The file name that the caller passed.
    pub file: String,
    /// Line, from 1.
    pub line: u64,
    /// Column in characters, from 1.
    pub column: u64,
}

/// The part of a resource that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RulePart {
    /// Its creation: an attribute is missing that Discord requires, or there are too many resources of the kind.
    Creation,
    /// The attribute with this name.
    Attribute(String),
    /// One overwrite of a category or channel.
    Overwrite(Target),
    /// The number of overwrites of a category or channel.
    OverwriteCount,
}

/// A rule of Discord that a value of the configuration breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokenRule {
    /// The resource.
    pub address: Address,
    /// The part of it.
    pub part: RulePart,
    /// The position of the value in the file; `None` for a value of a theme.
    pub origin: Option<Origin>,
    /// The rule, and how the value breaks it.
    pub reason: String,
}
