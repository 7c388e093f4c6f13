//! Approvals of plans at Discord: the message with buttons, the end of approvals whose time is over, and signatures of decisions.
//!
//! The leader runs `run`. A press of a button is the component `approval` of `commands/approval.rs`. Decisions are made by `arrakis-db`, which
//! refuses a second one. Slack is the api's.

mod message;
mod sign_records;

use std::time::Duration;

pub use self::message::show_approvals;
pub use self::sign_records::sign_approvals;
pub use crate::approval_settings::{ApprovalConfig, Approvals};
use crate::failure::Failure;
use crate::services::Services;

/// Interval of the rounds.
const INTERVAL: Duration = Duration::from_secs(2);

/// Ends, shows and signs approvals for as long as it is polled. Apart from the other tasks of the leader: neither a signer nor a Discord that does
/// not respond delays them.
pub(crate) async fn run(services: &Services) {
    tokio::join!(end(services), show(services), sign(services));
}

async fn end(services: &Services) {
    loop {
        finish_round("ending approvals", lapse(services).await).await;
    }
}

async fn show(services: &Services) {
    loop {
        finish_round("showing approvals", Box::pin(show_approvals(services)).await).await;
    }
}

async fn sign(services: &Services) {
    loop {
        finish_round("signing approvals", Box::pin(sign_approvals(services)).await).await;
    }
}

/// Logs a failed round, and waits for the next one.
async fn finish_round(task: &'static str, result: Result<(), Failure>) {
    if let Err(failure) = result {
        tracing::warn!(%failure, task, "a round failed; it will be retried");
    }
    tokio::time::sleep(INTERVAL).await;
}

/// Ends approvals whose time is over.
async fn lapse(services: &Services) -> Result<(), Failure> {
    let mut tx = services.database.global().await?;
    let lapsed = tx.approvals().lapse().await?;
    tx.commit().await?;
    for approval in lapsed {
        tracing::info!(%approval, "an approval lapsed: it was not decided in time");
    }
    Ok(())
}
