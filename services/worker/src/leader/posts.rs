//! Enqueues a job `notify` for each post that is due in a community: the leaderboard after a new ranking, joins and departures that are not
//! posted, the digest of the week.
//!
//! Two leaders at once enqueue the same ids. While a job of a post waits or runs, no other one of this post is enqueued, so they do not
//! overlap, and what was missed while no leader ran is posted once. Alerts and other posts do not delay it.

use arrakis_db::{CommunityId, PostKind};
use time::OffsetDateTime;

use crate::community::Community;
use crate::failure::Failure;
use crate::jobs::notify::posts::{channel_key, week_of};
use crate::jobs::{self, notify};
use crate::services::Services;

/// Enqueues the jobs. A community that cannot be loaded (its theme is missing) is left out.
///
/// # Errors
/// If Postgres is unavailable; the next run enqueues the rest.
pub(super) async fn enqueue_due(services: &Services, now: OffsetDateTime) -> Result<(), Failure> {
    for (_, id) in services.database.routes().await? {
        for post in due(services, id, now).await? {
            let request = notify::post_request(post, notify::post_id(post, now));
            if jobs::enqueue(services, id, &request).await? {
                services.metrics.published_jobs.with_label_values(&["post"]).inc();
            }
        }
    }
    Ok(())
}

async fn due(services: &Services, id: CommunityId, now: OffsetDateTime) -> Result<Vec<PostKind>, Failure> {
    let community = match Community::load(services, id).await {
        Ok(Some(community)) => community,
        Ok(None) => return Ok(Vec::new()),
        Err(failure @ Failure::Retry(_)) => return Err(failure),
        Err(failure) => {
            tracing::error!(community = %id, %failure, "the community is left out of the posts");
            return Ok(Vec::new());
        }
    };
    let wanted = |post: &PostKind| channel_key(&community.theme, *post).is_some();
    let wanted: Vec<PostKind> = PostKind::ALL.into_iter().filter(wanted).collect();
    let mut due = Vec::new();
    let mut tx = services.database.tenant(id).await?;
    for post in wanted {
        let is_due = match post {
            PostKind::Leaderboard => {
                let token = &community.record.token_profile;
                tx.posts().is_leaderboard_due(token, now).await?
            }
            PostKind::Arrivals => tx.posts().unposted_arrivals().await? > 0,
            PostKind::Digest => {
                let week = week_of(now);
                let digest = tx.posts().get(post).await?;
                // The week in which a community begins has no digest.
                digest.enabled && digest.period != Some(week.period) && community.record.onboarded_at < week.to
            }
        };
        if is_due && !tx.posts().is_job_pending(post).await? {
            due.push(post);
        }
    }
    tx.commit().await?;
    Ok(due)
}
