//! The error of a command: a summary, and what the user can do about it.

use std::fmt;

use arrakis_causes::causes;
use arrakis_iac_apply::store::StoreError;

/// What to do about a file or a folder that cannot be read or written.
pub const CHECK_PATH_AND_DISK: &str = "check the path, this user's permissions on its folder, and the free disk space";

/// The error of a command. [`crate::main`] prints it once, on stderr.
#[derive(Debug)]
pub struct Failure {
    summary: String,
    what_to_do: Option<String>,
}

/// The result of a command or of a part of it.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// An error without advice. `summary` names what failed, where and why.
    pub fn new(summary: impl fmt::Display) -> Self {
        Self {
            summary: summary.to_string(),
            what_to_do: None,
        }
    }

    /// Sets what the user can do about it.
    #[must_use]
    pub fn help(mut self, what_to_do: impl fmt::Display) -> Self {
        self.what_to_do = Some(what_to_do.to_string());
        self
    }

    /// Adds what the failure means for the command, for example that nothing was changed.
    #[must_use]
    pub fn and(mut self, meaning: &str) -> Self {
        self.summary.push_str("; ");
        self.summary.push_str(meaning);
        self
    }

    /// What failed, where and why.
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// What the user can do about it, where that is known.
    pub fn what_to_do(&self) -> Option<&str> {
        self.what_to_do.as_deref()
    }
}

/// Adds what to do about a damaged file and about a disk error. The messages of the other variants contain their advice.
impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let failure = Self::new(&error);
        match &error {
            StoreError::Io { .. } => failure.help(CHECK_PATH_AND_DISK),
            StoreError::LockRecord { is_shared: false, .. } => {
                failure.help("delete this file if no gaib process is running in this workspace")
            }
            StoreError::LockRecord { is_shared: true, .. } => failure.help(
                "if it is certain that no gaib process uses this workspace or changes its server, on any machine: `gaib server \
                 force-unlock damaged` removes the record",
            ),
            StoreError::Selection { .. } => failure.help("`gaib server workspace select NAME` writes the file again"),
            StoreError::Owner { guild, .. } => failure.help(format!(
                "`gaib server state release --guild {guild}` removes the record; use it only if no workspace of another folder \
                 manages the server"
            )),
            _ => failure,
        }
    }
}

/// Turns an error of a file operation into a [`Failure`].
pub trait OrFail<T> {
    /// `operation` completes the sentence "could not …", for example "read discord-server.yaml".
    ///
    /// # Errors
    /// The error with its causes, and [`CHECK_PATH_AND_DISK`].
    fn or_fail(self, operation: impl fmt::Display) -> Result<T>;
}

impl<T, E: std::error::Error> OrFail<T> for std::result::Result<T, E> {
    fn or_fail(self, operation: impl fmt::Display) -> Result<T> {
        self.map_err(|error| {
            Failure::new(format!("could not {operation}: {}", causes(&error))).help(CHECK_PATH_AND_DISK)
        })
    }
}
