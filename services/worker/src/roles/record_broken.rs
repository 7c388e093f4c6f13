//! Records roles that cannot be changed in the audit log, for the admins of the server.

use arrakis_db::{Actor, NewAuditEntry};
use serde_json::json;

use super::apply::BrokenRole;
use crate::community::Community;
use crate::failure::Failure;
use crate::services::Services;

/// Records roles that cannot be changed, once for each role and day, and removes bindings to deleted roles.
pub(crate) async fn record_broken(
    services: &Services,
    community: &Community,
    broken: &[BrokenRole],
) -> Result<(), Failure> {
    if broken.is_empty() {
        return Ok(());
    }
    let mut tx = services.database.tenant(community.id()).await?;
    let day = services.now().date();
    for broken in broken {
        tracing::warn!(role = %broken.key, reason = broken.reason, "a role cannot be assigned or removed");
        if let Some(role) = broken.role.filter(|_| broken.deleted) {
            tx.communities().unbind_role(role).await?;
        }
        // The claim limits it to one entry a day for any number of members.
        if tx.claim(&format!("role-broken:{}:{day}", broken.key)).await? {
            tx.audit(&NewAuditEntry {
                actor: Actor::System("roles".to_owned()),
                action: "role.broken",
                subject: broken.key.as_str(),
                reason: Some(&broken.reason),
                detail: json!({"discord_role": broken.role.map(|role| role.to_string())}),
            })
            .await?;
        }
    }
    tx.commit().await?;
    Ok(())
}
