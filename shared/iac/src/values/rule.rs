//! Rules of Discord's that a configuration breaks.
//!
//! A server may have what Discord would no longer take: names that were forbidden since, more overwrites than one request may
//! hold. Such a value can be read, exported and kept; a broken rule stands in the way only of a plan that sends the value.

use serde::{Deserialize, Serialize};

use super::{Address, Target};

/// Where a resource is written, for messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The file, as the caller called it.
    pub file: String,
    /// From 1.
    pub line: u64,
    /// From 1, in characters.
    pub column: u64,
}

/// What of a resource a rule is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RulePart {
    /// Making it: something is missing without which Discord makes nothing, or there are too many of its kind.
    Creation,
    /// The attribute of this name, which Discord takes whole.
    Attribute(String),
    /// One overwrite of a category or channel.
    Overwrite(Target),
    /// How many overwrites a category or channel has.
    OverwriteCount,
}

/// A rule that a value of the configuration breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokenRule {
    /// The resource.
    pub address: Address,
    /// What of it.
    pub part: RulePart,
    /// Where the value is written; `None` for a value of a theme.
    pub origin: Option<Origin>,
    /// The rule, and how it is broken.
    pub reason: String,
}
