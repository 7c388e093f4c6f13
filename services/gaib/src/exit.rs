//! The exit statuses, in one place.

use std::process::ExitCode;

/// How a run ended. Scripts rely on the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// Done; with `--detailed-exitcode`: done, and there are no changes. 0.
    Success,
    /// Something failed or was refused, the command line itself included; the reason is on stderr. 1.
    Error,
    /// With `--detailed-exitcode`: done, and there are changes. 2.
    Changes,
}

impl ExitStatus {
    /// The number.
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
