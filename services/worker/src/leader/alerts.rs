//! Enqueues a job `notify` in each community in which notification events or alerts are due.
//!
//! Two leaders at once enqueue the same id. While a job of alerts of a community waits or runs, no other one is enqueued, so they do not
//! overlap, and what was missed while no leader ran is done by one job.

use time::OffsetDateTime;

use crate::failure::Failure;
use crate::jobs::{self, notify};
use crate::services::Services;

/// Enqueues the jobs.
///
/// # Errors
/// If Postgres is unavailable; the next run enqueues the rest.
pub(super) async fn enqueue_due(services: &Services, now: OffsetDateTime) -> Result<(), Failure> {
    for (_, community) in services.database.routes().await? {
        let mut tx = services.database.tenant(community).await?;
        let are_due = tx.alerts().are_due(now).await?;
        tx.commit().await?;
        let request = notify::request(notify::scheduled_id(now));
        if are_due && jobs::enqueue(services, community, &request).await? {
            services.metrics.published_jobs.with_label_values(&["notify"]).inc();
        }
    }
    Ok(())
}
