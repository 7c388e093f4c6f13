//! The buttons by which the holder of a wallet moves it to the account that has signed with it, or keeps it.
//!
//! A second run finds that the session was answered and replies with the state that the first one left.

use arrakis_contracts::JobKind;
use arrakis_db::{DbError, SessionKey, SessionState, VerificationSession};
use arrakis_verification::MoveAnswer;
use twilight_model::channel::message::Embed;
use uuid::Uuid;

use super::{CommandContext, failed, outdated_component, verification};
use crate::community::user_id;
use crate::consent;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::{CommandError, CommandResult, Reply, message};
use crate::jobs::{self, JobOwner, verification::show_refusal};
use crate::render::consent::{AGREE, REFUSE, kept, moved};
use crate::services::Services;

/// Records the answer of the holder who pressed a button of the question. `session` and `answer` are parts of the button's custom id: the
/// requester's session, and `AGREE` or `REFUSE`.
pub(super) async fn answer(context: &CommandContext<'_>, session: &str, answer: &str) -> CommandResult {
    let consents = match answer {
        AGREE => true,
        REFUSE => false,
        _ => return Err(outdated_component().into()),
    };
    let session: Uuid = session.parse().map_err(|_| outdated_component())?;
    let embed = context
        .without_tx(Box::pin(answer_and_publish(context, session, consents)))
        .await??;
    Ok(Reply::Message(message(embed, Vec::new())))
}

async fn answer_and_publish(
    context: &CommandContext<'_>,
    session: Uuid,
    consents: bool,
) -> Result<Embed, CommandError> {
    let services = context.services;
    let verification = verification(services)?;
    let holder = context.invocation.author.id;
    let now = services.now();
    let answer = verification
        .answer_move(session, consent::account(holder), consents, now)
        .await;
    if let MoveAnswer::Moved(progress) = answer.map_err(failed)?
        && let Some(job) = progress.job
    {
        let owner = job.community.map_or(JobOwner::Platform, JobOwner::Community);
        jobs::publish(&services.publisher, owner, &job.id, JobKind::Verification).await;
    }
    let Some(found) = find(services, session).await? else {
        return Err(ended().into());
    };
    let is_holder = found.holder == Some(consent::session_account(user_id(holder)?));
    match (found.state, found.proof) {
        (SessionState::Completed, Some(proof)) if is_holder => Ok(moved(proof.address)),
        (SessionState::Refused, Some(proof)) if is_holder => {
            show_refusal(services, &found, proof.address).await;
            Ok(kept())
        }
        _ => Err(ended().into()),
    }
}

async fn find(services: &Services, session: Uuid) -> Result<Option<VerificationSession>, DbError> {
    let mut tx = services.database.global().await?;
    let found = tx
        .verification_sessions()
        .find(SessionKey::Id(session), services.now())
        .await?;
    tx.commit().await?;
    Ok(found)
}

fn ended() -> Refusal {
    Refusal::new(
        "This request has ended: it was answered, withdrawn, or its time is over.",
        "Your wallets are as `/verify status` shows them in a server.",
    )
}
