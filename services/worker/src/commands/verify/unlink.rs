//! `/verify unlink`: replies with a button for each wallet, and removes the wallet whose button is pressed.
//!
//! The removal and the job that follows it commit together. A second run finds that the wallet is not held any more and replies with
//! the same text.

use arrakis_contracts::JobKind;
use arrakis_db::registry::{
    Account as RegistryAccount, Cause, EventSource, Identity, IdentityRecord, Refusal as RegistryRefusal, RegistryError,
};
use arrakis_db::{CommunityId, NewJob, UserId};
use arrakis_domain::Address;
use arrakis_verification::{Account, VerificationJob};
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::suspension::{self, refuse_suspended};
use super::{CommandContext, identity, outdated_component, wallets};
use crate::community::user_id;
use crate::consent;
use crate::failure::Failure;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::{CommandError, CommandResult, Reply, message};
use crate::jobs::{self, JobOwner};
use crate::render::suspended::Suspended;
use crate::render::verify;
use crate::services::Services;

/// Reason of the event in the registry.
const REASON: &str = "unlinked by the member with /verify unlink";

/// Replies with a button for each wallet of the member.
pub(super) async fn show_choices(context: &CommandContext<'_>) -> CommandResult {
    let user = user_id(context.invocation.author.id)?;
    refuse_suspended(context, user).await?;
    let wallets = wallets(identity(context, user).await?.as_ref());
    if wallets.is_empty() {
        return Err(Refusal::new("No wallet is linked to you.", "`/verify start` links one.").into());
    }
    let (embed, buttons) = verify::unlink(&context.render_context()?, &wallets);
    Ok(Reply::Message(message(embed, buttons)))
}

/// Replies that nothing was changed.
pub(super) fn keep(context: &CommandContext<'_>) -> CommandResult {
    let embed = verify::kept(&context.render_context()?);
    Ok(Reply::Message(message(embed, Vec::new())))
}

/// Unlinks a wallet of the member who pressed the button.
pub(super) async fn unlink(context: &CommandContext<'_>, address: &str) -> CommandResult {
    let address: Address = address.parse().map_err(|_| outdated_component())?;
    let user = user_id(context.invocation.author.id)?;
    let community = context.community()?.id();
    let account = consent::account(context.invocation.author.id);
    let removing = remove(context.services, community, (user, account), address);
    context.without_tx(Box::pin(removing)).await??;
    let record = identity(context, user).await?;
    let primary = record
        .as_ref()
        .and_then(IdentityRecord::primary)
        .map(|wallet| wallet.address);
    let embed = verify::unlinked(&context.render_context()?, address, primary);
    Ok(Reply::Message(message(embed, Vec::new())))
}

/// Removes the wallet from the member's identity and enqueues the job, in one transaction.
async fn remove(
    services: &Services,
    community: CommunityId,
    (user, account): (UserId, Account),
    address: Address,
) -> Result<(), CommandError> {
    let now = services.now();
    let cause = Cause {
        source: EventSource::DiscordVerification,
        at: now,
    };
    let mut tx = services.database.tenant(community).await?;
    let Some(record) = tx.registry().by_account(RegistryAccount::Discord(user)).await? else {
        return Ok(());
    };
    match tx
        .registry()
        .remove_wallet(record.identity.id, address, REASON, cause)
        .await
    {
        Ok(()) => {}
        Err(RegistryError::Refused(RegistryRefusal::WalletNotHeld)) => return Ok(()),
        Err(error) => return Err(refused(error, &record.identity, now)),
    }
    let job = VerificationJob::Unlinked {
        removal: Uuid::now_v7(),
        account,
        address,
    };
    let id = job.id();
    let new = NewJob {
        id: &id,
        kind: JobKind::Verification.name(),
        payload: serde_json::to_value(&job).map_err(Failure::permanent)?,
        due_at: now,
    };
    tx.jobs().enqueue(&new).await?;
    tx.commit().await?;
    jobs::publish(
        &services.publisher,
        JobOwner::Community(community),
        &id,
        JobKind::Verification,
    )
    .await;
    Ok(())
}

fn refused(error: RegistryError, identity: &Identity, now: OffsetDateTime) -> CommandError {
    match error {
        RegistryError::Refused(RegistryRefusal::Suspended) => {
            // Without one here, the suspension began after the identity was read.
            let suspended = Suspended::of(identity, now).unwrap_or(Suspended { until: None });
            suspension::refusal(suspended).into()
        }
        RegistryError::Refused(refusal) => Failure::permanent(refusal).into(),
        RegistryError::Db(error) => Failure::from(error).into(),
    }
}
