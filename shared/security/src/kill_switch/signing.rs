//! [`RevokeSigning`]: revokes the permissions to sign, and restores them.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// The permissions to sign that were revoked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedSigning {
    /// Policies that no longer permit to sign.
    pub policies: Vec<String>,
    /// How many accessors of tokens were revoked.
    pub accessors: usize,
}

/// Why permissions to sign were not revoked or restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RevokeSigningError {
    /// The signing service does not respond; it may be repeated.
    #[error("{0}")]
    Unavailable(String),
    /// The signing service refuses: this service may not revoke.
    #[error("{0}")]
    Refused(String),
}

/// Revokes every permission to sign, and restores them. Both may be repeated.
#[async_trait]
pub trait RevokeSigning: fmt::Debug + Send + Sync {
    /// Revokes every policy and every accessor of a token that may sign.
    ///
    /// # Errors
    /// When the signing service is unavailable or refuses. Some permissions may be revoked then.
    async fn revoke_all(&self) -> Result<RevokedSigning, RevokeSigningError>;

    /// Restores the policies. Tokens are not restored: each service logs in again.
    ///
    /// # Errors
    /// When the signing service is unavailable or refuses.
    async fn restore(&self) -> Result<(), RevokeSigningError>;

    /// Revokes a permission that exists for this drill only, and checks that it is revoked. `None`: there is nothing of that kind.
    ///
    /// # Errors
    /// When the signing service is unavailable or refuses.
    async fn drill(&self) -> Result<Option<RevokedSigning>, RevokeSigningError> {
        Ok(None)
    }
}
