//! Ends suspensions whose end has passed: enqueues a tier sync of the member in each community, then writes the event.
//!
//! Evaluations consider a suspension over from its end on, whether or not the event is written. So the jobs come first: after a crash
//! between the two, the next run enqueues the same ids and writes the events.

use arrakis_db::UserId;
use arrakis_db::registry::{Identity, IdentityStatus, RegistryError};
use time::OffsetDateTime;
use twilight_model::id::Id;

use crate::failure::Failure;
use crate::jobs::{self, tier_sync};
use crate::services::Services;

/// Suspensions that one run ends.
const AT_ONCE: u32 = 100;

/// Ends expired suspensions.
///
/// # Errors
/// If Postgres is unavailable; the next run repeats it.
pub(super) async fn end_expired(services: &Services, now: OffsetDateTime) -> Result<(), Failure> {
    let mut tx = services.database.global().await?;
    let expired = tx.registry().expired_suspensions(now, AT_ONCE).await?;
    tx.commit().await?;
    if expired.is_empty() {
        return Ok(());
    }
    for identity in &expired {
        if let Some(user) = identity.discord_user {
            sync_roles(services, user, &job_id(identity)).await?;
        }
    }
    let mut tx = services.database.global().await?;
    let ended = tx.registry().end_expired_suspensions(now, AT_ONCE).await;
    let ended = ended.map_err(|error| match error {
        RegistryError::Db(error) => Failure::from(error),
        RegistryError::Refused(refusal) => Failure::permanent(refusal),
    })?;
    tx.commit().await?;
    tracing::info!(count = ended.len(), "the end of suspensions has passed");
    Ok(())
}

/// The same for each run that ends this suspension.
fn job_id(identity: &Identity) -> String {
    let end = match identity.status {
        IdentityStatus::Suspended { until: Some(until) } => until.unix_timestamp(),
        _ => 0,
    };
    format!("tier-sync:restored:{}:{end}", identity.id)
}

/// Enqueues a tier sync of a member in each community in which the member is.
async fn sync_roles(services: &Services, user: UserId, job: &str) -> Result<(), Failure> {
    let Some(member) = Id::new_checked(user.get()) else {
        return Ok(());
    };
    for (_, community) in services.database.routes().await? {
        let mut tx = services.database.tenant(community).await?;
        let profile = tx.profiles().by_user(user).await?;
        tx.commit().await?;
        if profile.is_some_and(|profile| profile.left_at.is_none()) {
            let request = tier_sync::for_member(job.to_owned(), member);
            jobs::enqueue(services, community, &request).await?;
        }
    }
    Ok(())
}
