//! The question to the holder of a wallet: a direct message with two buttons.

use arrakis_db::{SessionKey, SessionState, UserId};
use arrakis_discord::Error;
use arrakis_verification::{Account, AccountNetwork};
use twilight_model::id::Id;
use uuid::Uuid;

use super::{Run, reply};
use crate::community::Community;
use crate::consent;
use crate::failure::Failure;
use crate::nonced_message::{NoncedMessage, NoncedOutcome};

/// Sends the question to `holder`, while the session waits for an answer, and edits the requester's reply. A holder who accepts no direct
/// messages gets the question as a reminder after the next command.
pub(super) async fn send(run: Run<'_>, session: Uuid, holder: Account) -> Result<(), Failure> {
    let services = run.services;
    let now = services.now();
    let mut tx = services.database.global().await?;
    let found = tx.verification_sessions().find(SessionKey::Id(session), now).await?;
    tx.commit().await?;
    let Some(found) = found.filter(|found| found.state == SessionState::AwaitingConsent) else {
        return Ok(());
    };
    let (Some(question), Some(proof)) = (consent::question_of(&found), found.proof) else {
        return Ok(());
    };
    if let Some(community) = run.community {
        reply::show_request(services, community, &found, proof.address).await?;
    }
    // A Telegram account gets the question by `arrakis-telegram`.
    let (AccountNetwork::Discord, Some(user)) = (holder.network, Id::new_checked(holder.id)) else {
        return Ok(());
    };
    let guild = run.community.map(Community::guild);
    let calls = services.discord.interactive(guild);
    let message = NoncedMessage {
        services,
        community: run.community.map(Community::id),
        guild,
        key: run.id,
    };
    let sent = message
        .send(|nonce| async move { calls.send_dm(user, &question, nonce).await.map(drop) })
        .await?;
    if let NoncedOutcome::Refused(error) = sent {
        log_refusal(&error);
        if let Ok(holder) = UserId::new(holder.id) {
            consent::remind(services, holder, found.expires_at, now).await;
        }
    }
    Ok(())
}

fn log_refusal(error: &Error) {
    match error {
        Error::Forbidden { .. } => {
            tracing::info!(%error, "the question to a holder was refused: the user accepts no direct messages of the bot");
        }
        error => tracing::warn!(%error, "the question to a holder was not delivered"),
    }
}
