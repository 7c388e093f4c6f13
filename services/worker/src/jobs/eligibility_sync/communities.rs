//! The communities of a token profile, and what a new ranking changes for their members.

use std::collections::BTreeMap;

use arrakis_db::{
    CommunityId, Database, DbError, NewNotification, NotificationKind, SNAPSHOT_RANKS, TokenProfileId, UserId,
};
use arrakis_domain::{Address, ChangeKind, EntryThreshold, Place, RankingDifference, Standing, WalletChange, Zones};
use serde_json::{Value, json};
use twilight_model::id::Id;
use twilight_model::id::marker::UserMarker;
use uuid::Uuid;

use crate::community::Community;
use crate::failure::Failure;
use crate::jobs::{JobRequest, tier_sync};
use crate::services::Services;

/// With more members than this whose tier may have changed, the tier sync is of the whole community, so that its payload stays small.
const MAX_LISTED: usize = 1_000;

/// The token profiles that communities use, with these communities. A community whose row is corrupt is logged and left out.
///
/// # Errors
/// If Postgres is unavailable.
pub async fn profiles_in_use(database: &Database) -> Result<BTreeMap<TokenProfileId, Vec<CommunityId>>, DbError> {
    let mut profiles: BTreeMap<TokenProfileId, Vec<CommunityId>> = BTreeMap::new();
    for (_, id) in database.routes().await? {
        let mut tx = database.tenant(id).await?;
        let community = tx.communities().get().await;
        tx.commit().await?;
        match community {
            Ok(Some(community)) => profiles.entry(community.token_profile).or_default().push(id),
            Ok(None) => {}
            Err(error @ DbError::Corrupt { .. }) => {
                tracing::error!(community = %id, %error, "the community is left out of the eligibility syncs");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(profiles)
}

/// The communities of a profile. One that cannot be loaded (its theme is missing) is logged and left out: it must not stop the sync
/// of the others.
pub(super) async fn communities_of(services: &Services, token: &TokenProfileId) -> Result<Vec<Community>, Failure> {
    let ids = profiles_in_use(&services.database)
        .await?
        .remove(token)
        .unwrap_or_default();
    let mut communities = Vec::with_capacity(ids.len());
    for id in ids {
        match Community::load(services, id).await {
            Ok(community) => communities.extend(community),
            Err(Failure::Retry(error)) => return Err(Failure::Retry(error)),
            Err(failure) => {
                tracing::error!(community = %id, %failure, "the community is left out of the eligibility sync");
            }
        }
    }
    Ok(communities)
}

/// The differences between the stored ranking and a new one, by wallet.
pub(super) struct Changes {
    snapshot: Uuid,
    difference: RankingDifference,
    zones: Zones,
    /// Whether there was no ranking before: nothing changed for a member, but no member has a tier.
    is_first: bool,
}

impl Changes {
    /// The changes between two rankings, with the id of the new ranking's snapshot.
    pub(super) fn new(snapshot: Uuid, difference: RankingDifference, zones: Zones, is_first: bool) -> Self {
        Self {
            snapshot,
            difference,
            zones,
            is_first,
        }
    }

    /// The changes that are stored: of wallets within [`SNAPSHOT_RANKS`] before or after. Empty for a first ranking.
    pub(super) fn stored(&self) -> Vec<WalletChange> {
        let changes = self.difference.changes.iter().copied();
        changes.filter(|change| !self.is_first && is_near(change)).collect()
    }

    /// The notification events of a community with these wallets.
    pub(super) fn notifications(&self, wallets: &[(UserId, Address)]) -> Vec<NewNotification> {
        if self.is_first {
            return Vec::new();
        }
        let mut events = Vec::new();
        if let Some(change) = self.difference.threshold {
            events.push(NewNotification {
                id: format!("{}:threshold", self.snapshot),
                kind: NotificationKind::Threshold,
                user: None,
                payload: json!({"before": threshold(change.before), "after": threshold(change.after)}),
            });
        }
        for (user, change) in self.of_members(wallets).filter(|(_, change)| is_near(change)) {
            let places = json!({"before": place(change.before), "after": place(change.after)});
            let kinds: Vec<_> = change.kinds(self.zones).into_iter().map(ChangeKind::as_str).collect();
            if !kinds.is_empty() {
                let mut payload = places.clone();
                payload["kinds"] = json!(kinds);
                events.push(self.of_member(NotificationKind::Zone, user, payload));
            }
            events.push(self.of_member(NotificationKind::Rank, user, places));
        }
        events
    }

    fn of_member(&self, kind: NotificationKind, user: UserId, payload: Value) -> NewNotification {
        NewNotification {
            id: format!("{}:{}:{user}", self.snapshot, kind.as_str()),
            kind,
            user: Some(user),
            payload,
        }
    }

    /// The tier sync of a community whose members have these wallets: of those whose tier or zone may have changed. `None` if there are
    /// none, and for a frozen community.
    ///
    /// # Errors
    /// If the tier rules of the community are invalid.
    pub(super) fn tier_sync(
        &self,
        community: &Community,
        wallets: &[(UserId, Address)],
    ) -> Result<Option<JobRequest>, Failure> {
        let id = format!("tier-sync:eligibility:{}", self.snapshot);
        if community.is_frozen() {
            return Ok(None);
        }
        if self.is_first {
            return Ok(Some(tier_sync::for_community(id)));
        }
        let ladder = community.ladder()?;
        let tier = |place| ladder.tier_of(standing(place));
        let is_affected = |change: &WalletChange| {
            let (zone_before, zone_after) = change.zones(self.zones);
            zone_before != zone_after || tier(change.before) != tier(change.after)
        };
        let affected = self.of_members(wallets).filter(|(_, change)| is_affected(change));
        let users: Vec<Id<UserMarker>> = affected.map(|(user, _)| Id::new(user.get())).collect();
        Ok(match users.as_slice() {
            [] => None,
            [user] => Some(tier_sync::for_member(id, *user)),
            users if users.len() > MAX_LISTED => Some(tier_sync::for_community(id)),
            users => Some(tier_sync::for_members(id, users)),
        })
    }

    fn of_members(&self, wallets: &[(UserId, Address)]) -> impl Iterator<Item = (UserId, &WalletChange)> {
        let changes = wallets
            .iter()
            .map(|(user, wallet)| (*user, self.difference.of(*wallet)));
        changes.filter_map(|(user, change)| Some((user, change?)))
    }
}

fn is_near(change: &WalletChange) -> bool {
    usize::try_from(change.best_rank()).is_ok_and(|rank| rank <= SNAPSHOT_RANKS)
}

fn standing(place: Option<Place>) -> Standing {
    place.map_or_else(Standing::default, |place| Standing::new(Some(place.rank), place.held))
}

fn place(place: Option<Place>) -> Value {
    place.map_or(Value::Null, |place| json!({"rank": place.rank, "held": place.held}))
}

fn threshold(threshold: EntryThreshold) -> Value {
    match threshold {
        EntryThreshold::PlacesFree { free } => json!({"places_free": free}),
        EntryThreshold::Holding { balance } => json!({"held": balance}),
    }
}
