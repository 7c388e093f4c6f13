//! `/mfa`: a member sets up a second factor, sees its state, replaces its backup codes, and removes it.
//!
//! Secrets and backup codes are shown in ephemeral replies only. The first code confirms a secret; new backup codes and the removal need a
//! code, for which the guard of the pipeline asks. A second run of a confirmation or a replacement shows other backup codes than the first
//! one, which the member may not have seen; those of the first do not work any more.

use arrakis_db::mfa::{MfaOutcome, confirm};
use arrakis_db::{Actor, CommunityId, NewAuditEntry, UserId};
use arrakis_security::mfa::{BackupCode, ProtectedOperation, SecretCipher, Totp};
use serde_json::json;
use twilight_model::http::attachment::Attachment;
use twilight_util::builder::command::SubCommandBuilder;

use super::{
    Command, CommandContext, CommandScope, ComponentRule, Definition, MfaRule, ResponseMode, outdated_component,
};
use crate::community::user_id;
use crate::failure::Failure;
use crate::interaction::invocation::InvocationData;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::{CommandResult, Reply, message};
use crate::render::mfa::{self, CODE_FIELD, CODES, CONFIRM, ENTER, FILE_NAME, NAME, REMOVE};
use crate::render::qr;

/// The command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mfa;

impl Command for Mfa {
    fn definition(&self) -> Definition {
        Definition::new(NAME, "Your second factor, which commands that can do much harm need")
            .option(SubCommandBuilder::new(
                "enrol",
                "Set up a second factor with an authenticator app",
            ))
            .option(SubCommandBuilder::new(
                "status",
                "Whether you have one; new backup codes, and the removal",
            ))
            .always_open()
            .requires_mfa(MfaRule {
                operation: ProtectedOperation::MfaReset,
                reads: &[ENTER, CONFIRM],
            })
            // A modal must be the first response.
            .component_rules(&[ComponentRule {
                argument: ENTER,
                response: ResponseMode::Modal,
                scope: CommandScope::Community,
            }])
    }

    async fn run(&self, context: &CommandContext<'_>) -> CommandResult {
        let InvocationData::Command { options, .. } = &context.invocation.data else {
            return Err(Failure::permanent("a command without options").into());
        };
        match options.subcommand() {
            Some("enrol") => enrol(context).await,
            _ => status(context).await,
        }
    }

    async fn component(&self, context: &CommandContext<'_>, arguments: &[&str]) -> CommandResult {
        match arguments {
            [ENTER] => Ok(Reply::Modal(mfa::confirm_modal())),
            [CODES] => replace_codes(context).await,
            [REMOVE] => remove(context).await,
            _ => Err(outdated_component().into()),
        }
    }

    async fn modal_submit(&self, context: &CommandContext<'_>, arguments: &[&str]) -> CommandResult {
        let (InvocationData::ModalSubmit { fields, .. }, [CONFIRM]) = (&context.invocation.data, arguments) else {
            return Err(outdated_component().into());
        };
        let code = fields.get(CODE_FIELD).map_or("", |code| code.trim());
        confirm_first(context, code).await
    }
}

/// The key of secrets, or the refusal that there is none: a development deployment permits protected commands without it.
fn cipher<'a>(context: &CommandContext<'a>) -> Result<&'a SecretCipher, Refusal> {
    context.services.mfa.as_ref().ok_or_else(|| {
        Refusal::new(
            "Second factors are not configured here.",
            "Ask the operator of this bot to set `MFA_ENCRYPTION_KEY`.",
        )
    })
}

/// Stores a new secret, in place of one that was not confirmed, and shows it.
async fn enrol(context: &CommandContext<'_>) -> CommandResult {
    let user = user_id(context.invocation.author.id)?;
    let totp = Totp::generate();
    let sealed = cipher(context)?.seal(user.get(), totp.secret());
    let sealed = sealed.map_err(Failure::permanent)?;
    let begun = context
        .tx()
        .await?
        .mfa()
        .begin(user, &sealed, context.services.now())
        .await?;
    if !begun {
        return Err(Refusal::new(
            "You have a second factor already.",
            "Remove it first: `/mfa status` has the button.",
        )
        .into());
    }
    // The reply shows the secret, so it is stored before.
    context.without_tx(std::future::ready(())).await?;
    let image = qr::image(&totp.address(&context.invocation.author.name)).map_err(Failure::permanent)?;
    let (embed, buttons) = mfa::enrolment(&context.render_context()?, &totp.secret_text());
    let mut reply = message(embed, buttons);
    let mut attachment = Attachment::from_bytes(FILE_NAME.to_owned(), image, 0);
    attachment.description("QR code for an authenticator app".to_owned());
    reply.attachments = Some(vec![attachment]);
    Ok(Reply::Message(reply))
}

/// Confirms the secret by its first code, and shows backup codes.
async fn confirm_first(context: &CommandContext<'_>, code: &str) -> CommandResult {
    let cipher = cipher(context)?;
    let user = user_id(context.invocation.author.id)?;
    let community = context.community()?.id();
    let codes = BackupCode::generate_all();
    let confirming = Box::pin(confirm_once(context, community, cipher, user, code, &codes));
    match context.without_tx(confirming).await?? {
        MfaOutcome::Accepted => {}
        MfaOutcome::NotEnrolled => {
            return Err(Refusal::new(
                "There is no code to confirm: it was confirmed or replaced.",
                "`/mfa status` shows whether you have a second factor.",
            )
            .into());
        }
        outcome => {
            let (what, next) = mfa::refused(outcome);
            return Err(Refusal::new(what, next).into());
        }
    }
    // Without the QR code, which the message has had.
    let mut reply = message(mfa::backup_codes(&context.render_context()?, &codes, true), Vec::new());
    reply.attachments = Some(Vec::new());
    Ok(Reply::Message(reply))
}

/// In a transaction of its own: a wrong code is counted although the interaction is refused. The code is used up, so a second delivery is
/// recognised by its claim.
async fn confirm_once(
    context: &CommandContext<'_>,
    community: CommunityId,
    cipher: &SecretCipher,
    user: UserId,
    code: &str,
    codes: &[BackupCode],
) -> Result<MfaOutcome, Failure> {
    let services = context.services;
    let claim = format!("mfa:{}", context.invocation.id);
    let mut tx = services.database.tenant(community).await?;
    let was_accepted = !tx.claim_ages(std::slice::from_ref(&claim)).await?.is_empty();
    let outcome = if was_accepted {
        MfaOutcome::Accepted
    } else {
        confirm(&mut tx, cipher, user, code, services.now()).await?
    };
    if outcome == MfaOutcome::Accepted {
        tx.claim(&claim).await?;
        tx.mfa().replace_backup_codes(cipher, user, codes).await?;
    }
    tx.commit().await?;
    Ok(outcome)
}

async fn status(context: &CommandContext<'_>) -> CommandResult {
    cipher(context)?;
    let user = user_id(context.invocation.author.id)?;
    let status = context.tx().await?.mfa().status(user).await?;
    let (embed, buttons) = mfa::status(&context.render_context()?, status.as_ref());
    Ok(Reply::Message(message(embed, buttons)))
}

/// Replaces all backup codes. The guard has accepted a code.
async fn replace_codes(context: &CommandContext<'_>) -> CommandResult {
    let cipher = cipher(context)?;
    let user = user_id(context.invocation.author.id)?;
    let codes = BackupCode::generate_all();
    {
        let mut tx = context.tx().await?;
        if !tx.mfa().replace_backup_codes(cipher, user, &codes).await? {
            let (what, next) = mfa::refused(MfaOutcome::NotEnrolled);
            return Err(Refusal::new(what, next).into());
        }
        if tx.claim(&format!("{NAME}:codes:{}", context.invocation.id)).await? {
            tx.audit(&entry(context, user, "mfa.backup_codes", &user.to_string()))
                .await?;
        }
    }
    context.without_tx(std::future::ready(())).await?;
    let embed = mfa::backup_codes(&context.render_context()?, &codes, false);
    Ok(Reply::Message(message(embed, Vec::new())))
}

/// Removes the second factor. The guard has accepted a code.
async fn remove(context: &CommandContext<'_>) -> CommandResult {
    let user = user_id(context.invocation.author.id)?;
    {
        let mut tx = context.tx().await?;
        // A second run finds none.
        if tx.mfa().remove(user).await? {
            tx.audit(&entry(context, user, "mfa.remove", &user.to_string())).await?;
        }
    }
    context.without_tx(std::future::ready(())).await?;
    Ok(Reply::Message(message(
        mfa::removed(&context.render_context()?),
        Vec::new(),
    )))
}

fn entry<'a>(context: &CommandContext<'_>, user: UserId, action: &'a str, subject: &'a str) -> NewAuditEntry<'a> {
    NewAuditEntry {
        actor: Actor::Member(user),
        action,
        subject,
        reason: None,
        detail: json!({"mfa": context.mfa}),
    }
}
