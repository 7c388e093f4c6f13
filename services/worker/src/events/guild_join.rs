//! A server appeared: after an identify each one does, so it is no news by itself. It says that events may have been missed,
//! so a reconcile is asked for: a second gap within minutes needs its own, or what changed in it stays unseen for hours. How
//! often servers can appear is bounded by the identifies of a day.
//!
//! Twice is safe: the job's id is made of kind and event.

use async_trait::async_trait;
use serde::Deserialize;
use twilight_model::id::Id;
use twilight_model::id::marker::GuildMarker;

use super::{Effect, Event, EventHandler};
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

#[async_trait]
impl EventHandler for GuildJoin {
    fn name(&self) -> &'static str {
        "GUILD_CREATE"
    }

    async fn handle(&self, services: &Services, event: &Event) -> Result<Effect, Failure> {
        let body: Body = event.read()?;
        if body.unavailable {
            return Ok(Effect::Nothing("an outage"));
        }
        let Some(community) = Community::of_guild(services, body.id).await? else {
            return Ok(Effect::Nothing("the server is not onboarded"));
        };
        let id = reconcile::after_gap(event.id());
        let made = jobs::enqueue(services, community.id(), &reconcile::job(&id)).await?;
        Ok(if made {
            Effect::Done
        } else {
            Effect::Nothing("a reconcile was asked for")
        })
    }
}
