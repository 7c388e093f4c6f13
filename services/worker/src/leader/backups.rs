//! Enqueues a job `backup` for each task of the scheduled backups that is due on a server.
//!
//! Two leaders at once enqueue the same ids. While a job of a task waits or runs, no other one of this task is enqueued, so they do not
//! overlap, and what was missed while no leader ran is done by one job.

use time::OffsetDateTime;

use crate::failure::Failure;
use crate::jobs::{self, backup};
use crate::services::Services;

/// Enqueues the jobs. A community whose rows are corrupt is logged and left out.
///
/// # Errors
/// If Postgres is unavailable; the next run enqueues the rest.
pub async fn enqueue_backups(services: &Services, now: OffsetDateTime) -> Result<(), Failure> {
    if services.backups.is_none() {
        return Ok(());
    }
    for (_, community) in services.database.routes().await? {
        let requests = match backup::due_requests(services, community, now).await {
            Ok(requests) => requests,
            Err(failure @ Failure::Retry(_)) => return Err(failure),
            Err(failure) => {
                tracing::error!(%community, %failure, "a community is left out of the scheduled backups");
                continue;
            }
        };
        for request in requests {
            if jobs::enqueue(services, community, &request).await? {
                services.metrics.published_jobs.with_label_values(&["backup"]).inc();
            }
        }
    }
    Ok(())
}
