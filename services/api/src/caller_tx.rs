//! The transaction of an admin request: with a key of one community the application's login and that tenant, with a key for all communities
//! the admin login. Each request writes an audit entry in it: who (the id of the key), what, when.

use arrakis_db::registry::Registry;
use arrakis_db::{Actor, DbError, GlobalTx, NewAuditEntry, TenantTx};
use serde_json::Value;

use crate::authentication::Caller;
use crate::services::Services;

/// A transaction of a caller.
#[derive(Debug)]
pub(crate) enum CallerTx {
    /// One community's rows are visible.
    Community(TenantTx),
    /// The transaction spans communities.
    Platform(GlobalTx),
}

/// What a caller did, for the audit entry.
#[derive(Debug)]
pub(crate) struct Act<'a> {
    /// In dotted lower case: `users.list`.
    pub(crate) action: &'a str,
    /// What was read or changed: the id of a user, or `all`.
    pub(crate) subject: &'a str,
    /// The reason, if the caller gave one.
    pub(crate) reason: Option<&'a str>,
    /// Further details, a JSON object.
    pub(crate) detail: Value,
}

impl<'a> Act<'a> {
    /// The audit entry.
    pub(crate) fn entry(self, caller: &Caller) -> NewAuditEntry<'a> {
        NewAuditEntry {
            actor: Actor::Operator(caller.name()),
            action: self.action,
            subject: self.subject,
            reason: self.reason,
            detail: self.detail,
        }
    }
}

impl CallerTx {
    /// Begins a transaction with the rights of the caller's key.
    ///
    /// # Errors
    /// When PostgreSQL is unavailable.
    pub(crate) async fn begin(services: &Services, caller: &Caller) -> Result<Self, DbError> {
        Ok(match caller.community() {
            Some(community) => Self::Community(services.database.tenant(community).await?),
            None => Self::Platform(services.admin.database().global().await?),
        })
    }

    /// The identity registry. Searches and exports find only identities that the caller may see; other queries find all.
    pub(crate) fn registry(&mut self) -> Registry<'_> {
        match self {
            Self::Community(tx) => tx.registry(),
            Self::Platform(tx) => tx.registry(),
        }
    }

    /// Writes the audit entry of this request.
    pub(crate) async fn audit(&mut self, caller: &Caller, act: Act<'_>) -> Result<(), DbError> {
        let entry = act.entry(caller);
        match self {
            Self::Community(tx) => tx.audit(&entry).await,
            Self::Platform(tx) => tx.audit(&entry).await,
        }
    }

    /// Commits. Dropped without it, the transaction is rolled back.
    ///
    /// # Errors
    /// When PostgreSQL is unavailable.
    pub(crate) async fn commit(self) -> Result<(), DbError> {
        match self {
            Self::Community(tx) => tx.commit().await,
            Self::Platform(tx) => tx.commit().await,
        }
    }
}
