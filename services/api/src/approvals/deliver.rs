//! Sends and edits the messages at Slack, for as long as the api runs.
//!
//! A replica takes a message before the call, so that replicas do not send it twice. After a call with an unknown outcome it is sent again: a
//! second message is possible then, and harmless, since an approval has one decision and a click edits the message on which it was made.

use std::time::Duration;

use arrakis_db::{ApprovalDestination, ApprovalState, DbError, DueApprovalMessage};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::blocks::message;
use super::slack::{Slack, SlackError};
use crate::services::{ApiState, Services};

/// Messages of one round.
const BATCH: u32 = 10;
/// How long a message is this replica's; after a failure it is tried again when this time is over.
const LEASE: time::Duration = time::Duration::seconds(30);

/// Sends and edits messages until `stop` is cancelled.
pub(crate) async fn deliver(services: ApiState, stop: CancellationToken) {
    let Some(slack) = &services.slack else {
        return;
    };
    loop {
        if let Err(error) = round(&services, slack).await {
            tracing::warn!(%error, "the messages of approvals cannot be read");
        }
        tokio::select! {
            () = tokio::time::sleep(services.tuning.approval_delivery) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn round(services: &Services, slack: &Slack) -> Result<(), DbError> {
    let now = OffsetDateTime::now_utc();
    let mut tx = services.database.global().await?;
    let due = tx
        .approvals()
        .take_messages(ApprovalDestination::Slack, BATCH, now, now + LEASE)
        .await?;
    tx.commit().await?;
    for due in due {
        show(services, slack, due).await?;
        // Slack accepts about one message a second in a channel.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn show(services: &Services, slack: &Slack, due: DueApprovalMessage) -> Result<(), DbError> {
    let mut tx = services.database.global().await?;
    let approval = tx.approvals().get(due.approval).await?;
    tx.commit().await?;
    let Some(approval) = approval else {
        return Ok(());
    };
    let shown = match &due.sent {
        None => slack
            .post(message(&approval))
            .await
            .map(|ts| (slack.channel().to_owned(), ts)),
        Some((channel, ts)) => match slack.update(channel, ts, message(&approval)).await {
            // It was deleted: nothing is left to edit.
            Err(SlackError::Refused(error)) => {
                tracing::warn!(error, approval = %approval.id, "the message of an approval cannot be edited");
                Ok((channel.clone(), ts.clone()))
            }
            edited => edited.map(|()| (channel.clone(), ts.clone())),
        },
    };
    match shown {
        Ok((channel, ts)) => record_shown(services, approval.id, &channel, &ts, approval.state).await,
        Err(error) => {
            tracing::warn!(%error, approval = %approval.id, "the message of an approval was not sent; it will be tried again");
            Ok(())
        }
    }
}

/// Records which state the message shows.
async fn record_shown(
    services: &Services,
    approval: Uuid,
    channel: &str,
    ts: &str,
    state: ApprovalState,
) -> Result<(), DbError> {
    let mut tx = services.database.global().await?;
    tx.approvals()
        .record_message(approval, ApprovalDestination::Slack, channel, ts, state)
        .await?;
    tx.commit().await
}
