//! `GUILD_MEMBER_REMOVE`: a member left. The profile is marked as left and removed from the cache; wallet, badges and history are kept.
//! Discord removes the roles.
//!
//! The event contains no time, and after a RESUME events arrive late, together with later ones. The gateway's sequence numbers show
//! whether the member has joined again since. If they do not, and the member joined within the last hour, the member is read from
//! Discord. Otherwise it is not: with many members that join and leave, those calls would reach Discord's rate limits.
//!
//! Safe to repeat: marking the profile again changes nothing.

use arrakis_db::{Actor, NewAuditEntry, Presence};
use serde::Deserialize;
use serde_json::json;
use time::Duration;
use twilight_model::id::Id;
use twilight_model::id::marker::GuildMarker;

use super::member::User;
use super::{Event, EventHandler, EventOutcome, arrivals};
use crate::community::{Community, user_id};
use crate::failure::Failure;
use crate::services::Services;

/// `GUILD_MEMBER_REMOVE`.
pub(super) struct MemberLeave;

/// A member who joined longer than this before the leave was received has not joined again after it: neither a RESUME nor a blocked
/// broker delays an event for so long. A reconcile would find an exception.
const LONG_AGO: Duration = Duration::hours(1);

#[derive(Debug, Deserialize)]
pub(super) struct Body {
    guild_id: Id<GuildMarker>,
    user: User,
}

impl EventHandler for MemberLeave {
    fn name(&self) -> &'static str {
        "GUILD_MEMBER_REMOVE"
    }

    async fn handle(&self, services: &Services, event: &Event) -> Result<EventOutcome, Failure> {
        let body: Body = event.decode()?;
        if body.user.bot {
            return Ok(EventOutcome::Ignored("a bot"));
        }
        let Some((community, mut tx)) = Community::open(services, body.guild_id).await? else {
            return Ok(EventOutcome::Ignored("the server is not onboarded"));
        };
        let user = user_id(body.user.id)?;
        let presence = tx.profiles().presence(user).await?;
        let has_profile = presence.is_some();
        match presence.map_or(Some(true), |presence| is_newer(event, &presence)) {
            Some(true) => {}
            Some(false) => {
                // This may be a redelivery, and the first worker may have died before it removed the cached profile.
                drop(tx);
                services.uncache_profile(community.id(), user).await;
                return Ok(EventOutcome::Ignored("a later event was handled"));
            }
            None => {
                // No transaction is open during the call to Discord.
                tx.commit().await?;
                let calls = services.discord.sync(body.guild_id).traced(&event.labels.traceparent);
                if calls.member(body.guild_id, body.user.id).await?.is_some() {
                    return Ok(EventOutcome::Ignored("the member has joined again"));
                }
                tx = services.database.tenant(community.id()).await?;
            }
        }
        let (name, at) = (body.user.name(), event.at());
        if tx.claim(event.id()).await? {
            let position = event.gateway_position();
            if tx.profiles().leave_by_event(user, name, at, position).await? {
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
            // Also where a reconcile has stored the departure before its event: only events are posted.
            if has_profile {
                arrivals::record(&mut tx, &community, event, user, name, false).await?;
            }
        }
        tx.commit().await?;
        services.uncache_profile(community.id(), user).await;
        Ok(EventOutcome::Done)
    }
}

/// Whether the leave happened after what is stored about the member; `None` if only Discord can show that.
fn is_newer(leave: &Event, presence: &Presence) -> Option<bool> {
    presence
        .precedes(leave.gateway_position())
        .or_else(|| (presence.joined_at + LONG_AGO < leave.at()).then_some(true))
}
