//! The decision of a person at Slack.

use arrakis_db::mfa::MfaOutcome;
use arrakis_db::{
    Approval, ApprovalActor, ApprovalState, ApprovalVia, DbError, DecisionAttempt, DecisionCode, DecisionOutcome,
    UserId,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::blocks::{state_text, time_text};
use crate::services::Services;

/// What a person at Slack decides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SlackDecision<'a> {
    /// The approval.
    pub(crate) approval: Uuid,
    /// True: the person approves the plan; false: the person rejects it.
    pub(crate) approves: bool,
    /// Id of the user at Slack.
    pub(crate) user: &'a str,
    /// The code that the user typed, if there was a modal.
    pub(crate) code: Option<&'a str>,
}

/// What the message at Slack shows after a click.
#[derive(Debug)]
pub(crate) enum Decided {
    /// The message shows this approval from now on.
    Show(Box<Approval>),
    /// A modal asks for a code.
    AskForCode(Box<Approval>),
    /// Nothing was decided, for this reason. With the approval, if its message is outdated.
    Refused(String, Option<Box<Approval>>),
}

/// Stores the decision of a person at Slack. A repeated decision changes nothing.
///
/// # Errors
/// When PostgreSQL is unavailable.
pub(crate) async fn decide(services: &Services, decision: SlackDecision<'_>) -> Result<Decided, DbError> {
    let Some(person) = services.approvals.people.by_slack(decision.user) else {
        tracing::warn!(
            user = decision.user,
            approval = %decision.approval,
            "a click on an approval was refused: the user is not in APPROVAL_PEOPLE"
        );
        return Ok(refused(
            "You may not decide about plans: APPROVAL_PEOPLE has no entry with your account.",
        ));
    };
    let attempt = DecisionAttempt {
        approval: decision.approval,
        approves: decision.approves,
        actor: ApprovalActor {
            name: &person.name,
            via: ApprovalVia::Slack,
            account: decision.user,
        },
    };
    let user = person.discord.and_then(|id| UserId::new(id).ok());
    let code = match (decision.code, user, &services.mfa) {
        (None, _, _) => None,
        (Some(code), Some(user), Some(cipher)) => Some(DecisionCode {
            cipher,
            user,
            code,
            now: OffsetDateTime::now_utc(),
        }),
        (Some(_), _, _) => return Ok(refused(NO_SECOND_FACTOR)),
    };
    let _check = match &code {
        Some(code) => Some(services.code_checks.begin(code.user).await),
        None => None,
    };
    let mut tx = services.database.global().await?;
    let mut outcome = tx.attempt_decision(attempt, code).await?;
    if let (Some(user), Some(_)) = (user, &services.mfa) {
        outcome = tx.refuse_without_second_factor(outcome, user).await?;
    }
    // Also a refusal is recorded, and the use of a code.
    tx.commit().await?;
    Ok(match outcome {
        DecisionOutcome::Decided(approval) => Decided::Show(approval),
        DecisionOutcome::Ended(approval) if is_by(&approval, &person.name, decision.approves) => {
            Decided::Show(approval)
        }
        DecisionOutcome::Ended(approval) => Decided::Refused(state_text(&approval), Some(approval)),
        DecisionOutcome::OwnRequest(_) => refused("You requested this plan, so somebody else has to decide."),
        DecisionOutcome::NeedsCode(_) if user.is_none() || services.mfa.is_none() => refused(NO_SECOND_FACTOR),
        DecisionOutcome::NeedsCode(approval) => Decided::AskForCode(approval),
        DecisionOutcome::CodeRefused(outcome) => refused(&code_text(outcome)),
        DecisionOutcome::Unknown => refused("This approval does not exist any more."),
    })
}

/// The approval needs a code, and this person cannot give one.
const NO_SECOND_FACTOR: &str = "A plan of this risk needs a second factor, which belongs to a Discord account: APPROVAL_PEOPLE has none for you, or \
                                MFA_ENCRYPTION_KEY is not set.";

fn refused(reason: &str) -> Decided {
    Decided::Refused(reason.to_owned(), None)
}

/// Whether this person made this decision before: the click was repeated.
fn is_by(approval: &Approval, name: &str, approves: bool) -> bool {
    let state = if approves {
        ApprovalState::Approved
    } else {
        ApprovalState::Rejected
    };
    approval.state == state
        && approval
            .decision
            .as_ref()
            .is_some_and(|decision| decision.actor == name)
}

fn code_text(outcome: MfaOutcome) -> String {
    match outcome {
        MfaOutcome::NotEnrolled => {
            "You have no second factor yet: set one up by /mfa enrol at Discord, then press the button again."
                .to_owned()
        }
        MfaOutcome::Wrong { attempts_left: 1 } => "The code is wrong; 1 further attempt is left.".to_owned(),
        MfaOutcome::Wrong { attempts_left } => format!("The code is wrong; {attempts_left} further attempts are left."),
        MfaOutcome::Replayed => "This code was used before; wait for the next one.".to_owned(),
        MfaOutcome::Throttled { until } => format!("Too many codes were wrong; try again after {}.", time_text(until)),
        MfaOutcome::Accepted => "The code was accepted, and nothing was decided.".to_owned(),
    }
}
