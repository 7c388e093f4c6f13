//! `GUILD_MEMBER_ADD`: a member joined. The profile is stored, and the roles of the tier are assigned.
//!
//! A join may be handled after a later leave. Within a gateway session the sequence numbers give the order. Between sessions the
//! times do, and if the join seems older than the leave, the member is read from Discord.
//!
//! A member whose identity has a wallet brings it along: it is copied to the profile. One without a wallet is welcomed where the
//! community has a channel for that (`welcome.rs`).
//!
//! Safe to repeat: the profile is written with a claim in the inbox, and only missing roles are assigned.

use arrakis_db::registry::{Account, IdentityRecord};
use arrakis_db::{JoinOutcome, TenantTx, UserId};

use super::member::{Member, repair_roles};
use super::{Event, EventHandler, EventOutcome, arrivals, welcome};
use crate::community::{Community, user_id};
use crate::failure::Failure;
use crate::roles::{evaluate_member, role_difference};
use crate::services::Services;

/// `GUILD_MEMBER_ADD`.
pub(super) struct MemberJoin;

impl EventHandler for MemberJoin {
    fn name(&self) -> &'static str {
        "GUILD_MEMBER_ADD"
    }

    async fn handle(&self, services: &Services, event: &Event) -> Result<EventOutcome, Failure> {
        let member: Member = event.decode()?;
        if member.user.bot {
            return Ok(EventOutcome::Ignored("a bot"));
        }
        let Some((community, mut tx)) = Community::open(services, member.guild_id).await? else {
            return Ok(EventOutcome::Ignored("the server is not onboarded"));
        };
        let user = user_id(member.user.id)?;
        let joined_at = member.joined_at.unwrap_or_else(|| event.at());
        let presence = tx.profiles().presence(user).await?;
        let is_newer = presence
            .as_ref()
            .and_then(|presence| presence.precedes(event.gateway_position()));
        let left_at = presence.and_then(|presence| presence.left_at);
        if is_newer == Some(false) && left_at.is_some() {
            return Ok(EventOutcome::Ignored("the member has left"));
        }
        let may_have_left = is_newer.is_none() && left_at.is_some_and(|left| left >= joined_at);
        if may_have_left {
            // No transaction is open during the call to Discord.
            tx.commit().await?;
            let calls = services
                .discord
                .sync(community.guild())
                .traced(&event.labels.traceparent);
            if calls.member(community.guild(), member.user.id).await?.is_none() {
                return Ok(EventOutcome::Ignored("the member has left"));
            }
            tx = services.database.tenant(community.id()).await?;
        }
        if tx.claim(event.id()).await? {
            let (name, position) = (member.name(), event.gateway_position());
            let mut profiles = tx.profiles();
            let stored = profiles.join_by_event(user, name, joined_at, Some(position)).await?;
            if stored == JoinOutcome::Stale && may_have_left {
                // Discord has just returned the member.
                profiles.confirm_present(user, name, joined_at, position).await?;
            }
            if stored != JoinOutcome::Stale || may_have_left {
                arrivals::record(&mut tx, &community, event, user, name, true).await?;
            }
        }
        let identity = copy_wallet(&mut tx, user).await?;
        let welcomes = welcome::decide(services, &mut tx, &community, user, identity.as_ref(), event).await?;
        let evaluation = evaluate_member(&mut tx, &community, user, services.now()).await?;
        let bindings = tx.communities().role_bindings().await?;
        tx.commit().await?;
        services.uncache_profile(community.id(), user).await;
        let Some(evaluation) = evaluation.filter(|evaluation| evaluation.left_at.is_none()) else {
            return Ok(EventOutcome::Ignored("the member has left"));
        };
        if community.is_frozen() {
            return Ok(EventOutcome::Ignored("the community is frozen"));
        }
        let difference = role_difference(&community, &evaluation, &member.roles, &bindings);
        repair_roles(services, event, &community, member.user.id, &difference, "join").await?;
        if welcomes {
            welcome::send(services, event, &community, member.user.id).await?;
        }
        Ok(EventOutcome::Done)
    }
}

/// Copies the primary wallet of the member's identity to the profile. Another member who still has the wallet here, because it was moved
/// meanwhile, loses it; the roles follow with the next reconcile. A profile without an identity is left as it is.
async fn copy_wallet(tx: &mut TenantTx, user: UserId) -> Result<Option<IdentityRecord>, Failure> {
    let identity = tx.registry().by_account(Account::Discord(user)).await?;
    if identity.is_some() {
        tx.profiles().copy_wallet_from_registry(user).await?;
    }
    Ok(identity)
}
