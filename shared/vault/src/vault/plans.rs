//! Subscription plan of a server: limits of operations, how long backups are kept, the length of the theme history.

use arrakis_domain::Plan;
use time::{Duration, OffsetDateTime};

use super::Vault;
use crate::error::VaultError;
use crate::limits::{LimitReached, Operation, Use};
use crate::server::ServerId;

/// Whether plans limit operations, retention and the theme history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitPolicy {
    /// No limits, and nothing expires: a local store belongs to its owner.
    Unlimited,
    /// As the plan of the server permits.
    ByPlan,
}

/// How long backups, snapshots and exports of a plan are kept.
#[must_use]
pub const fn kept_for(plan: Plan) -> Duration {
    match plan {
        Plan::Free => Duration::days(7),
        Plan::Premium => Duration::days(90),
    }
}

/// Number of newest deployments of a theme that are listed and can be rolled back to; `usize::MAX` is unlimited.
#[must_use]
pub const fn theme_history(plan: Plan) -> usize {
    match plan {
        Plan::Free => 5,
        Plan::Premium => usize::MAX,
    }
}

impl Vault {
    /// The plan of a server.
    ///
    /// # Errors
    /// The catalogue cannot be read.
    pub async fn plan(&self, server: ServerId) -> Result<Plan, VaultError> {
        Ok(self.parts.catalogue.plan(server).await?)
    }

    /// Sets the plan of a server. Records keep the plan of their creation.
    ///
    /// # Errors
    /// The catalogue cannot be written.
    pub async fn set_plan(&self, server: ServerId, plan: Plan) -> Result<(), VaultError> {
        Ok(self.parts.catalogue.set_plan(server, plan).await?)
    }

    /// Number of newest deployments of a theme that a server lists and can roll back to; `usize::MAX` is unlimited.
    ///
    /// # Errors
    /// The catalogue cannot be read.
    pub async fn theme_history(&self, server: ServerId) -> Result<usize, VaultError> {
        match self.parts.limits {
            LimitPolicy::Unlimited => Ok(usize::MAX),
            LimitPolicy::ByPlan => Ok(theme_history(self.plan(server).await?)),
        }
    }

    /// Counts a use of an operation on demand, before the operation. `None` where nothing limits it. [`Vault::create_backup`] and
    /// [`Vault::create_snapshot`] count by themselves; a restore is counted by its caller.
    ///
    /// # Errors
    /// [`VaultError::Limit`] with the time from which the operation is permitted again.
    pub async fn take_use(
        &self,
        server: ServerId,
        operation: Operation,
        now: OffsetDateTime,
    ) -> Result<Option<Use>, VaultError> {
        if self.parts.limits == LimitPolicy::Unlimited {
            return Ok(None);
        }
        let plan = self.plan(server).await?;
        let Some(wanted) = Use::new(server, plan, operation, now) else {
            return Ok(None);
        };
        if self.parts.catalogue.take(&wanted).await? {
            return Ok(Some(wanted));
        }
        Err(VaultError::Limit(LimitReached {
            server,
            operation,
            limit: wanted.limit,
            frees: wanted.end(),
        }))
    }

    /// Refunds a use after an operation that failed. A failure here is logged: the caller returns the operation's own error.
    pub async fn give_back(&self, taken: Option<Use>) {
        let Some(taken) = taken else {
            return;
        };
        if let Err(error) = self.parts.catalogue.give_back(&taken).await {
            tracing::warn!(
                server = %taken.server,
                operation = taken.operation.as_str(),
                %error,
                "usage count not refunded after a failed operation"
            );
        }
    }
}
