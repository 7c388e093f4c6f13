//! Errors of the store.

use std::io;
use std::path::PathBuf;

use super::{LockRecord, WorkspaceName};

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file operation failed.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// The operation, as in "read".
        what: &'static str,
        /// Path of the file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A store that is no folder failed.
    #[error("the state is not stored: {0}")]
    Backend(String),
    /// An operation on an object of a store failed.
    #[error(transparent)]
    Object(Box<arrakis_vault::StoreError>),
    /// The bucket of a store does not exist.
    #[error(
        "the bucket of {object} does not exist: {reason}; create it, or correct `backend` in .gaib/config.yaml, GAIB_BACKEND or the region"
    )]
    NoBucket {
        /// The object.
        object: String,
        /// The store's reason.
        reason: String,
    },
    /// An operation on a table of locks failed.
    #[error(
        "cannot {operation} the lock {lock}: {reason}; check the table, its key `LockID` (a string), and the permissions on it"
    )]
    LockTable {
        /// The operation, as in "read".
        operation: &'static str,
        /// The lock.
        lock: String,
        /// The cause.
        reason: String,
        /// Whether there was no response, so that a write may have taken effect.
        is_unknown: bool,
    },
    /// Another operation has written the state under a lock of its own.
    #[error(
        "{state} was changed by another operation while this one held the lock, so nothing was written; the lock was removed by \
         force-unlock, or the state was written without a lock"
    )]
    StateChanged {
        /// The state.
        state: String,
    },
    /// The lock of an operation was removed before it ended.
    #[error(
        "the lock {id} of workspace {workspace} was removed while this operation held it; another operation may have used the state \
         meanwhile"
    )]
    LockLost {
        /// The workspace.
        workspace: WorkspaceName,
        /// Id of the lock.
        id: String,
    },
    /// The record of a lock is invalid.
    #[error("the record of the lock, {}, cannot be read: {reason}", path.display())]
    LockRecord {
        /// Path of the file, or the name of the object or item.
        path: PathBuf,
        /// The cause.
        reason: String,
        /// Whether it is in a store that several machines share, where it is no file of this machine.
        is_shared: bool,
    },
    /// The name of the selected workspace is invalid.
    #[error("the name of the selected workspace cannot be read from {}: {reason}", path.display())]
    Selection {
        /// Path of the file.
        path: PathBuf,
        /// The cause.
        reason: String,
    },
    /// The marker of a server is invalid.
    #[error("the record of the workspace that manages server {guild}, {}, cannot be read: {reason}", path.display())]
    Owner {
        /// Id of the server.
        guild: u64,
        /// Path of the file.
        path: PathBuf,
        /// The cause.
        reason: String,
    },
    /// Another operation holds the lock.
    #[error("the state of workspace {workspace} is locked: {record}; {}", what_to_do(record, *alive))]
    Locked {
        /// The workspace.
        workspace: WorkspaceName,
        /// The record of the lock.
        record: Box<LockRecord>,
        /// Whether the holder is running on this machine.
        alive: bool,
    },
    /// The lock was held, and its record was not there: the holder has not written it yet, or has removed it with the lock.
    #[error(
        "the state of workspace {0} is locked by an operation that has just begun or has just ended; run the command again"
    )]
    LockWithoutRecord(WorkspaceName),
    /// The request that takes a lock failed, and so did the one that removes it: the lock may have been taken.
    #[error(
        "{reason}; the lock {id} of {of} may have been taken: if it refuses the next command, `gaib server force-unlock {id}` removes it"
    )]
    LockMayStay {
        /// What is locked, as in `workspace default`.
        of: String,
        /// Id of the lock.
        id: String,
        /// Why the request failed.
        reason: String,
    },
    /// Another operation is changing the server, from any workspace.
    #[error("server {guild} is being changed by {}; wait until it has ended, or stop it{}", holder_of(record.as_deref()), if_ended(record.as_deref(), *ends_with_process))]
    ServerLocked {
        /// Id of the server.
        guild: u64,
        /// The record of the lock; `None` if the holder has not written it yet.
        record: Option<Box<LockRecord>>,
        /// Whether the lock ends with the process of its holder, so that the holder is running.
        ends_with_process: bool,
    },
    /// Unlocking a workspace that is not locked.
    #[error("workspace {0} is not locked; there is nothing to do")]
    NotLocked(WorkspaceName),
    /// Unlocking with a wrong id.
    #[error("the lock of workspace {workspace} has the id {held}, not {asked}; check its holder before you remove it")]
    OtherLock {
        /// The workspace.
        workspace: WorkspaceName,
        /// Id of the lock.
        held: String,
        /// The given id.
        asked: String,
    },
    /// Unlocking while the operation is running.
    #[error(
        "the operation that holds the lock is running: {0}; stop it first (after Ctrl-C it finishes its request and saves the state)"
    )]
    Alive(Box<LockRecord>),
    /// Unlocking the lock of an operation without force.
    #[error("the lock belongs to an operation: {0}; if it is certain that it has ended, use force-unlock with its id")]
    OfAnOperation(Box<LockRecord>),
    /// An invalid name of a workspace.
    #[error(
        "{0:?} cannot be a workspace's name: use 1 to 63 letters, digits, - and _, beginning with a letter or digit"
    )]
    WorkspaceName(String),
    /// The workspace does not exist.
    #[error(
        "there is no workspace {0}; `gaib server workspace ls` lists them, `gaib server workspace new {0}` creates it"
    )]
    NoWorkspace(WorkspaceName),
    /// The workspace exists already.
    #[error("there is a workspace {0} already; `gaib server workspace select {0}` selects it")]
    WorkspaceExists(WorkspaceName),
}

fn holder_of(record: Option<&LockRecord>) -> String {
    record.map_or_else(|| "another operation".to_owned(), ToString::to_string)
}

fn if_ended(record: Option<&LockRecord>, ends_with_process: bool) -> String {
    match record.filter(|_| !ends_with_process) {
        Some(record) => format!(
            "; if it is certain that it has ended, `gaib server force-unlock {}` removes its locks",
            record.id
        ),
        None => String::new(),
    }
}

impl StoreError {
    /// Whether the request may have taken effect.
    #[must_use]
    pub fn is_outcome_unknown(&self) -> bool {
        match self {
            Self::Object(error) => matches!(**error, arrakis_vault::StoreError::UnknownOutcome { .. }),
            Self::LockTable { is_unknown, .. } => *is_unknown,
            _ => false,
        }
    }

    /// Whether it is an error of a store that several machines share, where a lock does not end with its process.
    #[must_use]
    pub const fn is_of_shared_store(&self) -> bool {
        matches!(
            self,
            Self::Object(_) | Self::NoBucket { .. } | Self::LockTable { .. } | Self::LockRecord { is_shared: true, .. }
        )
    }
}

impl From<arrakis_vault::StoreError> for StoreError {
    fn from(error: arrakis_vault::StoreError) -> Self {
        match error {
            // The vault's own text names the variable of backups.
            arrakis_vault::StoreError::NoBucket { object, reason } => Self::NoBucket { object, reason },
            other => Self::Object(Box::new(other)),
        }
    }
}

fn what_to_do(record: &LockRecord, alive: bool) -> String {
    if alive {
        "wait until it has ended, or stop it".to_owned()
    } else if record.process.is_none() {
        format!("`gaib server unlock {}` releases it", record.id)
    } else {
        format!(
            "if it is certain that it has ended, `gaib server force-unlock {}` removes the lock",
            record.id
        )
    }
}
