//! Errors of an object store. Each names the object, the operation, the reason, and what to do.

use std::io;
use std::time::Duration;

/// Why an operation on an object failed. `object` is the store's full name of it, as [`super::ObjectStore::describe`] returns.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such object.
    #[error("{object} does not exist")]
    NotFound {
        /// The object.
        object: String,
    },
    /// The bucket does not exist.
    #[error("the bucket of {object} does not exist: {reason}; create it, or correct BACKUP_STORE and AWS_REGION")]
    NoBucket {
        /// The object.
        object: String,
        /// The store's reason.
        reason: String,
    },
    /// The condition of a write or a deletion does not hold: another process created or changed the object. Nothing was changed.
    #[error(
        "cannot {operation} {object}: another process created or changed it meanwhile; read it again and repeat the command"
    )]
    ConditionFailed {
        /// The operation, as in "write".
        operation: &'static str,
        /// The object.
        object: String,
    },
    /// The store refuses the credentials or the operation.
    #[error("cannot {operation} {object}: access denied: {reason}; {hint}")]
    Denied {
        /// The operation.
        operation: &'static str,
        /// The object.
        object: String,
        /// The store's reason.
        reason: String,
        /// What to do.
        hint: &'static str,
    },
    /// The store limits requests, and the retries are used up. Nothing is known to have changed.
    #[error(
        "cannot {operation} {object}: the store limits requests and refused {attempts} attempts: {reason}; repeat the command later"
    )]
    Throttled {
        /// The operation.
        operation: &'static str,
        /// The object.
        object: String,
        /// Number of attempts.
        attempts: u32,
        /// The store's reason.
        reason: String,
    },
    /// The store is unreachable or fails, and the retries are used up. A write did not take effect; a delete or tag request may have.
    #[error(
        "cannot {operation} {object}: the store is unavailable after {attempts} attempts: {reason}; check the network and the store, then repeat the command"
    )]
    Unavailable {
        /// The operation.
        operation: &'static str,
        /// The object.
        object: String,
        /// Number of attempts.
        attempts: u32,
        /// The reason of the last one.
        reason: String,
    },
    /// No response within the time limit. A delete or tag request may have taken effect.
    #[error("cannot {operation} {object}: no response within {} s; check the network and the store, then repeat the command", limit.as_secs())]
    TimedOut {
        /// The operation.
        operation: &'static str,
        /// The object.
        object: String,
        /// The time limit.
        limit: Duration,
    },
    /// No response to a write was received, and the store could not be read afterwards: the write may or may not have taken effect.
    #[error(
        "outcome unknown: no response to the request to {operation} {object} ({reason}), which may have taken effect; repeat the command when the store responds"
    )]
    UnknownOutcome {
        /// The operation.
        operation: &'static str,
        /// The object.
        object: String,
        /// Why there is no response.
        reason: String,
    },
    /// The object is larger than [`super::MAX_OBJECT_BYTES`].
    #[error("{object} has {size} bytes, and at most {max} are read", max = super::MAX_OBJECT_BYTES)]
    TooLarge {
        /// The object.
        object: String,
        /// Its size in bytes.
        size: u64,
    },
    /// The bytes of an encrypted object are not those that were stored.
    #[error("{object} is damaged: {reason}")]
    Damaged {
        /// The object.
        object: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The object is encrypted for another identity than those of this machine. It may be whole.
    #[error("cannot decrypt {object}: {reason}")]
    Encrypted {
        /// The object.
        object: String,
        /// Why it cannot be decrypted.
        reason: String,
    },
    /// The store wrote although the condition did not hold.
    #[error(
        "{store} ignores conditions of writes, so two processes would overwrite each other's objects there; use a store that supports If-None-Match and If-Match"
    )]
    IgnoresConditions {
        /// The store.
        store: String,
    },
    /// The response of the store cannot be parsed, or the store refuses the request itself.
    #[error("cannot {operation} {object}: {reason}")]
    Refused {
        /// The operation.
        operation: &'static str,
        /// The object.
        object: String,
        /// The reason.
        reason: String,
    },
    /// A path in a folder is, or leads through, something that a store does not contain: a symbolic link, or what is neither a file nor a
    /// folder. Nothing was read or changed.
    #[error("cannot {operation} {object}: {reason}")]
    Foreign {
        /// The operation.
        operation: &'static str,
        /// The path.
        object: String,
        /// What was found, where, and what to do.
        reason: String,
    },
    /// Another process has held the lock of a folder for too long. Nothing was changed.
    #[error("cannot lock {object}: {reason}")]
    LockHeld {
        /// The folder.
        object: String,
        /// Who holds it, as far as known, and what to do.
        reason: String,
    },
    /// A file operation failed.
    #[error("cannot {operation} {object}: {source}")]
    Io {
        /// The operation.
        operation: &'static str,
        /// The path.
        object: String,
        /// The cause.
        source: io::Error,
    },
}

impl StoreError {
    /// Whether there is no such object.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// Whether the condition of a write or a deletion did not hold.
    #[must_use]
    pub fn is_condition_failed(&self) -> bool {
        matches!(self, Self::ConditionFailed { .. })
    }

    /// Whether the same call may succeed later, so that a job is retried.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Throttled { .. }
                | Self::Unavailable { .. }
                | Self::TimedOut { .. }
                | Self::UnknownOutcome { .. }
                | Self::LockHeld { .. }
        )
    }
}
