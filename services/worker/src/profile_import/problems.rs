//! What keeps a file from being imported.

use std::fmt;

use arrakis_db::UserId;
use serde::{Serialize, Serializer};

/// Problems that are kept with their text; further ones are only counted.
const KEPT: usize = 1_000;

/// Something in a file that cannot be imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    /// Table of the file.
    pub(crate) table: &'static str,
    /// Number of the row, from 1, as the table returns its rows; `None` for a problem of the whole table.
    pub(crate) row: Option<u64>,
    /// The member whose row it is, where it could be read.
    #[serde(serialize_with = "as_text")]
    pub(crate) user_id: Option<UserId>,
    /// What is wrong.
    pub(crate) reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.table)?;
        if let Some(row) = self.row {
            write!(f, " row {row}")?;
        }
        if let Some(user) = self.user_id {
            write!(f, " (member {user})")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// An id as text: JSON's numbers have 53 bits.
fn as_text<S: Serializer>(user: &Option<UserId>, serializer: S) -> Result<S::Ok, S::Error> {
    match user {
        Some(user) => serializer.collect_str(user),
        None => serializer.serialize_none(),
    }
}

/// The problems of a file, in the order in which they were found.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    kept: Vec<Problem>,
    count: usize,
}

impl Problems {
    /// Adds a problem.
    pub(super) fn add(
        &mut self,
        table: &'static str,
        row: Option<u64>,
        user_id: Option<UserId>,
        reason: impl Into<String>,
    ) {
        self.count += 1;
        if self.kept.len() < KEPT {
            self.kept.push(Problem {
                table,
                row,
                user_id,
                reason: reason.into(),
            });
        }
    }

    /// The number of problems.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// The first thousand of them.
    pub(crate) fn kept(&self) -> &[Problem] {
        &self.kept
    }
}
