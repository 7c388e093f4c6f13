//! Errors of a configuration: each names key, value, reason, and an example of a valid value.

use std::fmt;

use crate::variables::{Service, Variable};

/// Exit code of a process with an invalid configuration (`EX_CONFIG` of sysexits.h).
pub const EXIT_CODE: u8 = 78;

/// An environment variable that is missing, invalid or unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// Name of the variable.
    pub key: String,
    /// The value, redacted if it may hold a secret; `None` when it is missing.
    pub value: Option<String>,
    /// Why the value is refused.
    pub reason: String,
    /// A valid assignment, or what to do.
    pub example: String,
}

/// All problems of a service's configuration, so that one start reports everything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors {
    /// The service whose configuration it is.
    pub service: Service,
    /// The problems, at least one.
    pub problems: Vec<ConfigProblem>,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        let noun = if count == 1 { "problem" } else { "problems" };
        write!(f, "{}: {count} {noun} in the environment", self.service.binary())?;
        for problem in &self.problems {
            write!(f, "\n  {}", problem.key)?;
            match &problem.value {
                Some(value) => write!(f, "={value}")?,
                None => write!(f, " is not set")?,
            }
            write!(f, "\n    why:     {}\n    example: {}", problem.reason, problem.example)?;
        }
        Ok(())
    }
}

/// Printed instead of a value that may hold a secret.
const REDACTED: &str = "[redacted]";

/// A value as an error may print it. A variable that is not declared secret may still hold a secret, such as a password in
/// a URL: a value with a user part, a query or a fragment is redacted.
pub(crate) fn printable(value: &str) -> String {
    if value.contains(['@', '?', '#']) {
        REDACTED.to_owned()
    } else {
        value.to_owned()
    }
}

impl ConfigProblem {
    pub(crate) fn missing(variable: &Variable) -> Self {
        Self {
            key: variable.name.to_owned(),
            value: None,
            reason: format!("needed: {}", variable.meaning),
            example: variable.assignment(),
        }
    }

    /// `value` is `None` where the variable is not set.
    pub(crate) fn invalid(variable: &Variable, value: Option<&str>, reason: impl Into<String>) -> Self {
        let shown = |value| match variable.secret {
            true => REDACTED.to_owned(),
            false => printable(value),
        };
        Self {
            key: variable.name.to_owned(),
            value: value.map(shown),
            reason: reason.into(),
            example: variable.assignment(),
        }
    }
}
