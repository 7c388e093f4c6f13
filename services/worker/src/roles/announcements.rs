//! Role changes that the worker is about to make, announced in Redis, so that the member update which Discord sends for each of them
//! is not taken for a change by hand. With Redis unavailable nothing is announced, and the comparison with Discord decides.

use arrakis_cache::{CacheKey, Ttl};
use arrakis_db::CommunityId;
use arrakis_domain::{RoleDifference, RoleId};
use twilight_model::id::Id;
use twilight_model::id::marker::UserMarker;

use super::{RoleAction, changes};
use crate::services::Services;

/// How long an announcement lasts. Discord sends the event within a second; a change of the same role by hand within this time is
/// repaired by the next reconcile.
const ANNOUNCEMENT_TTL: Ttl = Ttl::seconds(15);

/// Announces that these roles of a member will change.
pub(super) async fn announce(
    services: &Services,
    community: CommunityId,
    user: Id<UserMarker>,
    difference: &RoleDifference,
) {
    for (action, role, _) in changes(difference) {
        let key = key(community, user, action, role);
        services.cache.set_marker(&key, ANNOUNCEMENT_TTL).await;
    }
}

/// Withdraws the announcements once the changes are made: a later change of the same role is not made by this worker.
pub(super) async fn withdraw(
    services: &Services,
    community: CommunityId,
    user: Id<UserMarker>,
    difference: &RoleDifference,
) {
    for (action, role, _) in changes(difference) {
        services.cache.clear_marker(&key(community, user, action, role)).await;
    }
}

/// The part of a difference that is not announced.
pub(crate) async fn without_announced(
    services: &Services,
    community: CommunityId,
    user: Id<UserMarker>,
    difference: RoleDifference,
) -> RoleDifference {
    let mut rest = difference.clone();
    for (action, role, _) in changes(&difference) {
        if services.cache.has_marker(&key(community, user, action, role)).await {
            match action {
                RoleAction::Assign => rest.add.remove(&role),
                RoleAction::Remove => rest.remove.remove(&role),
            };
        }
    }
    rest
}

fn key(community: CommunityId, user: Id<UserMarker>, action: RoleAction, role: RoleId) -> CacheKey {
    let action = match action {
        RoleAction::Assign => "give",
        RoleAction::Remove => "take",
    };
    CacheKey::new("role-change", &[&community, &user, &action, &role])
}
