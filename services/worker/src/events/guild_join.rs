//! `GUILD_CREATE`: a server became available. Discord sends one for each server after every IDENTIFY, so events may have been missed
//! before it, and a reconcile is enqueued. Each event gets its own: a change in a second session gap would otherwise stay unnoticed
//! for hours. Discord limits the number of identifies a day.
//!
//! It ends an absence of the bot that was recorded before.
//!
//! Safe to repeat: the job's id consists of kind and event id, and the bot's presence is recorded with the time of the event.

use serde::Deserialize;
use twilight_model::id::Id;
use twilight_model::id::marker::GuildMarker;

use super::{Event, EventHandler, EventOutcome};
use crate::community::Community;
use crate::failure::Failure;
use crate::jobs::{self, reconcile};
use crate::services::Services;

/// `GUILD_CREATE`.
pub(super) struct GuildJoin;

#[derive(Debug, Deserialize)]
pub(super) struct Body {
    id: Id<GuildMarker>,
    #[serde(default)]
    unavailable: bool,
}

impl EventHandler for GuildJoin {
    fn name(&self) -> &'static str {
        "GUILD_CREATE"
    }

    async fn handle(&self, services: &Services, event: &Event) -> Result<EventOutcome, Failure> {
        let body: Body = event.decode()?;
        if body.unavailable {
            return Ok(EventOutcome::Ignored("an outage"));
        }
        let Some((community, mut tx)) = Community::open(services, body.id).await? else {
            return Ok(EventOutcome::Ignored("the server is not onboarded"));
        };
        tx.bot_presence().record_present(event.at()).await?;
        tx.commit().await?;
        let id = reconcile::gap_id(event.id());
        let enqueued = jobs::enqueue(services, community.id(), &reconcile::request(&id)).await?;
        Ok(if enqueued {
            EventOutcome::Done
        } else {
            EventOutcome::Ignored("the reconcile is enqueued already")
        })
    }
}
