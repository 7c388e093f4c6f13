//! A server went away. `unavailable` says that Discord has an outage: nothing changed, and nothing may be taken for a removal.
//! Otherwise the bot was removed: noted for the admins; the community stays, and is whole when the bot is added again.
//!
//! Twice is safe: the entry is written under the inbox's claim.

use arrakis_db::{Actor, NewAuditEntry};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;
use twilight_model::id::Id;
use twilight_model::id::marker::GuildMarker;

use super::{Effect, Event, EventHandler};
use crate::community::Community;
use crate::failure::Failure;
use crate::services::Services;

/// `GUILD_DELETE`.
pub(super) struct GuildLeave;

#[derive(Debug, Deserialize)]
pub(super) struct Body {
    id: Id<GuildMarker>,
    #[serde(default)]
    unavailable: bool,
}

#[async_trait]
impl EventHandler for GuildLeave {
    fn name(&self) -> &'static str {
        "GUILD_DELETE"
    }

    async fn handle(&self, services: &Services, event: &Event) -> Result<Effect, Failure> {
        let body: Body = event.read()?;
        if body.unavailable {
            return Ok(Effect::Nothing("an outage, never a removal"));
        }
        let Some((community, mut tx)) = Community::open(services, body.id).await? else {
            return Ok(Effect::Nothing("the server is not onboarded"));
        };
        if tx.claim(event.id()).await? {
            tracing::warn!(community = %community.id(), "the bot was removed from the community's server");
            let subject = body.id.to_string();
            tx.audit(&NewAuditEntry {
                actor: Actor::System("events".to_owned()),
                action: "guild.bot_removed",
                subject: &subject,
                reason: None,
                detail: json!({}),
            })
            .await?;
        }
        tx.commit().await?;
        Ok(Effect::Done)
    }
}
