//! A server appeared: after an identify each one does, so it is no news by itself. It says that events may have been missed,
//! so a reconcile is asked for, at most one an hour for each community.
//!
//! Twice is safe: the job's id is made of kind and hour.

use async_trait::async_trait;
use serde::Deserialize;
use time::OffsetDateTime;
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
struct Body {
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
        let id = reconcile::after_gap(OffsetDateTime::now_utc());
        let made = jobs::enqueue(services, community.id(), &reconcile::job(&id)).await?;
        Ok(if made {
            Effect::Done
        } else {
            Effect::Nothing("reconciled within the hour")
        })
    }
}
