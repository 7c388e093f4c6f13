//! The button that unlinks the Telegram account: the accounts of the member's identity are separated.
//!
//! A second run finds one account, and replies that none is linked.

use arrakis_contracts::JobKind;
use arrakis_db::registry::Account;
use arrakis_verification::Unlinking;
use twilight_model::channel::message::Embed;

use super::super::suspension;
use super::{CommandContext, failed, verification};
use crate::community::user_id;
use crate::consent;
use crate::interaction::reply::{CommandError, CommandResult, Reply, message};
use crate::jobs::{self, JobOwner};
use crate::render::joined::{not_joined, separated};
use crate::render::suspended::Suspended;

/// Separates the Discord and the Telegram account of the member who pressed the button, and replies with the result.
pub(super) async fn run(context: &CommandContext<'_>) -> CommandResult {
    let embed = context.without_tx(Box::pin(separate(context))).await??;
    Ok(Reply::Message(message(embed, Vec::new())))
}

/// The suspension of the member who pressed the button, of a server or in a direct message.
async fn suspended(context: &CommandContext<'_>) -> Result<Suspended, CommandError> {
    let user = user_id(context.invocation.author.id)?;
    let services = context.services;
    let mut tx = services.database.global().await?;
    let record = tx.registry().by_account(Account::Discord(user)).await?;
    tx.commit().await?;
    let found = record.and_then(|record| Suspended::of(&record.identity, services.now()));
    Ok(found.unwrap_or(Suspended { until: None }))
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
        Unlinking::Suspended => Err(suspension::refusal(suspended(context).await?).into()),
    }
}
