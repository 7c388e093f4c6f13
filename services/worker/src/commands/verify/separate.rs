//! The button that unlinks the Telegram account: the accounts of the member's identity are separated.
//!
//! A second run finds one account, and replies that none is linked.

use arrakis_contracts::JobKind;
use arrakis_verification::Unlinking;
use twilight_model::channel::message::Embed;

use super::{CommandContext, failed, verification};
use crate::consent;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::{CommandError, CommandResult, Reply, message};
use crate::jobs::{self, JobOwner};
use crate::render::joined::{not_joined, separated};

/// Separates the Discord and the Telegram account of the member who pressed the button, and replies with the result.
pub(super) async fn run(context: &CommandContext<'_>) -> CommandResult {
    let embed = context.without_tx(Box::pin(separate(context))).await??;
    Ok(Reply::Message(message(embed, Vec::new())))
}

async fn separate(context: &CommandContext<'_>) -> Result<Embed, CommandError> {
    let services = context.services;
    let account = consent::account(context.invocation.author.id);
    let result = verification(services)?.separate(account, services.now()).await;
    match result.map_err(failed)? {
        Unlinking::Done(job) => {
            jobs::publish(&services.publisher, JobOwner::Platform, &job.id, JobKind::Verification).await;
            Ok(separated())
        }
        Unlinking::Nothing | Unlinking::InDiscord | Unlinking::VerifiedAgain => Ok(not_joined()),
        Unlinking::Suspended => Err(Refusal::new(
            "Your account is suspended, so its accounts and wallets stay as they are.",
            "Ask the admins of the server about the suspension.",
        )
        .into()),
    }
}
