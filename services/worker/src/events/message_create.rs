//! A member wrote something: the day counts as active. Only where chat is forwarded at all (`INGESTOR_EVENTS`); what was
//! written is not in the event and nowhere looked at.
//!
//! Twice is safe: counted under the inbox's claim.

use arrakis_db::Activity;
use async_trait::async_trait;
use serde::Deserialize;
use twilight_model::id::Id;
use twilight_model::id::marker::GuildMarker;

use super::member::User;
use super::{Effect, Event, EventHandler};
use crate::community::{Community, user_id};
use crate::failure::Failure;
use crate::services::Services;

/// `MESSAGE_CREATE`.
pub(super) struct MessageCreate;

#[derive(Debug, Deserialize)]
pub(super) struct Body {
    guild_id: Option<Id<GuildMarker>>,
    author: User,
}

#[async_trait]
impl EventHandler for MessageCreate {
    fn name(&self) -> &'static str {
        "MESSAGE_CREATE"
    }

    async fn handle(&self, services: &Services, event: &Event) -> Result<Effect, Failure> {
        let body: Body = event.read()?;
        let Some(guild) = body.guild_id.filter(|_| !body.author.bot) else {
            return Ok(Effect::Nothing("not a member's message in a server"));
        };
        let Some((_, tx)) = Community::open(services, guild).await? else {
            return Ok(Effect::Nothing("the server is not onboarded"));
        };
        let user = user_id(body.author.id)?;
        tx.count_once_and_commit(event.id(), user, Activity::Message, event.at())
            .await?;
        Ok(Effect::Done)
    }
}
