//! Replies with a command's result: after a defer by an edit, which may be repeated, or a follow-up; without one by the first response.

use arrakis_broker::Verdict;
use arrakis_discord::{Error, Result as CallResult};

use super::deliver::{deliver, finish_response, respond_with_refusal};
use super::failures::{deferred_failed, immediate_failed};
use super::in_flight::InFlight;
use super::received::Handled;
use crate::at_most_once::SendOutcome;
use crate::commands::CommandEntry;
use crate::failure::Failure;
use crate::interaction::reply::{CommandError, CommandResult, Reply, ephemeral};

/// Replies to a deferred interaction.
pub(super) async fn reply(in_flight: InFlight<'_>, entry: &CommandEntry, result: CommandResult) -> Handled {
    let (message, outcome, for_member_only) = match result {
        Ok(Reply::Message(message)) => (message, "answered", false),
        Ok(Reply::Private(message)) => (message, "answered", true),
        Err(CommandError::Refused(refusal)) => (refusal.message(), "refused", true),
        Ok(Reply::Modal(_)) => {
            let why = Failure::permanent("a deferred command replied with a modal");
            return deferred_failed(in_flight, entry, why).await;
        }
        Err(CommandError::Failed(failure)) => return deferred_failed(in_flight, entry, failure).await,
    };
    if !in_flight.received.deadline.token_lives() {
        return token_expired(in_flight);
    }
    let sent = deliver(in_flight, entry, message, for_member_only, "answer").await;
    finish_reply(in_flight, entry, sent, outcome).await
}

async fn finish_reply(
    in_flight: InFlight<'_>,
    entry: &CommandEntry,
    sent: CallResult<SendOutcome>,
    outcome: &'static str,
) -> Handled {
    match sent {
        Ok(SendOutcome::Unknown) => Handled::done("unknown"),
        Ok(SendOutcome::InProgress) => {
            Handled::retry("another copy of this message may be sending the reply at this moment")
        }
        Ok(SendOutcome::Sent) => {
            let age = in_flight.received.deadline.age();
            let answer = &in_flight.services.metrics.answer;
            answer
                .with_label_values(&[entry.definition.name])
                .observe(age.as_secs_f64());
            Handled::done(outcome)
        }
        // Somebody deleted the message, or the token expired meanwhile.
        Err(Error::Gone { .. }) => Handled::done("gone"),
        Err(Error::TokenExpired) => token_expired(in_flight),
        Err(error) => deferred_failed(in_flight, entry, error.into()).await,
    }
}

/// Responds to an interaction without a defer: the reply is the first response.
pub(super) async fn respond(in_flight: InFlight<'_>, result: CommandResult) -> Handled {
    let received = in_flight.received;
    let invocation = &received.invocation;
    let (id, token) = (invocation.id, &invocation.token);
    let calls = received.calls.clone().within(received.deadline.response_left());
    let sent = match result {
        Ok(Reply::Modal(modal)) => calls.modal(id, token, modal).await,
        Ok(Reply::Message(message)) if invocation.kind() == "component" => calls.update(id, token, message).await,
        Ok(Reply::Message(message)) => calls.reply(id, token, message).await,
        Ok(Reply::Private(message)) => calls.reply(id, token, ephemeral(message)).await,
        Err(CommandError::Refused(refusal)) => return respond_with_refusal(in_flight, &refusal, "refused").await,
        Err(CommandError::Failed(failure)) => return immediate_failed(in_flight, failure).await,
    };
    finish_response(in_flight, sent).await
}

fn token_expired(in_flight: InFlight<'_>) -> Handled {
    in_flight.services.metrics.too_late.inc();
    tracing::warn!("the reply is not sent: the interaction's token expired after fifteen minutes");
    Handled {
        outcome: "too_late",
        verdict: Verdict::Drop {
            why: "the interaction's token has expired".to_owned(),
        },
    }
}
