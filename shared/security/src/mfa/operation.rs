//! Operations that need a second factor, and their names in JSON and the audit log.

use std::fmt;
use std::str::FromStr;

/// An operation that needs a second factor. Tests list the variants and fail when one has no guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProtectedOperation {
    /// Deletion of channels of a server.
    DeleteChannels,
    /// Deletion of roles of a server.
    DeleteRoles,
    /// Removal of everything of a server.
    Teardown,
    /// End of a kill switch.
    KillSwitchOff,
    /// `/admin-migrate`: members keep tiers of another tool, and the undo of that.
    AdminMigrate,
    /// `/admin-takeover`: freeze of a community and control by one admin, and the end of that.
    AdminTakeover,
    /// Approval of a change of infrastructure with a high risk.
    HighRiskApproval,
    /// Removal of a second factor, and new backup codes.
    MfaReset,
    /// Replay of a dead letter from the status page.
    ReplayDeadLetter,
}

/// A text that is not a protected operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a protected operation")]
pub struct ProtectedOperationError(String);

impl ProtectedOperation {
    /// Every protected operation.
    pub const ALL: [Self; 9] = [
        Self::DeleteChannels,
        Self::DeleteRoles,
        Self::Teardown,
        Self::KillSwitchOff,
        Self::AdminMigrate,
        Self::AdminTakeover,
        Self::HighRiskApproval,
        Self::MfaReset,
        Self::ReplayDeadLetter,
    ];

    /// The operation as JSON, audit entries and columns have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DeleteChannels => "delete_channels",
            Self::DeleteRoles => "delete_roles",
            Self::Teardown => "teardown",
            Self::KillSwitchOff => "kill_switch_off",
            Self::AdminMigrate => "admin_migrate",
            Self::AdminTakeover => "admin_takeover",
            Self::HighRiskApproval => "high_risk_approval",
            Self::MfaReset => "mfa_reset",
            Self::ReplayDeadLetter => "replay_dead_letter",
        }
    }
}

impl fmt::Display for ProtectedOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ProtectedOperation {
    type Err = ProtectedOperationError;

    fn from_str(text: &str) -> Result<Self, ProtectedOperationError> {
        let found = Self::ALL.into_iter().find(|operation| operation.as_str() == text);
        found.ok_or_else(|| ProtectedOperationError(text.chars().take(50).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_round_trip() {
        for operation in ProtectedOperation::ALL {
            assert_eq!(operation.to_string().parse(), Ok(operation));
        }
        assert!("delete_everything".parse::<ProtectedOperation>().is_err());
    }
}
