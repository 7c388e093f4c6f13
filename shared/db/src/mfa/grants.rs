//! Grants: a code was accepted for one operation with one plan. A tool that acts outside of the platform, such as gaib with a bot token of
//! its own, requests a grant by a code and uses it right before the operation. A grant is used once, within [`GRANT_TIME`].

use arrakis_security::mfa::ProtectedOperation;
use time::{Duration, OffsetDateTime};

use crate::named_query::named;
use crate::{DbError, TenantTx, UserId};

/// How long a grant can be used: as long as a person takes to read a summary and confirm it.
pub const GRANT_TIME: Duration = Duration::minutes(5);

/// A grant to store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewGrant {
    /// SHA-256 of the grant's text, which is stored nowhere.
    pub hash: [u8; 32],
    /// Whose code was accepted.
    pub user: UserId,
    /// The operation that it permits.
    pub operation: ProtectedOperation,
    /// SHA-256 of what is carried out, such as a plan.
    pub plan_digest: [u8; 32],
    /// When the code was accepted.
    pub created_at: OffsetDateTime,
}

impl TenantTx {
    /// Stores a grant, and deletes those that expired more than a day ago. Returns when the grant expires.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn store_mfa_grant(&mut self, grant: &NewGrant) -> Result<OffsetDateTime, DbError> {
        let expires_at = grant.created_at + GRANT_TIME;
        named!(
            "mfa_grant.prune",
            sqlx::query!(
                "delete from mfa_grants where community_id = $1 and expires_at < $2",
                self.community.uuid(),
                grant.created_at - Duration::days(1)
            )
            .execute(&mut *self.transaction)
        )?;
        named!(
            "mfa_grant.store",
            sqlx::query!(
                "insert into mfa_grants (community_id, grant_hash, user_id, operation, plan_digest, created_at, expires_at)
                 values ($1, $2, $3, $4, $5, $6, $7)",
                self.community.uuid(),
                grant.hash.as_slice(),
                grant.user.stored(),
                grant.operation.as_str(),
                grant.plan_digest.as_slice(),
                grant.created_at,
                expires_at
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(expires_at)
    }

    /// Uses a grant of this user for exactly this operation and plan. False when there is none, it has expired, or it was used: of
    /// concurrent calls one returns true.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn use_mfa_grant(
        &mut self,
        hash: [u8; 32],
        user: UserId,
        operation: ProtectedOperation,
        plan_digest: [u8; 32],
        now: OffsetDateTime,
    ) -> Result<bool, DbError> {
        let done = named!(
            "mfa_grant.use",
            sqlx::query!(
                "update mfa_grants set used_at = $6
                  where community_id = $1 and grant_hash = $2 and user_id = $3 and operation = $4 and plan_digest = $5
                    and used_at is null and expires_at > $6",
                self.community.uuid(),
                hash.as_slice(),
                user.stored(),
                operation.as_str(),
                plan_digest.as_slice(),
                now
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(done.rows_affected() == 1)
    }
}
