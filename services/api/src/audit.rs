//! Audit entries of admin requests: who (the id of the key), what, when. Requests with a key of one community are in that community's log, the
//! others in the platform's.

use arrakis_db::{Actor, NewAuditEntry};
use serde_json::Value;

use crate::authentication::Caller;
use crate::problem::Problem;
use crate::services::Services;

/// What a caller did.
#[derive(Debug)]
pub(crate) struct Act<'a> {
    /// In dotted lower case: `users.list`.
    pub(crate) action: &'a str,
    /// What was read or changed: the id of an identity, or `all`.
    pub(crate) subject: &'a str,
    /// Further details, a JSON object.
    pub(crate) detail: Value,
}

/// The entry of an act.
pub(crate) fn entry<'a>(caller: &Caller, act: &Act<'a>, reason: Option<&'a str>) -> NewAuditEntry<'a> {
    NewAuditEntry {
        actor: Actor::Operator(caller.name()),
        action: act.action,
        subject: act.subject,
        reason,
        detail: act.detail.clone(),
    }
}

/// Writes the audit entry of a request that only reads, before its answer: without an entry there is no answer.
pub(crate) async fn record_read(services: &Services, caller: &Caller, act: &Act<'_>) -> Result<(), Problem> {
    let entry = entry(caller, act, None);
    match caller.community() {
        Some(community) => {
            let mut tx = services.database.tenant(community).await?;
            tx.audit(&entry).await?;
            tx.commit().await?;
        }
        None => {
            let mut tx = services.admin.database().global().await?;
            tx.audit(&entry).await?;
            tx.commit().await?;
        }
    }
    Ok(())
}
