//! The loop of this worker that keeps the kill switch equal at every place (`arrakis-kill-switch`), and what follows the end of one.
//!
//! While the kill switch is on, jobs of communities are postponed and events change no role. Its end enqueues a reconcile of each community, whose
//! id contains the version of the end: several workers that see it enqueue one.

use std::sync::Arc;
use std::time::Duration;

use arrakis_db::DbError;
use arrakis_kill_switch::KillSwitchSync;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::jobs::reconcile;
use crate::now_ms;
use crate::services::Services;

/// Interval of the loop.
const INTERVAL: Duration = Duration::from_secs(1);
/// A worker that starts follows an end that is no older. The workers that were running then have followed an older one.
const FOLLOWED_FOR_MS: u64 = 10 * 60 * 1_000;

/// Runs the loop until `stop`.
pub(crate) async fn run(services: Arc<Services>, mut sync: KillSwitchSync, stop: CancellationToken) {
    let mut ended: Option<u64> = None;
    while !stop.is_cancelled() {
        if let Some(end) = Box::pin(sync.tick()).await
            && end.version.saturating_add(FOLLOWED_FOR_MS) > now_ms()
        {
            ended = Some(end.version);
        }
        services
            .metrics
            .kill_switch
            .set(i64::from(services.kill_switch.is_on()));
        if let Some(version) = ended.filter(|_| !services.kill_switch.is_on()) {
            match Box::pin(enqueue_reconciles(&services, version)).await {
                Ok(()) => ended = None,
                Err(error) => {
                    tracing::warn!(%error, "the reconciles after the kill switch cannot be enqueued; retrying")
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Enqueues a reconcile of each community. The leader publishes them.
async fn enqueue_reconciles(services: &Services, version: u64) -> Result<(), DbError> {
    let job = reconcile::request(&format!("reconcile:kill-switch:{version}"));
    for (_, community) in services.database.routes().await? {
        let mut tx = services.database.tenant(community).await?;
        tx.jobs().enqueue(&job.row(OffsetDateTime::now_utc())).await?;
        tx.commit().await?;
    }
    tracing::info!(version, "the kill switch has ended; every community is reconciled");
    Ok(())
}
