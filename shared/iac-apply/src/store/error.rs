//! What can go wrong with the store.

use std::io;
use std::path::PathBuf;

use super::{LockRecord, WorkspaceName};

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk refused.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// As in "read".
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The record of a lock is damaged.
    #[error("the record of the lock, {}, cannot be read: {reason}", path.display())]
    LockRecord {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The name of the selected workspace is damaged.
    #[error("the name of the selected workspace cannot be read from {}: {reason}", path.display())]
    Selection {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The record of the workspace that manages a server is damaged.
    #[error("the record of the workspace that manages server {guild}, {}, cannot be read: {reason}", path.display())]
    Owner {
        /// The server.
        guild: u64,
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Somebody holds the lock.
    #[error("the state of workspace {workspace} is locked: {record}; {}", what_to_do(record, *alive))]
    Locked {
        /// Of which workspace.
        workspace: WorkspaceName,
        /// Who holds it.
        record: Box<LockRecord>,
        /// Whether the holder is known to be running on this machine.
        alive: bool,
    },
    /// Another operation is changing the server, from whatever workspace.
    #[error("server {guild} is being changed by {}; wait until it has ended, or stop it", holder_of(record.as_deref()))]
    ServerLocked {
        /// The server.
        guild: u64,
        /// Who holds its lock; `None` when the holder has not written its record yet.
        record: Option<Box<LockRecord>>,
    },
    /// Unlocking what is not locked.
    #[error("workspace {0} is not locked; there is nothing to do")]
    NotLocked(WorkspaceName),
    /// Unlocking by another id.
    #[error("the lock of workspace {workspace} has the id {held}, not {asked}; check its holder before you remove it")]
    OtherLock {
        /// Of which workspace.
        workspace: WorkspaceName,
        /// Its id.
        held: String,
        /// The id that was given.
        asked: String,
    },
    /// Taking the lock from an operation that runs.
    #[error(
        "the operation that holds the lock is running: {0}; stop it first (after Ctrl-C it finishes its request and saves the state)"
    )]
    Alive(Box<LockRecord>),
    /// A simple unlock of an operation's lock.
    #[error("the lock belongs to an operation: {0}; if it is certain that it has ended, use force-unlock with its id")]
    OfAnOperation(Box<LockRecord>),
    /// A name that no workspace can have.
    #[error(
        "{0:?} cannot be a workspace's name: use 1 to 63 letters, digits, - and _, beginning with a letter or digit"
    )]
    WorkspaceName(String),
    /// No such workspace.
    #[error(
        "there is no workspace {0}; `gaib server workspace ls` lists them, `gaib server workspace new {0}` creates it"
    )]
    NoWorkspace(WorkspaceName),
    /// It exists already.
    #[error("there is a workspace {0} already; `gaib server workspace select {0}` chooses it")]
    WorkspaceExists(WorkspaceName),
}

fn holder_of(record: Option<&LockRecord>) -> String {
    record.map_or_else(|| "another operation".to_owned(), ToString::to_string)
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
