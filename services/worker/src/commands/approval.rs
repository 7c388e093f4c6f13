//! The buttons of an approval, in the channel of `DISCORD_APPROVALS_CHANNEL`. There is no slash command of this name.
//!
//! Who may decide is in `APPROVAL_PEOPLE`, whatever permissions a member has. A second run finds that the approval is decided, and shows it.

use arrakis_db::mfa::MfaOutcome;
use arrakis_db::{Approval, ApprovalActor, ApprovalState, ApprovalVia, DecisionAttempt, DecisionCode, DecisionOutcome};
use uuid::Uuid;

use super::{Command, CommandContext, CommandScope, ComponentRule, Definition, ResponseMode, outdated_component};
use crate::community::user_id;
use crate::interaction::invocation::InvocationData;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::{CommandError, CommandResult, Reply};
use crate::render::approval::{APPROVE, ASK, CODE, NAME, REJECT, code_modal, message, state_text};
use crate::render::text;

/// The components.
#[derive(Debug, Clone, Copy)]
pub(super) struct Approvals;

impl Command for Approvals {
    fn definition(&self) -> Definition {
        Definition::new(NAME, "Decisions about plans of infrastructure")
            // The channel may be in a server that is not onboarded.
            .scope(CommandScope::Anywhere)
            .component_rules(&[ComponentRule {
                argument: ASK,
                // A modal must be the first response.
                response: ResponseMode::Modal,
                scope: CommandScope::Anywhere,
            }])
    }

    async fn run(&self, _: &CommandContext<'_>) -> CommandResult {
        Err(outdated_component().into())
    }

    async fn component(&self, context: &CommandContext<'_>, arguments: &[&str]) -> CommandResult {
        let (approval, approves) = match arguments {
            [ASK | APPROVE, approval] => (parse(approval)?, true),
            [REJECT, approval] => (parse(approval)?, false),
            _ => return Err(outdated_component().into()),
        };
        let outcome = decide(context, approval, approves, None).await?;
        match outcome {
            DecisionOutcome::NeedsCode(approval) if arguments[0] == ASK => Ok(Reply::Modal(code_modal(&approval))),
            // The message is of another build, or somebody has made the press up.
            DecisionOutcome::NeedsCode(_) => Err(outdated_component().into()),
            DecisionOutcome::Decided(_) | DecisionOutcome::Ended(_) if arguments[0] == ASK => {
                // The first response may be a modal only: the leader edits the message.
                Err(refusal_of(outcome).into())
            }
            outcome => show(outcome),
        }
    }

    async fn modal_submit(&self, context: &CommandContext<'_>, arguments: &[&str]) -> CommandResult {
        let ([CODE, approval], InvocationData::ModalSubmit { fields, .. }) = (arguments, &context.invocation.data)
        else {
            return Err(outdated_component().into());
        };
        let code = fields.get(CODE).map_or("", |code| code.trim());
        show(decide(context, parse(approval)?, true, Some(code)).await?)
    }
}

fn parse(approval: &str) -> Result<Uuid, Refusal> {
    approval.parse().map_err(|_| outdated_component())
}

/// Decides for the member who pressed the button.
async fn decide(
    context: &CommandContext<'_>,
    approval: Uuid,
    approves: bool,
    code: Option<&str>,
) -> Result<DecisionOutcome, CommandError> {
    let services = context.services;
    let author = context.invocation.author.id;
    let Some(person) = services.approvals.config.people.by_discord(author.get()) else {
        tracing::warn!(user.id = %author, %approval, "a press on an approval was refused: the user is not in APPROVAL_PEOPLE");
        return Err(Refusal::new(
            "You may not decide about plans: `APPROVAL_PEOPLE` has no entry with your account.",
            "Ask a person who may; the operator of this bot sets it.",
        )
        .into());
    };
    let user = user_id(author)?;
    let code = match (code, &services.mfa) {
        (None, _) => None,
        (Some(code), Some(cipher)) => Some(DecisionCode {
            cipher,
            user,
            code,
            now: services.now(),
        }),
        (Some(_), None) => return Err(not_configured().into()),
    };
    let account = author.to_string();
    let attempt = DecisionAttempt {
        approval,
        approves,
        actor: ApprovalActor {
            name: &person.name,
            via: ApprovalVia::Discord,
            account: &account,
        },
    };
    let work = async {
        let mut tx = services.database.global().await?;
        let mut outcome = tx.attempt_decision(attempt, code).await?;
        if services.mfa.is_some() {
            outcome = tx.refuse_without_second_factor(outcome, user).await?;
        }
        // Also a refusal is recorded, and the use of a code.
        tx.commit().await?;
        Ok::<_, arrakis_db::DbError>(outcome)
    };
    let outcome = context.without_tx(Box::pin(work)).await??;
    match outcome {
        DecisionOutcome::NeedsCode(_) if services.mfa.is_none() => Err(not_configured().into()),
        outcome => Ok(outcome),
    }
}

fn not_configured() -> Refusal {
    Refusal::new(
        "A plan of this risk needs a second factor, which is not configured here: `MFA_ENCRYPTION_KEY` is not set.",
        "Nothing was decided. Ask the operator of this bot.",
    )
}

/// The reply: the message as it is now, or why nothing was decided.
fn show(outcome: DecisionOutcome) -> CommandResult {
    match outcome {
        DecisionOutcome::Decided(approval) => Ok(Reply::Message(message(&approval))),
        DecisionOutcome::Ended(approval) if is_decided(&approval) => Ok(Reply::Message(message(&approval))),
        outcome => Err(refusal_of(outcome).into()),
    }
}

/// Whether there is a decision: the time of a pending one is over, and the leader has not ended it yet.
fn is_decided(approval: &Approval) -> bool {
    approval.state != ApprovalState::Pending
}

fn refusal_of(outcome: DecisionOutcome) -> Refusal {
    match outcome {
        DecisionOutcome::Decided(approval) | DecisionOutcome::Ended(approval) => {
            Refusal::new(state_text(&approval), "The message shows the decision in a moment.")
        }
        DecisionOutcome::OwnRequest(_) => Refusal::new(
            "You requested this plan, so somebody else has to decide.",
            "Ask another person of `APPROVAL_PEOPLE`.",
        ),
        DecisionOutcome::NeedsCode(_) => Refusal::new(
            "This plan needs a code of your second factor.",
            "Press the button of the newest message about it.",
        ),
        DecisionOutcome::CodeRefused(refused) => code_refusal(refused),
        DecisionOutcome::Unknown => Refusal::new(
            "This approval does not exist any more.",
            "Run the pipeline again for a new one.",
        ),
    }
}

fn code_refusal(outcome: MfaOutcome) -> Refusal {
    let nothing = "Nothing was decided. Press the button again.";
    match outcome {
        MfaOutcome::NotEnrolled => Refusal::new(
            "You have no second factor yet.",
            "Set one up by `/mfa enrol`, then press the button again.",
        ),
        MfaOutcome::Wrong { attempts_left } => Refusal::new(
            format!(
                "The code is wrong; {} left.",
                text::count(attempts_left, "further attempt is", "further attempts are")
            ),
            nothing,
        ),
        MfaOutcome::Replayed => Refusal::new(
            "This code was used before.",
            "Wait for the next code, and press the button again.",
        ),
        MfaOutcome::Throttled { until } => Refusal::new(
            format!(
                "Too many codes were wrong; codes are checked again at {}.",
                text::date_and_time(until)
            ),
            "Nothing was decided. If these were not your attempts, tell the operator of this bot.",
        ),
        MfaOutcome::Accepted => Refusal::new("The code was accepted, and nothing was decided.", nothing),
    }
}
