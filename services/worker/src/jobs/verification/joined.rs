//! The message to a Discord account whose identity a Telegram account has joined: a direct message with the button that undoes it.

use arrakis_discord::Error;
use arrakis_domain::Address;
use arrakis_verification::{Account, AccountNetwork};
use twilight_model::id::Id;

use super::Run;
use crate::failure::Failure;
use crate::interaction::reply::message;
use crate::nonced_message::{NoncedMessage, NoncedOutcome};
use crate::render::joined::joined;

/// Sends the Discord account `recipient` a direct message that the Telegram account `account` has joined its identity by a signature of
/// the wallet `address`. A user who accepts no direct messages finds the account in `/verify status`.
pub(super) async fn send(run: Run<'_>, recipient: Account, account: Account, address: Address) -> Result<(), Failure> {
    let services = run.services;
    let (AccountNetwork::Discord, Some(user)) = (recipient.network, Id::new_checked(recipient.id)) else {
        return Ok(());
    };
    let (embed, buttons) = joined(account.id, address);
    let text = message(embed, buttons);
    let calls = services.discord.interactive(None);
    let key = format!("{}:joined", run.id);
    let nonced = NoncedMessage {
        services,
        community: None,
        guild: None,
        key: &key,
    };
    let sent = nonced
        .send(|nonce| async move { calls.send_dm(user, &text, nonce).await.map(drop) })
        .await?;
    match sent {
        NoncedOutcome::Refused(error @ Error::Forbidden { .. }) => {
            tracing::info!(%error, "the direct message about a joined Telegram account was refused: the member accepts none from the bot");
        }
        NoncedOutcome::Refused(error) => {
            tracing::warn!(%error, "the message about a joined Telegram account was not delivered");
        }
        NoncedOutcome::Sent | NoncedOutcome::Unknown => {}
    }
    Ok(())
}
