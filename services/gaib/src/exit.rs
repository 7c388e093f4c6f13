//! The exit codes of gaib.

use std::process::ExitCode;

/// The result of a command as an exit code. Scripts rely on the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// The command succeeded; with `--detailed-exitcode`, there are no changes. 0.
    Success,
    /// The command failed or was refused, or the command line is wrong; the reason is on stderr. 1.
    Error,
    /// The command succeeded, and with `--detailed-exitcode` there are changes. 2.
    Changes,
}

impl ExitStatus {
    /// The exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Error => 1,
            Self::Changes => 2,
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}
