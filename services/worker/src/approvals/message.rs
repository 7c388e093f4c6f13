//! The message of an approval in the channel of Discord: sent once, and edited when the approval is decided.
//!
//! A leader takes a message before it sends it. The call has a nonce that follows from the approval, so a leader that takes over sends no second
//! one while Discord remembers it; later, the channel is searched.

use arrakis_db::{Approval, ApprovalDestination, DueApprovalMessage};
use arrakis_discord::{Error, ListedMessage};
use parking_lot::Mutex;
use time::Duration;
use twilight_model::id::Id;
use twilight_model::id::marker::{ChannelMarker, MessageMarker};

use crate::failure::Failure;
use crate::nonced_message::{NoncedMessage, NoncedOutcome};
use crate::render::approval::message;
use crate::sent_messages::{Recognise, SearchResult, SearchedChannel, search};
use crate::services::Services;

/// Messages of one round.
const BATCH: u32 = 10;
/// How long a message is this worker's; after a failure it is tried again when this time is over.
const LEASE: Duration = Duration::seconds(30);
/// Time limit of a call.
const CALL_LIMIT: std::time::Duration = std::time::Duration::from_secs(10);

/// Sends the messages of new approvals, and edits those of decided ones. Nothing happens without a channel.
///
/// # Errors
/// If Postgres is unavailable; the next call does the rest.
pub async fn show_approvals(services: &Services) -> Result<(), Failure> {
    let Some(channel) = services.approvals.config.channel else {
        return Ok(());
    };
    let now = services.now();
    let mut tx = services.database.global().await?;
    let due = tx
        .approvals()
        .take_messages(ApprovalDestination::Discord, BATCH, now, now + LEASE)
        .await?;
    tx.commit().await?;
    for due in due {
        let id = due.approval;
        match Box::pin(show(services, channel, due)).await {
            Ok(()) => {}
            Err(failure) => {
                tracing::warn!(%failure, approval = %id, "the message of an approval was not sent or edited; it will be tried again");
            }
        }
    }
    Ok(())
}

async fn show(services: &Services, channel: Id<ChannelMarker>, due: DueApprovalMessage) -> Result<(), Failure> {
    let mut tx = services.database.global().await?;
    let approval = tx.approvals().get(due.approval).await?;
    tx.commit().await?;
    let Some(approval) = approval else {
        return Ok(());
    };
    let (channel, message) = match due.sent {
        None => match send(services, channel, &approval).await? {
            Some(message) => (channel, message),
            None => return Ok(()),
        },
        Some((channel, message)) => {
            let (channel, message) = ids(&channel, &message)?;
            edit(services, channel, message, &approval).await?;
            (channel, message)
        }
    };
    let mut tx = services.database.global().await?;
    let (channel, message) = (channel.to_string(), message.to_string());
    tx.approvals()
        .record_message(
            approval.id,
            ApprovalDestination::Discord,
            &channel,
            &message,
            approval.state,
        )
        .await?;
    tx.commit().await?;
    Ok(())
}

fn ids(channel: &str, message: &str) -> Result<(Id<ChannelMarker>, Id<MessageMarker>), Failure> {
    let parse = |text: &str| text.parse::<u64>().ok();
    let channel = parse(channel).and_then(Id::new_checked);
    let message = parse(message).and_then(Id::new_checked);
    channel
        .zip(message)
        .ok_or_else(|| Failure::permanent("approval_messages has an id that is none of Discord"))
}

/// Sends the message; returns its id, or `None` if Discord does not show it.
async fn send(
    services: &Services,
    channel: Id<ChannelMarker>,
    approval: &Approval,
) -> Result<Option<Id<MessageMarker>>, Failure> {
    let calls = &services.discord.bulk(None).within(CALL_LIMIT);
    let id = approval.id.to_string();
    let key = format!("approval:{id}");
    let is_it: Recognise<'_> = &|listed| has_button(listed, &id);
    let searched = SearchedChannel::OfServer {
        id: channel,
        latest: None,
    };
    let text = &message(approval);
    let sent = &Mutex::new(None);
    let nonced = NoncedMessage {
        services,
        community: None,
        guild: None,
        key: &key,
    };
    let outcome = nonced
        .send_unless_found(
            |began| async move {
                let found = search(calls, searched, began, is_it).await;
                if let Ok(SearchResult::Found(message)) = &found {
                    *sent.lock() = Some(*message);
                }
                found
            },
            |nonce| async move {
                let message = calls.send_message(channel, text, nonce).await?;
                *sent.lock() = Some(message.id);
                Ok(())
            },
        )
        .await?;
    if let NoncedOutcome::Refused(error) = outcome {
        return Err(Failure::retry(error));
    }
    let known = *sent.lock();
    if known.is_some() {
        return Ok(known);
    }
    // An earlier attempt has sent it, and ended before it recorded where.
    match search(calls, searched, approval.created_at, is_it).await? {
        SearchResult::Found(message) => Ok(Some(message)),
        SearchResult::Missing | SearchResult::Unknown => {
            tracing::warn!(approval = %approval.id, "the message of an approval may have been sent, and is not in the channel");
            Ok(None)
        }
    }
}

/// Whether a message has a button of this approval.
fn has_button(listed: &ListedMessage, id: &str) -> bool {
    listed.components.to_string().contains(id)
}

async fn edit(
    services: &Services,
    channel: Id<ChannelMarker>,
    id: Id<MessageMarker>,
    approval: &Approval,
) -> Result<(), Failure> {
    let calls = services.discord.bulk(None).within(CALL_LIMIT);
    match calls.edit_message(channel, id, &message(approval)).await {
        // It was deleted: nothing is left to edit.
        Ok(_) | Err(Error::Gone { .. }) => Ok(()),
        Err(error) => Err(Failure::retry(error)),
    }
}
