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
use crate::services::Services;

/// Interval of the loop.
const INTERVAL: Duration = Duration::from_secs(1);

/// The loop.
#[derive(Debug)]
pub(crate) struct KillSwitchLoop {
    services: Arc<Services>,
    sync: KillSwitchSync,
    /// Version of an end whose reconciles are not enqueued yet.
    ended: Option<u64>,
}

impl KillSwitchLoop {
    /// Reads the kill switch once.
    pub(crate) async fn begin(services: Arc<Services>, sync: KillSwitchSync) -> Self {
        let mut begun = Self {
            services,
            sync,
            ended: None,
        };
        begun.tick().await;
        begun
    }

    /// Runs the loop until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            self.follow_the_end().await;
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = stop.cancelled() => return,
            }
            self.tick().await;
        }
    }

    async fn tick(&mut self) {
        let ended = Box::pin(self.sync.tick()).await;
        if let Some(end) = ended {
            self.ended = Some(end.version);
        }
        let is_on = self.services.kill_switch.is_on();
        self.services.metrics.kill_switch.set(i64::from(is_on));
    }

    async fn follow_the_end(&mut self) {
        if self.services.kill_switch.is_on() {
            return;
        }
        let Some(version) = self.ended else { return };
        match Box::pin(enqueue_reconciles(&self.services, version)).await {
            Ok(()) => self.ended = None,
            Err(error) => {
                tracing::warn!(%error, "the reconciles after the kill switch cannot be enqueued; retrying");
            }
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
