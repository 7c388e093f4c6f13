//! A member changed: a new name is followed, and a role of the theme that was given or taken by hand is put right and
//! audited, unless the member is protected.
//!
//! Our own changes come back as such events. They are told apart in three steps: what we announced in the cache before we
//! did it is ours; what is no difference any more when Discord is asked anew was passing; only what is left was done by hand.
//! So an event of ours never leads to a change, and a change never to a loop.
//!
//! Twice is safe: the entry is written under the inbox's claim, and changing roles is idempotent.

use arrakis_db::{Actor, NewAuditEntry, TenantTx};
use arrakis_domain::{RoleBindings, RoleDifference};
use async_trait::async_trait;
use serde_json::json;

use super::member::{Member, names, repair_roles};
use super::{Effect, Event, EventHandler};
use crate::community::{Community, user_id};
use crate::failure::Failure;
use crate::roles::{Measured, difference, measure, without_announced};
use crate::services::Services;

/// `GUILD_MEMBER_UPDATE`.
pub(super) struct MemberUpdate;

#[async_trait]
impl EventHandler for MemberUpdate {
    fn name(&self) -> &'static str {
        "GUILD_MEMBER_UPDATE"
    }

    async fn handle(&self, services: &Services, event: &Event) -> Result<Effect, Failure> {
        let member: Member = event.read()?;
        if member.user.bot {
            return Ok(Effect::Nothing("a bot"));
        }
        let Some((community, tx)) = Community::open(services, member.guild_id).await? else {
            return Ok(Effect::Nothing("the server is not onboarded"));
        };
        let Some((measured, bindings)) = follow(services, tx, event, &community, &member).await? else {
            return Ok(Effect::Nothing("left meanwhile"));
        };
        if community.is_frozen() {
            return Ok(Effect::Nothing("the community is frozen"));
        }
        let by_hand = done_by_hand(services, event, &community, &member, &measured, &bindings).await?;
        if by_hand.is_empty() {
            return Ok(Effect::Done);
        }
        audit(services, event, &community, &member, &by_hand).await?;
        repair_roles(services, event, &community, member.user.id, &by_hand, "put right").await?;
        Ok(Effect::Done)
    }
}

/// Follows the name, makes a profile for who joined before the community was set up, and measures.
async fn follow(
    services: &Services,
    mut tx: TenantTx,
    event: &Event,
    community: &Community,
    member: &Member,
) -> Result<Option<(Measured, RoleBindings)>, Failure> {
    let user = user_id(member.user.id)?;
    let first = tx.claim(event.id()).await?;
    let known = measure(&mut tx, community, user, services.now()).await?;
    let joined = known.is_none();
    let measured = if joined {
        let joined_at = member.joined_at.unwrap_or_else(|| event.at());
        let told = Some(event.told());
        tx.profiles()
            .join_by_event(user, member.name(), joined_at, told)
            .await?;
        measure(&mut tx, community, user, services.now()).await?
    } else {
        known
    };
    // What was measured of who has left is not written down: the transaction ends here.
    let Some(measured) = measured.filter(|measured| measured.left_at.is_none()) else {
        return Ok(None);
    };
    // An update that comes again, from a replay or a dead letter, must not bring an older name back.
    let other_name = first && measured.display_name != member.name();
    let renamed = other_name && tx.profiles().rename(user, member.name()).await?;
    let changed = joined || renamed || measured.tier_changed;
    let bindings = tx.communities().role_bindings().await?;
    tx.commit().await?;
    if changed {
        services.uncache_profile(community.id(), user).await;
    }
    Ok(Some((measured, bindings)))
}

/// The difference that is neither ours nor passing.
async fn done_by_hand(
    services: &Services,
    event: &Event,
    community: &Community,
    member: &Member,
    measured: &Measured,
    bindings: &RoleBindings,
) -> Result<RoleDifference, Failure> {
    let then = difference(community, measured, &member.roles, bindings);
    let then = without_announced(services, community.id(), member.user.id, then).await;
    if then.is_empty() {
        return Ok(then);
    }
    let calls = services
        .discord
        .sync(community.guild())
        .traced(&event.labels.traceparent);
    let Some(today) = calls.member(community.guild(), member.user.id).await? else {
        return Ok(RoleDifference::default());
    };
    let now = difference(community, measured, &today.roles, bindings);
    Ok(without_announced(services, community.id(), member.user.id, now).await)
}

/// Before the change, so that a crash in between leaves an entry and not a silent change; the claim makes it one entry.
async fn audit(
    services: &Services,
    event: &Event,
    community: &Community,
    member: &Member,
    by_hand: &RoleDifference,
) -> Result<(), Failure> {
    let mut tx = services.database.tenant(community.id()).await?;
    if tx.claim(&format!("{}#put-right", event.id())).await? {
        let subject = member.user.id.to_string();
        tx.audit(&NewAuditEntry {
            actor: Actor::System("events".to_owned()),
            action: "roles.put_right",
            subject: &subject,
            reason: Some("changed by hand"),
            detail: json!({
                "given_back": names(by_hand.add.values()),
                "taken_back": names(by_hand.remove.values()),
            }),
        })
        .await?;
    }
    tx.commit().await?;
    Ok(())
}
