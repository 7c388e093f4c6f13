//! Codes of a second factor for operations that gaib carries out.

use std::fmt;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// An operation on a server that needs a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ServerOperation {
    /// Deletion of channels, and of what else the same plan deletes.
    DeleteChannels,
    /// Deletion of roles by a plan that deletes no channel.
    DeleteRoles,
    /// Deletion of everything.
    Teardown,
}

/// Requests a grant: the permission to carry out one operation with one plan once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RequestGrant {
    /// The operation.
    pub operation: ServerOperation,
    /// SHA-256 of the plan, 64 hexadecimal digits.
    pub plan_digest: String,
    /// A code of the person to whom the API key belongs: six digits, or a backup code.
    pub code: String,
}

/// The code is not printed.
impl fmt::Debug for RequestGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestGrant")
            .field("operation", &self.operation)
            .field("plan_digest", &self.plan_digest)
            .finish_non_exhaustive()
    }
}

/// A grant, which is shown once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Granted {
    /// Its text.
    pub grant: String,
    /// Until when it can be used.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}

/// The grant is not printed.
impl fmt::Debug for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Granted")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Uses a grant, right before the operation.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UseGrant {
    /// The text of the grant.
    pub grant: String,
    /// The operation for which it was given.
    pub operation: ServerOperation,
    /// SHA-256 of the plan for which it was given, 64 hexadecimal digits.
    pub plan_digest: String,
}

/// The grant is not printed.
impl fmt::Debug for UseGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UseGrant")
            .field("operation", &self.operation)
            .field("plan_digest", &self.plan_digest)
            .finish_non_exhaustive()
    }
}

/// The grant was used: the operation may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct GrantUsed {
    /// The operation.
    pub operation: ServerOperation,
}
