//! Leader election among the workers, and the scheduled tasks of the leader.
//!
//! The leader holds a Postgres advisory lock on a connection of its own. When it dies, another worker becomes leader within seconds.
//! Two leaders at once do no harm, since the ids of jobs consist of kind and time slot. `tasks.rs` has the scheduled tasks; they
//! publish jobs, which any worker runs.

mod alerts;
mod anchors;
mod backups;
mod configurations;
mod notices;
mod posts;
mod suspensions;
mod tasks;
mod theme_grace;

use std::sync::Arc;
use std::time::Duration;

use arrakis_broker::BrokerConnection;
use arrakis_config::Secret;
use arrakis_db::{LeaderElection, Leadership};
use tokio_util::sync::CancellationToken;

pub use anchors::{AnchorError, Anchored, anchor_chain};
pub use backups::enqueue_backups;
pub use configurations::ConfigurationTasks;
pub use notices::send_notices;
pub use tasks::{enqueue_syncs, publish_lost_jobs};

use self::tasks::LeaderTasks;
use crate::commands::Commands;
use crate::services::Services;

/// Interval at which a candidate tries to take the lock, and the leader checks that it still holds it.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Pause before a new candidacy after the connection was lost.
const RECONNECT_PAUSE: Duration = Duration::from_secs(2);

/// Takes part in the election, and runs the scheduled tasks while this worker is the leader, until `stop` is cancelled.
pub async fn run(
    services: Arc<Services>,
    commands: Arc<Commands>,
    connection: BrokerConnection,
    database_url: Secret,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        match LeaderElection::connect(&database_url, Leadership::ScheduledJobs).await {
            Ok(leader) => Box::pin(lead(&services, &commands, &connection, leader, &stop)).await,
            Err(error) => tracing::warn!(%error, "cannot connect for the leader election; retrying"),
        }
        services.metrics.leader.set(0);
        tokio::select! {
            () = tokio::time::sleep(RECONNECT_PAUSE) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Waits for the lock, then runs the scheduled tasks. Returns when the connection is lost or `stop` is cancelled.
async fn lead(
    services: &Services,
    commands: &Commands,
    connection: &BrokerConnection,
    mut leader: LeaderElection,
    stop: &CancellationToken,
) {
    loop {
        match leader.try_lead().await {
            Ok(true) => break,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, "the connection for the leader election is lost");
                return;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(CHECK_INTERVAL) => {}
            () = stop.cancelled() => return leader.resign().await,
        }
    }
    tracing::info!("this worker is the leader");
    services.metrics.leader.set(1);
    let lost = tokio::select! {
        error = until_lost(&mut leader) => Some(error),
        () = LeaderTasks::default().run(services, commands, connection) => None,
        () = stop.cancelled() => None,
    };
    services.metrics.leader.set(0);
    match lost {
        Some(error) => tracing::warn!(error, "this worker is no longer the leader"),
        None => leader.resign().await,
    }
}

/// Returns why the lock is no longer held, once that is so.
async fn until_lost(leader: &mut LeaderElection) -> String {
    loop {
        tokio::time::sleep(CHECK_INTERVAL).await;
        match leader.try_lead().await {
            Ok(true) => {}
            Ok(false) => return "another worker holds the lock".to_owned(),
            Err(error) => return error.to_string(),
        }
    }
}
