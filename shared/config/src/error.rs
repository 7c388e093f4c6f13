//! What a wrong configuration says: key, value, why, and an example of a right one.

use std::fmt;

use crate::variables::{Service, Variable};

/// Exit code of a process whose configuration is wrong (`EX_CONFIG` of sysexits.h).
pub const EXIT_CODE: u8 = 78;

/// One variable that is missing, wrong or unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Name of the variable.
    pub key: String,
    /// The value found, already redacted where the variable is secret; `None` when it is missing.
    pub value: Option<String>,
    /// Why it is refused, in words.
    pub why: String,
    /// A value that would be accepted, or what to do.
    pub example: String,
}

/// All that is wrong with a service's configuration, so that one start tells everything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors {
    /// Whose configuration it is.
    pub service: Service,
    /// At least one.
    pub problems: Vec<Problem>,
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
            write!(f, "\n    why:     {}\n    example: {}", problem.why, problem.example)?;
        }
        Ok(())
    }
}

/// What stands in place of a value that may hold a secret.
const REDACTED: &str = "[redacted]";

/// A value as an error may show it. A variable that is not declared secret can hold one all the same, where somebody wrote a password
/// or a key into an address: whatever has a user part, a query or a fragment is not shown.
pub(crate) fn shown(value: &str) -> String {
    if value.contains(['@', '?', '#']) {
        REDACTED.to_owned()
    } else {
        value.to_owned()
    }
}

impl Problem {
    pub(crate) fn missing(variable: &Variable) -> Self {
        Self {
            key: variable.name.to_owned(),
            value: None,
            why: format!("needed: {}", variable.meaning),
            example: variable.assignment(),
        }
    }

    pub(crate) fn wrong(variable: &Variable, value: &str, why: impl Into<String>) -> Self {
        Self {
            key: variable.name.to_owned(),
            value: Some(if variable.secret {
                REDACTED.to_owned()
            } else {
                shown(value)
            }),
            why: why.into(),
            example: variable.assignment(),
        }
    }
}
