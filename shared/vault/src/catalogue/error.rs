//! Errors of a catalogue.

use std::io;

/// Why an operation on a catalogue failed. `item` is the catalogue's full name of it: a path, or table and key.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// There is no such record.
    #[error("{item} does not exist")]
    NotFound {
        /// The record.
        item: String,
    },
    /// Another record has this id.
    #[error("{item} exists already with another content")]
    Exists {
        /// The record.
        item: String,
    },
    /// A record cannot be read.
    #[error("{item} is damaged: {reason}; nothing was changed")]
    Damaged {
        /// The record.
        item: String,
        /// The reason.
        reason: String,
    },
    /// The table does not exist.
    #[error("{item}: the table does not exist: {reason}; create it, or correct BACKUP_CATALOGUE and AWS_REGION")]
    NoTable {
        /// The table.
        item: String,
        /// The reason.
        reason: String,
    },
    /// The credentials are refused.
    #[error("cannot {operation} {item}: access denied: {reason}; {hint}")]
    Denied {
        /// The operation, as in "read".
        operation: &'static str,
        /// The record or the table.
        item: String,
        /// The reason.
        reason: String,
        /// What to do.
        hint: &'static str,
    },
    /// DynamoDB limits requests, and the retries are used up.
    #[error(
        "cannot {operation} {item}: the table limits requests and refused {attempts} attempts: {reason}; repeat the command later, or raise the capacity of the table"
    )]
    Throttled {
        /// The operation.
        operation: &'static str,
        /// The record or the table.
        item: String,
        /// Number of attempts.
        attempts: u32,
        /// The reason of the last one.
        reason: String,
    },
    /// The catalogue is unreachable or fails, and the retries are used up. A write may have taken effect; every write can be repeated.
    #[error(
        "cannot {operation} {item}: the catalogue is unavailable after {attempts} attempts: {reason}; check the network and the table, then repeat the command"
    )]
    Unavailable {
        /// The operation.
        operation: &'static str,
        /// The record or the table.
        item: String,
        /// Number of attempts.
        attempts: u32,
        /// The reason of the last one.
        reason: String,
    },
    /// The catalogue refuses the request itself.
    #[error("cannot {operation} {item}: {reason}")]
    Refused {
        /// The operation.
        operation: &'static str,
        /// The record or the table.
        item: String,
        /// The reason.
        reason: String,
    },
    /// Another process has held the lock of a folder for too long. Nothing was changed.
    #[error("cannot lock {item}: {reason}")]
    LockHeld {
        /// The folder.
        item: String,
        /// Who holds it, as far as known, and what to do.
        reason: String,
    },
    /// A file operation failed.
    #[error("cannot {operation} {item}: {source}")]
    Io {
        /// The operation.
        operation: &'static str,
        /// The path.
        item: String,
        /// The cause.
        source: io::Error,
    },
}

impl CatalogueError {
    /// Whether the same call may succeed later, so that a job is retried.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Throttled { .. } | Self::Unavailable { .. } | Self::LockHeld { .. }
        )
    }
}
