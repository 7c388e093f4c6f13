//! Measures a member against the theme and writes down the tier.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use arrakis_db::{EvaluationInput, TenantTx, UserId};
use arrakis_domain::{Evaluation, MemberFacts, RoleBindings, RoleDifference, RoleId, RoleKey, RoleProtection, TierId};
use time::OffsetDateTime;
use twilight_model::id::Id;
use twilight_model::id::marker::RoleMarker;

use crate::community::Community;
use crate::failure::Failure;

/// A member measured.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Tier and badges.
    pub evaluation: Evaluation,
    /// What the rules looked at.
    pub facts: MemberFacts,
    /// Roles of the theme that the member should have.
    pub desired: BTreeSet<RoleKey>,
    /// Whether roles given by hand stay.
    pub protection: RoleProtection,
    /// Whether the tier is another than the one written down before.
    pub tier_changed: bool,
    /// When the member left; `None` while they are here.
    pub left_at: Option<OffsetDateTime>,
    /// Name as it is known.
    pub display_name: String,
}

/// Measures a member and writes the tier down; `None` for who is not known here. Measuring twice writes the same.
///
/// # Errors
/// When Postgres is away or a row is corrupt.
pub async fn measure(
    tx: &mut TenantTx,
    community: &Community,
    user: UserId,
    now: OffsetDateTime,
) -> Result<Option<Measured>, Failure> {
    let ladder = community.ladder()?;
    let token = &community.record.token_profile;
    let early = community.theme.early_member_limit();
    let Some(EvaluationInput { member, mut facts }) = tx.profiles().evaluation_input(token, user, now, early).await?
    else {
        return Ok(None);
    };
    let tier = ladder.tier_of(member.standing).cloned();
    let is_first = tier.as_ref().is_some_and(|tier| !facts.reached.contains(tier));
    // What is reached now counts at once, not from the next time on.
    facts.reached.extend(tier.clone());
    let evaluation = community.theme.evaluate(ladder, member.standing, &facts);
    let highest = highest(ladder, member.highest_tier.as_ref(), tier.as_ref());
    // Most measurements find what is written down already, and then two questions need not be asked.
    let changes = is_first || member.tier != tier || member.highest_tier.as_ref() != highest;
    let tier_changed = changes && tx.profiles().record_tier(user, tier.as_ref(), highest, now).await?;
    let desired = community.theme.desired_roles(&evaluation, &facts);
    Ok(Some(Measured {
        evaluation,
        facts,
        desired,
        protection: if member.protected {
            RoleProtection::Protected
        } else {
            RoleProtection::None
        },
        tier_changed,
        left_at: member.left_at,
        display_name: member.display_name,
    }))
}

fn highest<'a>(
    ladder: &arrakis_domain::Ladder,
    before: Option<&'a TierId>,
    now: Option<&'a TierId>,
) -> Option<&'a TierId> {
    if ladder.compare(before, now) == Ordering::Less {
        now
    } else {
        before
    }
}

/// What to change so that a member who has `actual` has what the measurement says.
pub fn difference(
    community: &Community,
    measured: &Measured,
    actual: &[Id<RoleMarker>],
    bindings: &RoleBindings,
) -> RoleDifference {
    let actual: BTreeSet<_> = actual.iter().map(|id| RoleId(id.get())).collect();
    community
        .theme
        .role_difference(&measured.desired, &actual, bindings, measured.protection)
}
