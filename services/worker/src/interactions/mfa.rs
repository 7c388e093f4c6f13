//! The guard of commands that need a second factor: who has none is refused, a protected button is answered by a modal that asks for a code,
//! and a protected modal is handled when its code is accepted.
//!
//! A code is accepted once, so a message that is delivered again needs to know that its code was accepted: the acceptance and a claim of
//! the interaction commit together, and a failure is committed although the command is refused.

use arrakis_db::CommunityId;
use arrakis_db::mfa::{MfaOutcome, verify};
use arrakis_security::mfa::{ProtectedOperation, SecretCipher};
use twilight_model::http::interaction::InteractionResponseData;

use crate::commands::{CommandContext, Definition, MfaNeed, outdated_component};
use crate::community::user_id;
use crate::failure::Failure;
use crate::interaction::invocation::InvocationData;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::CommandError;
use crate::render::mfa::{self, CODE_FIELD};

/// Longest custom id at Discord, in characters: <https://discord.com/developers/docs/components/reference#anatomy-of-a-component-custom-id>.
const MAX_CUSTOM_ID: usize = 100;

/// The result of the check for a code of a second factor.
#[derive(Debug)]
pub(super) enum Guarded {
    /// The interaction needs no code.
    Open,
    /// The interaction needs a code, and the one that the member entered was accepted.
    Accepted,
    /// The interaction needs a code and has none: the reply is this modal, in which the member enters it.
    Ask(Box<InteractionResponseData>),
}

/// Checks whether an interaction needs a code of the member's second factor, and the code that it has.
///
/// # Errors
/// The refusal of a member without a second factor or with a wrong code, or a failure of Postgres.
pub(super) async fn check(context: &CommandContext<'_>, definition: &Definition) -> Result<Guarded, CommandError> {
    let Some(rule) = definition.requires_mfa.filter(|_| context.asks_for_codes()) else {
        return Ok(Guarded::Open);
    };
    let data = &context.invocation.data;
    match (definition.mfa_need(data), data) {
        // Refused before anything is filled in. A second factor is set up without one.
        (None, InvocationData::Command { .. }) if rule.operation != ProtectedOperation::MfaReset => {
            require_enrolment(context).await?;
            Ok(Guarded::Open)
        }
        (None, _) => Ok(Guarded::Open),
        (Some(MfaNeed::Ask), InvocationData::Component { custom_id, .. }) => {
            require_enrolment(context).await?;
            let modal = mfa::guard_modal(custom_id).filter(|modal| {
                let id = modal.custom_id.as_deref().unwrap_or_default();
                id.chars().count() <= MAX_CUSTOM_ID
            });
            Ok(Guarded::Ask(Box::new(modal.ok_or_else(outdated_component)?)))
        }
        (Some(MfaNeed::Check), InvocationData::ModalSubmit { fields, .. }) => {
            let code = fields.get(CODE_FIELD).map_or("", |code| code.trim());
            accept(context, rule.operation, code).await?;
            Ok(Guarded::Accepted)
        }
        (Some(_), _) => Err(Failure::permanent("an interaction that cannot have a code needs one").into()),
    }
}

/// Refuses a member who has no second factor.
async fn require_enrolment(context: &CommandContext<'_>) -> Result<(), CommandError> {
    let user = user_id(context.invocation.author.id)?;
    let status = context.tx().await?.mfa().status(user).await?;
    if status.is_some_and(|status| status.is_enrolled()) {
        return Ok(());
    }
    Err(refusal(MfaOutcome::NotEnrolled).into())
}

/// Accepts a code, once for each interaction.
async fn accept(context: &CommandContext<'_>, operation: ProtectedOperation, code: &str) -> Result<(), CommandError> {
    let Some(cipher) = &context.services.mfa else {
        return Err(Failure::permanent("a code is to be checked without MFA_ENCRYPTION_KEY").into());
    };
    let community = context.community()?.id();
    let checking = Box::pin(accept_once(context, community, cipher, operation, code));
    match context.without_tx(checking).await?? {
        MfaOutcome::Accepted => Ok(()),
        outcome => Err(refusal(outcome).into()),
    }
}

async fn accept_once(
    context: &CommandContext<'_>,
    community: CommunityId,
    cipher: &SecretCipher,
    operation: ProtectedOperation,
    code: &str,
) -> Result<MfaOutcome, Failure> {
    let services = context.services;
    let user = user_id(context.invocation.author.id)?;
    let claim = format!("mfa:{}", context.invocation.id);
    let mut tx = services.database.tenant(community).await?;
    // An earlier delivery of this interaction.
    if !tx.claim_ages(std::slice::from_ref(&claim)).await?.is_empty() {
        tx.rollback().await?;
        return Ok(MfaOutcome::Accepted);
    }
    let outcome = verify(&mut tx, cipher, user, code, operation, services.now()).await?;
    if outcome == MfaOutcome::Accepted {
        tx.claim(&claim).await?;
    }
    // Whatever the outcome is: a failure that is rolled back is not counted.
    tx.commit().await?;
    Ok(outcome)
}

/// The refusal of a code.
fn refusal(outcome: MfaOutcome) -> Refusal {
    let (what, next) = mfa::refused(outcome);
    Refusal::new(what, next)
}
