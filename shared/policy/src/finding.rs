//! What rules find, and how much a plan changes.

use serde::{Deserialize, Serialize};

/// A result of a rule: a block or a warning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// Name of the rule.
    pub rule: String,
    /// Where the rule is defined: `arrakis` for the built-in rules, otherwise the package of the policy.
    pub source: String,
    /// The resource; `None` when the finding is about the whole plan.
    pub address: Option<String>,
    /// The finding in one sentence.
    pub message: String,
    /// Points that a warning adds to the risk score.
    pub risk: u8,
}

impl Finding {
    /// A built-in finding about the whole plan.
    pub(crate) fn of_plan(rule: &str, message: impl Into<String>) -> Self {
        Self {
            rule: rule.to_owned(),
            source: BUILT_IN.to_owned(),
            address: None,
            message: message.into(),
            risk: 0,
        }
    }

    /// The same with points of risk.
    pub(crate) fn with_risk(mut self, points: u8) -> Self {
        self.risk = points;
        self
    }
}

/// [`Finding::source`] of the built-in rules.
pub const BUILT_IN: &str = "arrakis";

/// Numbers of changes in a plan, without those that change nothing and those by which gaib adopts a resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Created resources, without replacements.
    pub create: usize,
    /// Resources that change in place.
    pub update: usize,
    /// Deleted and created again.
    pub replace: usize,
    /// Deleted resources, without replacements.
    pub delete: usize,
    /// Removed from the state only.
    pub forget: usize,
}
