//! A member came: known to the community from now on, and, when a wallet of theirs is, with the roles of the tier.
//!
//! A join that seems older than a leave is told late, or was handled after a leave that came before it. Within a session of the
//! gateway sequence numbers tell which; otherwise times do, and where the join seems the older, Discord is asked.
//!
//! Twice is safe: the profile is written under the inbox's claim, and a role that is there is not given again.

use arrakis_db::JoinOutcome;
use async_trait::async_trait;

use super::member::{Member, repair_roles};
use super::{Effect, Event, EventHandler};
use crate::community::{Community, user_id};
use crate::failure::Failure;
use crate::roles::{difference, measure};
use crate::services::Services;

/// `GUILD_MEMBER_ADD`.
pub(super) struct MemberJoin;

#[async_trait]
impl EventHandler for MemberJoin {
    fn name(&self) -> &'static str {
        "GUILD_MEMBER_ADD"
    }

    async fn handle(&self, services: &Services, event: &Event) -> Result<Effect, Failure> {
        let member: Member = event.read()?;
        if member.user.bot {
            return Ok(Effect::Nothing("a bot"));
        }
        let Some((community, mut tx)) = Community::open(services, member.guild_id).await? else {
            return Ok(Effect::Nothing("the server is not onboarded"));
        };
        let user = user_id(member.user.id)?;
        let joined_at = member.joined_at.unwrap_or_else(|| event.at());
        let known = tx.profiles().presence(user).await?;
        let older = known.as_ref().and_then(|known| known.precedes(event.told()));
        let left_at = known.and_then(|known| known.left_at);
        if older == Some(false) && left_at.is_some() {
            return Ok(Effect::Nothing("left meanwhile"));
        }
        let seems_gone = older.is_none() && left_at.is_some_and(|left| left >= joined_at);
        if seems_gone {
            // No transaction stays open while Discord is asked.
            tx.commit().await?;
            let calls = services
                .discord
                .sync(community.guild())
                .traced(&event.labels.traceparent);
            if calls.member(community.guild(), member.user.id).await?.is_none() {
                return Ok(Effect::Nothing("left meanwhile"));
            }
            tx = services.database.tenant(community.id()).await?;
        }
        if tx.claim(event.id()).await?
            && tx
                .profiles()
                .join_by_event(user, member.name(), joined_at, Some(event.told()))
                .await?
                == JoinOutcome::Stale
            && seems_gone
        {
            tx.profiles()
                .confirm_present(user, member.name(), joined_at, event.told())
                .await?;
        }
        let measured = measure(&mut tx, &community, user, services.now()).await?;
        let bindings = tx.communities().role_bindings().await?;
        tx.commit().await?;
        services.uncache_profile(community.id(), user).await;
        let Some(measured) = measured.filter(|measured| measured.left_at.is_none()) else {
            return Ok(Effect::Nothing("left meanwhile"));
        };
        if community.is_frozen() {
            return Ok(Effect::Nothing("the community is frozen"));
        }
        let difference = difference(&community, &measured, &member.roles, &bindings);
        repair_roles(services, event, &community, member.user.id, &difference, "join").await?;
        Ok(Effect::Done)
    }
}
