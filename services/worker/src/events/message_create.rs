//! `MESSAGE_CREATE`: a member wrote a message, and the day counts as active. The ingestor forwards these events only if configured
//! (`INGESTOR_EVENTS`), and without the message's text.
//!
//! Safe to repeat: the message is counted with a claim in the inbox.

use arrakis_db::Activity;
use serde::Deserialize;
use twilight_model::id::Id;
use twilight_model::id::marker::GuildMarker;

use super::member::User;
use super::{Event, EventHandler, EventOutcome};
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

impl EventHandler for MessageCreate {
    fn name(&self) -> &'static str {
        "MESSAGE_CREATE"
    }

    async fn handle(&self, services: &Services, event: &Event) -> Result<EventOutcome, Failure> {
        let body: Body = event.decode()?;
        let Some(guild) = body.guild_id.filter(|_| !body.author.bot) else {
            return Ok(EventOutcome::Ignored("not a message of a member in a server"));
        };
        let Some((_, tx)) = Community::open(services, guild).await? else {
            return Ok(EventOutcome::Ignored("the server is not onboarded"));
        };
        let user = user_id(body.author.id)?;
        tx.count_once_and_commit(event.id(), user, Activity::Message, event.at())
            .await?;
        Ok(EventOutcome::Done)
    }
}
