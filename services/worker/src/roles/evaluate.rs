//! Evaluates a member by the theme's rules and stores the tier.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use arrakis_db::{EvaluationInput, NewNotification, NotificationKind, TenantTx, UserId};
use arrakis_domain::{BadgeId, Ladder, RoleBindings, RoleDifference, RoleId, RoleKey, RoleProtection, TierId, Zones};
use serde_json::json;
use time::OffsetDateTime;
use twilight_model::id::Id;
use twilight_model::id::marker::RoleMarker;
use uuid::Uuid;

use crate::community::Community;
use crate::failure::Failure;

/// The evaluation of a member.
#[derive(Debug, Clone)]
pub struct MemberEvaluation {
    /// The theme's roles that the member should have.
    pub desired: BTreeSet<RoleKey>,
    /// Whether roles that were assigned by hand are kept.
    pub protection: RoleProtection,
    /// Whether the stored profile changed: the tier, or the place on the waitlist.
    pub profile_changed: bool,
    /// When the member left; `None` if the member is in the server.
    pub left_at: Option<OffsetDateTime>,
    /// The stored name.
    pub display_name: String,
}

/// Evaluates a member and stores the tier and the badges earned by rules; `None` if the member has no profile. A member whose identity
/// is suspended has no tier and no role, and keeps the badges. A member whose rank is eligible is removed from the waitlist. A repeated
/// evaluation stores the same.
///
/// Until the first sync has read the ranking, nobody's holding is known: a member with a wallet keeps the tier and the roles.
///
/// # Errors
/// If Postgres is unavailable or a row is corrupt.
pub async fn evaluate_member(
    tx: &mut TenantTx,
    community: &Community,
    user: UserId,
    now: OffsetDateTime,
) -> Result<Option<MemberEvaluation>, Failure> {
    let ladder = community.ladder()?;
    let token = &community.record.token_profile;
    let early = community.theme.early_member_limit();
    let input = tx.profiles().evaluation_input(token, user, now, early).await?;
    let Some(EvaluationInput {
        member,
        mut facts,
        earned,
        suspended,
        ranking_known,
    }) = input
    else {
        return Ok(None);
    };
    // Promoted: the place is there, and the role of the waitlist ends with it.
    let is_promoted = facts.waitlisted && Zones::STANDARD.zone_of(member.standing.rank).is_eligible();
    if is_promoted {
        tx.profiles().set_waitlisted(user, None).await?;
        facts.waitlisted = false;
    }
    let keeps = !ranking_known && !suspended && member.wallet.is_some();
    let tier = if keeps {
        member.tier.clone()
    } else {
        ladder
            .tier_with_imported(member.standing, facts.imported_tier.as_ref())
            .cloned()
    };
    // An imported tier is not reached.
    let own = ladder.tier_of(member.standing).cloned();
    let is_first = own.as_ref().is_some_and(|own| !facts.reached.contains(own));
    // A tier that is reached now counts in this evaluation.
    facts.reached.extend(own.clone());
    let evaluation = community.theme.evaluate(ladder, member.standing, &facts);
    let highest = highest_tier(ladder, member.highest_tier.as_ref(), own.as_ref());
    // Most evaluations change nothing, and then two statements are saved.
    let changes = is_first || member.tier != tier || member.highest_tier.as_ref() != highest;
    let tier_changed = changes && tx.profiles().record_tier(user, tier.as_ref(), highest, now).await?;
    // Without the second condition, only the highest tier of an earlier rule set changed.
    if tier_changed && member.tier != tier {
        notify_of_tier(tx, user, member.tier.as_ref(), tier.as_ref()).await?;
    }
    if !suspended && member.left_at.is_none() {
        store_badges(tx, community, user, &evaluation.badges, &earned, now).await?;
    }
    // A suspension also takes the roles of badges, and those of a protected member.
    let desired = if suspended {
        BTreeSet::new()
    } else {
        community.theme.desired_roles(&evaluation, &facts)
    };
    Ok(Some(MemberEvaluation {
        desired,
        protection: if (member.protected || keeps) && !suspended {
            RoleProtection::Protected
        } else {
            RoleProtection::None
        },
        profile_changed: tier_changed || is_promoted,
        left_at: member.left_at,
        display_name: member.display_name,
    }))
}

/// Stores the badges that the member has earned or lost by rules since the last evaluation.
async fn store_badges(
    tx: &mut TenantTx,
    community: &Community,
    user: UserId,
    held: &BTreeSet<BadgeId>,
    stored: &BTreeSet<BadgeId>,
    now: OffsetDateTime,
) -> Result<(), Failure> {
    let by_rule = |badge: &&BadgeId| {
        community
            .theme
            .badge(badge)
            .is_some_and(|badge| badge.earned_by.is_rule())
    };
    let earned: BTreeSet<BadgeId> = held.iter().filter(by_rule).cloned().collect();
    // Most evaluations change nothing.
    if earned != *stored {
        tx.badges().sync_earned(user, &earned, now).await?;
    }
    Ok(())
}

/// Adds a notification event. It commits with the change of the tier, which is stored once: so is the event.
async fn notify_of_tier(
    tx: &mut TenantTx,
    user: UserId,
    before: Option<&TierId>,
    after: Option<&TierId>,
) -> Result<(), Failure> {
    let event = NewNotification {
        id: format!("tier:{user}:{}", Uuid::now_v7()),
        kind: NotificationKind::Tier,
        user: Some(user),
        payload: json!({"before": before.map(TierId::as_str), "after": after.map(TierId::as_str)}),
    };
    tx.notifications().add(&[event]).await?;
    Ok(())
}

fn highest_tier<'a>(ladder: &Ladder, before: Option<&'a TierId>, now: Option<&'a TierId>) -> Option<&'a TierId> {
    if ladder.compare(before, now) == Ordering::Less {
        now
    } else {
        before
    }
}

/// The roles to assign and remove so that a member with the roles `actual` has those of the evaluation.
pub fn role_difference(
    community: &Community,
    evaluation: &MemberEvaluation,
    actual: &[Id<RoleMarker>],
    bindings: &RoleBindings,
) -> RoleDifference {
    let actual: BTreeSet<_> = actual.iter().map(|id| RoleId(id.get())).collect();
    let theme = &community.theme;
    theme.role_difference(&evaluation.desired, &actual, bindings, evaluation.protection)
}
