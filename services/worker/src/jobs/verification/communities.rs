//! Copies a member's primary wallet to the profiles in all communities, and enqueues a tier sync in each.

use arrakis_contracts::JobKind;
use arrakis_db::{CommunityId, TenantTx, UserId};
use twilight_model::id::Id;

use super::Run;
use crate::failure::Failure;
use crate::jobs::{JobOwner, JobRequest, publish, tier_sync};
use crate::services::Services;

/// Copies the wallet and enqueues the tier syncs in all communities of the member but `except`. The row of a tier sync commits with
/// the copy.
pub(super) async fn sync(run: Run<'_>, user: UserId, except: Option<CommunityId>) -> Result<(), Failure> {
    let services = run.services;
    for (_, community) in services.database.routes().await? {
        if Some(community) == except {
            continue;
        }
        let mut tx = services.database.tenant(community).await?;
        let Some(profile) = tx.profiles().by_user(user).await? else {
            tx.commit().await?;
            continue;
        };
        let copy = tx.profiles().copy_wallet_from_registry(user).await?;
        let member = profile.left_at.is_none().then_some(user);
        let users: Vec<UserId> = member.into_iter().chain(copy.taken_from).collect();
        let stored = enqueue(run, &mut tx, &users).await?;
        tx.commit().await?;
        for user in [Some(user), copy.taken_from].into_iter().flatten() {
            services.uncache_profile(community, user).await;
        }
        publish_all(services, community, &stored).await;
    }
    Ok(())
}

/// Stores a tier sync for each of these members, in the transaction; returns those that did not exist, to publish after the commit.
pub(super) async fn enqueue(run: Run<'_>, tx: &mut TenantTx, users: &[UserId]) -> Result<Vec<JobRequest>, Failure> {
    let mut stored = Vec::new();
    for user in users {
        let Some(member) = Id::new_checked(user.get()) else {
            continue;
        };
        let request = tier_sync::for_member(format!("tier-sync:{}:{user}", run.id), member);
        if tx.jobs().enqueue(&request.row(run.services.now())).await? {
            stored.push(request);
        }
    }
    Ok(stored)
}

/// Publishes the messages of stored tier syncs. A failure is logged: the leader publishes the message again.
pub(super) async fn publish_all(services: &Services, community: CommunityId, stored: &[JobRequest]) {
    for request in stored {
        publish(
            &services.publisher,
            JobOwner::Community(community),
            &request.id,
            JobKind::TierSync,
        )
        .await;
    }
}
