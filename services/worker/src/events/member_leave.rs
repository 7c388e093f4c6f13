//! A member went: noted, and what the cache knew of them forgotten. Wallet, badges and history stay and come back with them.
//! Discord takes the roles by itself.
//!
//! Discord gives a leave no time of its own, and after a resume events come late and side by side with those that followed
//! them. Where the gateway's sequence numbers do not tell whether the member has come back since, and their last coming is not
//! long ago, Discord is asked. Not otherwise: a crowd that comes and goes would wait for its limits.
//!
//! Twice is safe: leaving again changes nothing.

use arrakis_db::{Actor, NewAuditEntry, Presence};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;
use time::Duration;
use twilight_model::id::Id;
use twilight_model::id::marker::GuildMarker;

use super::member::User;
use super::{Effect, Event, EventHandler};
use crate::community::{Community, user_id};
use crate::failure::Failure;
use crate::services::Services;

/// `GUILD_MEMBER_REMOVE`.
pub(super) struct MemberLeave;

/// Who came longer ago than this before a leave was received has not come back after it: neither a replay nor a broker that
/// blocks delays an event for so long, and a reconcile would find it.
const LONG_AGO: Duration = Duration::hours(1);

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
        if body.user.bot {
            return Ok(Effect::Nothing("a bot"));
        }
        let Some((community, mut tx)) = Community::open(services, body.guild_id).await? else {
            return Ok(Effect::Nothing("the server is not onboarded"));
        };
        let user = user_id(body.user.id)?;
        let known = tx.profiles().presence(user).await?;
        match known.map_or(Some(true), |known| is_left_behind(&known, event)) {
            Some(true) => {}
            Some(false) => {
                // It may be this very leave again, whose first handler was killed before it came to the cache.
                drop(tx);
                services.uncache_profile(community.id(), user).await;
                return Ok(Effect::Nothing("something later is known"));
            }
            None => {
                // No transaction is open while Discord is asked.
                tx.commit().await?;
                let calls = services.discord.sync(body.guild_id).traced(&event.labels.traceparent);
                if calls.member(body.guild_id, body.user.id).await?.is_some() {
                    return Ok(Effect::Nothing("back again"));
                }
                tx = services.database.tenant(community.id()).await?;
            }
        }
        let (name, at) = (body.user.name(), event.at());
        if tx.claim(event.id()).await? && tx.profiles().leave_by_event(user, name, at, event.told()).await? {
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
        services.uncache_profile(community.id(), user).await;
        Ok(Effect::Done)
    }
}

/// Whether this leave followed what is known of the member; `None` where only Discord knows.
fn is_left_behind(known: &Presence, leave: &Event) -> Option<bool> {
    known
        .precedes(leave.told())
        .or_else(|| (known.joined_at + LONG_AGO < leave.at()).then_some(true))
}
