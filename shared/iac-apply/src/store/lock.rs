//! Records of locks.
//!
//! In a local store, the lock of an operation is a record for readers and a lock of the operating system on a file, which ends
//! with the process. A record without the lock was left by a process that ended. On the same machine the lock is taken over. A
//! record of another machine (in a shared folder) is not, since this machine cannot check the process. In an object store, the
//! record is the lock: it is created only where there is none, and nothing but `force-unlock` removes one that was left.

use std::fmt;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

/// The holder of a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockHolder {
    /// Name of the user, as in `stilgar`.
    pub who: String,
    /// Name of the machine.
    pub host: String,
    /// The operation, as in `apply`.
    pub operation: String,
}

/// The record of a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockRecord {
    /// Id, for `force-unlock`.
    pub id: String,
    /// Name of the user.
    pub who: String,
    /// Name of the machine.
    pub host: String,
    /// The operation.
    pub operation: String,
    /// Time of the lock.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// Process id of the operation; `None` for a permanent lock.
    pub process: Option<u32>,
}

impl LockRecord {
    /// The record of an operation of this process, with the current time.
    #[must_use]
    pub fn of_this_process(holder: &LockHolder) -> Self {
        Self::new(holder, Some(std::process::id()))
    }

    /// The record of a permanent lock, with the current time.
    pub(super) fn permanent(holder: &LockHolder) -> Self {
        Self::new(holder, None)
    }

    fn new(holder: &LockHolder, process: Option<u32>) -> Self {
        Self {
            id: Uuid::new_v4().to_string(),
            who: holder.who.clone(),
            host: holder.host.clone(),
            operation: holder.operation.clone(),
            since: OffsetDateTime::now_utc(),
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

/// A held lock and the status of its holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldLock {
    /// The record of the lock.
    pub record: LockRecord,
    /// Whether the holder is running on this machine.
    pub alive: bool,
}

/// A time in the name of a file: `20261121T141500.123Z`.
pub(super) fn time_stamp(now: OffsetDateTime) -> String {
    let (date, time) = (now.date(), now.time());
    format!(
        "{}{:02}{:02}T{:02}{:02}{:02}.{:03}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.millisecond()
    )
}
