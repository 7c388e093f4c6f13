//! Who holds the lock of a workspace.
//!
//! An operation's lock is two things: a record that others read, and the operating system's lock on a file, which ends
//! with the process whatever ends it. A record without the system's lock was left by a process that died: on the same
//! machine it is taken over, since the kernel vouches for the death; a record of another machine (a shared folder) is not,
//! since nobody here can know.

use std::fmt;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

/// Who asks for a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// A person, as in `stilgar`.
    pub who: String,
    /// The machine.
    pub host: String,
    /// What for, as in `apply`.
    pub operation: String,
}

/// A lock as others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockRecord {
    /// To name it by when it is taken away.
    pub id: String,
    /// Who holds it.
    pub who: String,
    /// On which machine.
    pub host: String,
    /// What for.
    pub operation: String,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// The process of an operation; `None` for a lock that was taken to be kept.
    pub process: Option<u32>,
}

impl LockRecord {
    pub(super) fn new(holder: &Holder, process: Option<u32>, now: OffsetDateTime) -> Self {
        Self {
            id: Uuid::new_v4().to_string(),
            who: holder.who.clone(),
            host: holder.host.clone(),
            operation: holder.operation.clone(),
            since: now,
            process,
        }
    }
}

impl fmt::Display for LockRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.since.format(&Rfc3339).unwrap_or_else(|_| self.since.to_string());
        write!(f, "{} by {} on {} since {since}", self.operation, self.who, self.host)?;
        if let Some(process) = self.process {
            write!(f, ", process {process}")?;
        }
        write!(f, " (lock {})", self.id)
    }
}

/// A lock, and what is known of its holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldLock {
    /// Who holds it.
    pub record: LockRecord,
    /// The holder is running on this machine.
    pub alive: bool,
}
