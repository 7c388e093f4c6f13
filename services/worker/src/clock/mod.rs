//! Timed work: one leader among the workers publishes what is due.
//!
//! Leadership is an advisory lock on a connection of its own. A leader that dies is followed by another within seconds; two
//! that overlap do no harm, since the ids of jobs are made of kind and time slot. Owns who leads (`mod.rs`) and what is due
//! (`duties.rs`); refuses to do the work itself, which is any worker's.

mod duties;

use std::sync::Arc;
use std::time::Duration;

use arrakis_broker::BrokerConnection;
use arrakis_config::Secret;
use arrakis_db::{LeaderElection, Leadership};
use tokio_util::sync::CancellationToken;

pub use duties::{Duties, publish_lost};

use crate::commands::Commands;
use crate::services::Services;

/// How often a candidate asks whether it leads, and a leader whether it still does.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// Wait after Postgres was away.
const REST: Duration = Duration::from_secs(2);

/// Runs for leader until told to stop, and leads while it is.
pub async fn run(
    services: Arc<Services>,
    commands: Arc<Commands>,
    link: BrokerConnection,
    database_url: Secret,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        match LeaderElection::connect(&database_url, Leadership::ScheduledJobs).await {
            Ok(leader) => Box::pin(stand(&services, &commands, &link, leader, &stop)).await,
            Err(error) => tracing::warn!(%error, "cannot stand for leader"),
        }
        services.metrics.leader.set(0);
        tokio::select! {
            () = tokio::time::sleep(REST) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Until the connection is lost or we are told to stop.
async fn stand(
    services: &Services,
    commands: &Commands,
    link: &BrokerConnection,
    mut leader: LeaderElection,
    stop: &CancellationToken,
) {
    loop {
        match leader.try_lead().await {
            Ok(true) => break,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, "the candidacy is lost");
                return;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(ASK_EVERY) => {}
            () = stop.cancelled() => return leader.resign().await,
        }
    }
    tracing::info!("leading the timed work");
    services.metrics.leader.set(1);
    let lost = tokio::select! {
        error = keep(&mut leader) => Some(error),
        () = Duties::default().run(services, commands, link) => None,
        () = stop.cancelled() => None,
    };
    services.metrics.leader.set(0);
    match lost {
        Some(error) => tracing::warn!(error, "leadership is lost; another worker leads"),
        None => leader.resign().await,
    }
}

/// Asks for as long as the lock is held; answers why it is not any more.
async fn keep(leader: &mut LeaderElection) -> String {
    loop {
        tokio::time::sleep(ASK_EVERY).await;
        match leader.try_lead().await {
            Ok(true) => {}
            Ok(false) => return "the lock is another's".to_owned(),
            Err(error) => return error.to_string(),
        }
    }
}
