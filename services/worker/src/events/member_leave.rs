//! A member went: noted, and what the cache knew of them forgotten. Wallet, badges and history stay and come back with them.
//! Discord takes the roles by itself.
//!
//! Discord gives a leave no time of its own, and after a resume events come late and side by side with those that followed
//! them. So who is told to have left is asked for: whether somebody is here, only Discord knows.
//!
//! Twice is safe: leaving again changes nothing.

use arrakis_db::{Actor, NewAuditEntry};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;
use twilight_model::id::Id;
use twilight_model::id::marker::GuildMarker;

use super::member::User;
use super::{Effect, Event, EventHandler};
use crate::community::{Community, guild_id, user_id};
use crate::failure::Failure;
use crate::services::Services;

/// `GUILD_MEMBER_REMOVE`.
pub(super) struct MemberLeave;

#[derive(Debug, Deserialize)]
pub(super) struct Body {
    guild_id: Id<GuildMarker>,
    user: User,
}

#[async_trait]
impl EventHandler for MemberLeave {
    fn name(&self) -> &'static str {
        "GUILD_MEMBER_REMOVE"
    }

    async fn handle(&self, services: &Services, event: &Event) -> Result<Effect, Failure> {
        let body: Body = event.read()?;
        // No transaction is open while Discord is asked.
        if services.database.route(guild_id(body.guild_id)?).await?.is_none() {
            return Ok(Effect::Nothing("the server is not onboarded"));
        }
        let calls = services.discord.sync(body.guild_id).traced(&event.labels.traceparent);
        if calls.member(body.guild_id, body.user.id).await?.is_some() {
            return Ok(Effect::Nothing("back again"));
        }
        let user = user_id(body.user.id)?;
        let Some((community, mut tx)) = Community::open(services, body.guild_id).await? else {
            return Ok(Effect::Nothing("the server is not onboarded"));
        };
        if tx.claim(event.id()).await? && tx.profiles().leave(user, event.at()).await? {
            let subject = user.to_string();
            tx.audit(&NewAuditEntry {
                actor: Actor::System("events".to_owned()),
                action: "member.left",
                subject: &subject,
                reason: None,
                detail: json!({}),
            })
            .await?;
        }
        tx.commit().await?;
        services.forget_member(&community, user).await;
        Ok(Effect::Done)
    }
}
