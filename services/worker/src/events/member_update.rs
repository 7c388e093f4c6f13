//! `GUILD_MEMBER_UPDATE`: a member changed. A new name is stored. A role of the theme that was assigned or removed by hand is repaired
//! and recorded in the audit log, unless the member is protected.
//!
//! The worker's own role changes cause the same event. A difference counts as a manual change only if it was not announced in Redis
//! before the worker made it, and if it still exists in the member that is read from Discord now. So no event of the worker's own
//! change leads to another change.
//!
//! Safe to repeat: the audit entry is written with a claim in the inbox, and changing roles is idempotent.

use arrakis_db::{Actor, NewAuditEntry, TenantTx};
use arrakis_domain::{RoleBindings, RoleDifference};
use serde_json::json;

use super::member::{Member, repair_roles, role_names};
use super::{Event, EventHandler, EventOutcome};
use crate::community::{Community, user_id};
use crate::failure::Failure;
use crate::roles::{MemberEvaluation, evaluate_member, role_difference, without_announced};
use crate::services::Services;

/// `GUILD_MEMBER_UPDATE`.
pub(super) struct MemberUpdate;

impl EventHandler for MemberUpdate {
    fn name(&self) -> &'static str {
        "GUILD_MEMBER_UPDATE"
    }

    async fn handle(&self, services: &Services, event: &Event) -> Result<EventOutcome, Failure> {
        let member: Member = event.decode()?;
        if member.user.bot {
            return Ok(EventOutcome::Ignored("a bot"));
        }
        let Some((community, tx)) = Community::open(services, member.guild_id).await? else {
            return Ok(EventOutcome::Ignored("the server is not onboarded"));
        };
        let Some((evaluation, bindings)) = update_profile(services, tx, event, &community, &member).await? else {
            return Ok(EventOutcome::Ignored("the member has left"));
        };
        if community.is_frozen() {
            return Ok(EventOutcome::Ignored("the community is frozen"));
        }
        let changes = manual_changes(services, event, &community, &member, &evaluation, &bindings).await?;
        if changes.is_empty() {
            return Ok(EventOutcome::Done);
        }
        audit(services, event, &community, &member, &changes).await?;
        repair_roles(services, event, &community, member.user.id, &changes, "repair").await?;
        Ok(EventOutcome::Done)
    }
}

/// Stores the name, creates the profile of a member who joined before the community was onboarded, and evaluates the member. `None` if
/// the member has left.
async fn update_profile(
    services: &Services,
    mut tx: TenantTx,
    event: &Event,
    community: &Community,
    member: &Member,
) -> Result<Option<(MemberEvaluation, RoleBindings)>, Failure> {
    let user = user_id(member.user.id)?;
    let is_first_delivery = tx.claim(event.id()).await?;
    let stored = evaluate_member(&mut tx, community, user, services.now()).await?;
    let created = stored.is_none();
    let evaluation = if created {
        let joined_at = member.joined_at.unwrap_or_else(|| event.at());
        let position = Some(event.gateway_position());
        tx.profiles()
            .join_by_event(user, member.name(), joined_at, position)
            .await?;
        evaluate_member(&mut tx, community, user, services.now()).await?
    } else {
        stored
    };
    // The evaluation of a member who has left is not stored: the transaction is rolled back.
    let Some(evaluation) = evaluation.filter(|evaluation| evaluation.left_at.is_none()) else {
        return Ok(None);
    };
    // A repeated update, from a redelivery or a dead letter, must not restore an older name.
    let has_new_name = is_first_delivery && evaluation.display_name != member.name();
    let renamed = has_new_name && tx.profiles().rename(user, member.name()).await?;
    let changed = created || renamed || evaluation.profile_changed;
    let bindings = tx.communities().role_bindings().await?;
    tx.commit().await?;
    if changed {
        services.uncache_profile(community.id(), user).await;
    }
    Ok(Some((evaluation, bindings)))
}

/// The role changes that were made by hand and still exist at Discord.
async fn manual_changes(
    services: &Services,
    event: &Event,
    community: &Community,
    member: &Member,
    evaluation: &MemberEvaluation,
    bindings: &RoleBindings,
) -> Result<RoleDifference, Failure> {
    let in_event = role_difference(community, evaluation, &member.roles, bindings);
    let in_event = without_announced(services, community.id(), member.user.id, in_event).await;
    if in_event.is_empty() {
        return Ok(in_event);
    }
    let calls = services
        .discord
        .sync(community.guild())
        .traced(&event.labels.traceparent);
    let Some(current) = calls.member(community.guild(), member.user.id).await? else {
        return Ok(RoleDifference::default());
    };
    let now = role_difference(community, evaluation, &current.roles, bindings);
    Ok(without_announced(services, community.id(), member.user.id, now).await)
}

/// Records the repair before it is made, so that none is missing after a crash. The claim prevents a second entry.
async fn audit(
    services: &Services,
    event: &Event,
    community: &Community,
    member: &Member,
    changes: &RoleDifference,
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
                "given_back": role_names(changes.add.values()),
                "taken_back": role_names(changes.remove.values()),
            }),
        })
        .await?;
    }
    tx.commit().await?;
    Ok(())
}
