//! What a command fails with: what and where and why, and what to do.

use std::fmt;

use arrakis_iac_apply::store::StoreError;

/// What to do about a file or a folder that cannot be read or written.
pub const ABOUT_THE_DISK: &str =
    "look whether the path is right, its folder can be read and written by this user, and the disk has room";

/// A failure, told to a person. Everything that goes wrong ends as one of these, printed once, by [`crate::main`].
#[derive(Debug)]
pub struct Failure {
    summary: String,
    what_to_do: Option<String>,
}

/// What a command gives back.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// `summary` says what, where and why.
    pub fn new(summary: impl fmt::Display) -> Self {
        Self {
            summary: summary.to_string(),
            what_to_do: None,
        }
    }

    /// With the next step.
    #[must_use]
    pub fn help(mut self, what_to_do: impl fmt::Display) -> Self {
        self.what_to_do = Some(what_to_do.to_string());
        self
    }

    /// A failure of the store: what to do about a file that is damaged or a disk that refuses. The other messages have it.
    pub fn of_store(error: StoreError) -> Self {
        let what_to_do = match &error {
            StoreError::Io { .. } => Some(ABOUT_THE_DISK.to_owned()),
            StoreError::LockRecord { .. } => {
                Some("delete this file if no gaib is running in this workspace".to_owned())
            }
            StoreError::Selection { .. } => Some("`gaib server workspace select NAME` writes it again".to_owned()),
            StoreError::Owner { guild, .. } => Some(format!(
                "`gaib server state release --guild {guild}` removes it; do so if no workspace of another folder manages the server"
            )),
            _ => None,
        };
        let failure = Self::new(error);
        match what_to_do {
            Some(what_to_do) => failure.help(what_to_do),
            None => failure,
        }
    }

    /// What, where, why.
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// The next step, where one is known.
    pub fn what_to_do(&self) -> Option<&str> {
        self.what_to_do.as_deref()
    }
}

/// Lets `.or_fail("read x")?` say what was tried with a file or a folder.
pub trait OrFail<T> {
    /// `doing` completes "could not …".
    fn or_fail(self, doing: impl fmt::Display) -> Result<T>;
}

impl<T, E: std::error::Error> OrFail<T> for std::result::Result<T, E> {
    fn or_fail(self, doing: impl fmt::Display) -> Result<T> {
        self.map_err(|error| {
            let mut summary = format!("could not {doing}: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                let cause_text = cause.to_string();
                if !summary.contains(&cause_text) {
                    summary.push_str(": ");
                    summary.push_str(&cause_text);
                }
                source = cause.source();
            }
            Failure::new(summary).help(ABOUT_THE_DISK)
        })
    }
}
