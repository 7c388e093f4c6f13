//! The member's roles in the community of the session, and the reply that states them.

use arrakis_db::registry::{Account, IdentityRecord};
use arrakis_db::{RankingPosition, TenantTx, UserId};
use arrakis_domain::{Address, RoleBindings, Zones};
use twilight_model::guild::Member;
use twilight_model::id::Id;
use twilight_model::id::marker::UserMarker;
use uuid::Uuid;

use super::{Run, communities, reply};
use crate::community::Community;
use crate::failure::Failure;
use crate::jobs::reconcile::{joined_at, name};
use crate::render::suspended::Suspended;
use crate::render::verified::{RoleChanges, VerifiedView};
use crate::roles::{self, MemberEvaluation, evaluate_member, role_difference};

/// What the transaction of an attempt reads and writes.
struct Evaluated {
    evaluation: Option<MemberEvaluation>,
    bindings: RoleBindings,
    ranking: RankingPosition,
    record: Option<IdentityRecord>,
    waitlisted: bool,
}

/// Completes a verification in the community of its session: copies the wallet to the profile, assigns and removes roles, and edits the
/// reply to state the result. Of a member who has left, only the profile is updated.
///
/// # Errors
/// If Discord or PostgreSQL is unavailable; repeating it is safe.
pub(super) async fn finish(
    run: Run<'_>,
    community: &Community,
    session: Uuid,
    user: UserId,
    address: Address,
) -> Result<(), Failure> {
    let services = run.services;
    let calls = services.discord.sync(community.guild());
    let Some(id) = Id::<UserMarker>::new_checked(user.get()) else {
        return Ok(());
    };
    let Some(member) = calls.member(community.guild(), id).await? else {
        // The member has left: there is no role to assign, and the reply is in a server that the member does not see.
        communities::sync(run, user, None).await?;
        return reply::forget(services, session).await;
    };
    let evaluated = evaluate(run, community, user, &member).await?;
    let changes = change_roles(run, community, &member, &evaluated).await?;
    let now = services.now();
    let view = VerifiedView {
        address,
        primary: evaluated
            .record
            .as_ref()
            .and_then(IdentityRecord::primary)
            .map(|wallet| wallet.address),
        standing: evaluated.ranking.standing,
        entry: evaluated.ranking.entry,
        waitlisted: evaluated.waitlisted,
        suspended: evaluated
            .record
            .as_ref()
            .and_then(|record| Suspended::of(&record.identity, now)),
        roles: changes,
    };
    reply::show_result(services, community, session, &view).await
}

async fn evaluate(run: Run<'_>, community: &Community, user: UserId, member: &Member) -> Result<Evaluated, Failure> {
    let services = run.services;
    let now = services.now();
    let mut tx = services.database.tenant(community.id()).await?;
    let record = tx.registry().by_account(Account::Discord(user)).await?;
    ensure_profile(&mut tx, user, member, now).await?;
    let copy = tx.profiles().copy_wallet_from_registry(user).await?;
    let evaluation = evaluate_member(&mut tx, community, user, now).await?;
    let bindings = tx.communities().role_bindings().await?;
    let token = &community.record.token_profile;
    let ranking = tx.profiles().ranking_position(token, user, Zones::STANDARD).await?;
    let profile = tx.profiles().by_user(user).await?;
    let taken_from: Vec<UserId> = copy.taken_from.into_iter().collect();
    let stored = communities::enqueue(run, &mut tx, &taken_from).await?;
    tx.commit().await?;
    for user in taken_from.into_iter().chain([user]) {
        services.uncache_profile(community.id(), user).await;
    }
    communities::publish_all(services, community.id(), &stored).await;
    Ok(Evaluated {
        evaluation,
        bindings,
        ranking,
        record,
        waitlisted: profile.is_some_and(|profile| profile.waitlisted_at.is_some()),
    })
}

/// Stores a profile for a member who has none, because the member joined before the bot, or while no worker ran.
async fn ensure_profile(
    tx: &mut TenantTx,
    user: UserId,
    member: &Member,
    now: time::OffsetDateTime,
) -> Result<(), Failure> {
    let profile = tx.profiles().by_user(user).await?;
    if profile.is_none_or(|profile| profile.left_at.is_some()) {
        let joined_at = joined_at(member).unwrap_or(now);
        tx.profiles().join(user, &name(member), joined_at).await?;
    }
    Ok(())
}

async fn change_roles(
    run: Run<'_>,
    community: &Community,
    member: &Member,
    evaluated: &Evaluated,
) -> Result<RoleChanges, Failure> {
    if community.is_frozen() {
        return Ok(RoleChanges::Frozen);
    }
    let Some(evaluation) = &evaluated.evaluation else {
        return Ok(RoleChanges::Made);
    };
    let services = run.services;
    let difference = role_difference(community, evaluation, &member.roles, &evaluated.bindings);
    let calls = services.discord.sync(community.guild());
    let broken = roles::change(services, &calls, community, member.user.id, &difference, "verification").await?;
    roles::record_broken(services, community, &broken).await?;
    Ok(if broken.is_empty() {
        RoleChanges::Made
    } else {
        RoleChanges::Incomplete
    })
}
