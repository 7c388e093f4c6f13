//! `GUILD_ROLE_DELETE`: a role was deleted in the server. Its role binding, if any, is removed and recorded in the audit log; tier syncs
//! leave the role out until it is bound again.
//!
//! Safe to repeat: the binding is removed with a claim in the inbox.

use arrakis_db::{Actor, NewAuditEntry};
use arrakis_domain::RoleId;
use serde::Deserialize;
use serde_json::json;
use twilight_model::id::Id;
use twilight_model::id::marker::{GuildMarker, RoleMarker};

use super::{Event, EventHandler, EventOutcome};
use crate::community::Community;
use crate::failure::Failure;
use crate::services::Services;

/// `GUILD_ROLE_DELETE`.
pub(super) struct RoleDelete;

#[derive(Debug, Deserialize)]
pub(super) struct Body {
    guild_id: Id<GuildMarker>,
    role_id: Id<RoleMarker>,
}

impl EventHandler for RoleDelete {
    fn name(&self) -> &'static str {
        "GUILD_ROLE_DELETE"
    }

    async fn handle(&self, services: &Services, event: &Event) -> Result<EventOutcome, Failure> {
        let body: Body = event.decode()?;
        let Some((_, mut tx)) = Community::open(services, body.guild_id).await? else {
            return Ok(EventOutcome::Ignored("the server is not onboarded"));
        };
        let role = RoleId(body.role_id.get());
        let bindings = tx.communities().role_bindings().await?;
        let Some((key, _)) = bindings.iter().find(|(_, bound)| **bound == role) else {
            return Ok(EventOutcome::Ignored("the role is not bound to the theme"));
        };
        if tx.claim(event.id()).await? && tx.communities().unbind_role(role).await? {
            tx.audit(&NewAuditEntry {
                actor: Actor::System("events".to_owned()),
                action: "role.broken",
                subject: key.as_str(),
                reason: Some("the role was deleted in the server"),
                detail: json!({"discord_role": role.to_string()}),
            })
            .await?;
        }
        tx.commit().await?;
        Ok(EventOutcome::Done)
    }
}
