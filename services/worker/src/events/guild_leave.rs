//! `GUILD_DELETE`: a server became unavailable, or the bot was removed from it. `unavailable` marks an outage of Discord, in which
//! nothing has changed. A removal is recorded in the audit log, and as the absence of the bot, which pauses scheduled backups; the community is
//! kept for when the bot is added again.
//!
//! Safe to repeat: the audit entry is written with a claim in the inbox, and the absence with the time of the event.

use arrakis_db::{Actor, NewAuditEntry};
use serde::Deserialize;
use serde_json::json;
use twilight_model::id::Id;
use twilight_model::id::marker::GuildMarker;

use super::{Event, EventHandler, EventOutcome};
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

impl EventHandler for GuildLeave {
    fn name(&self) -> &'static str {
        "GUILD_DELETE"
    }

    async fn handle(&self, services: &Services, event: &Event) -> Result<EventOutcome, Failure> {
        let body: Body = event.decode()?;
        if body.unavailable {
            return Ok(EventOutcome::Ignored("an outage"));
        }
        let Some((community, mut tx)) = Community::open(services, body.id).await? else {
            return Ok(EventOutcome::Ignored("the server is not onboarded"));
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
            services.record_absence(&mut tx, &community.record, event.at()).await?;
        }
        tx.commit().await?;
        if let Some(backups) = &services.backups {
            backups.changed.notify_one();
        }
        Ok(EventOutcome::Done)
    }
}
