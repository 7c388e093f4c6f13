//! Replies with a command's result: after a defer by an edit, which may be repeated, or a follow-up; without one by the first response.

use arrakis_discord::{Error, Result as CallResult};
use twilight_model::http::interaction::InteractionResponseData;

use super::deliver::{FollowUp, deliver, edit_original, finish_response, respond_with_refusal};
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
    if !in_flight.received.deadline.token_is_valid() {
        return token_expired(in_flight);
    }
    let sent = deliver(in_flight, entry, message, for_member_only, FollowUp::Reply).await;
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
            let reply_seconds = &in_flight.services.metrics.reply;
            reply_seconds
                .with_label_values(&[entry.definition.name])
                .observe(age.as_secs_f64());
            Handled::done(outcome)
        }
        // A user deleted the message, or the token expired meanwhile.
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
    let calls = received.calls.clone().within(received.response_limit());
    let (message, is_update) = match result {
        Ok(Reply::Modal(modal)) => {
            let sent = calls.modal(id, token, modal).await;
            return finish_response(in_flight, sent).await;
        }
        Ok(Reply::Message(message)) => (message, invocation.kind() == "component"),
        Ok(Reply::Private(message)) => (ephemeral(message), false),
        Err(CommandError::Refused(refusal)) => return respond_with_refusal(in_flight, &refusal, "refused").await,
        Err(CommandError::Failed(failure)) => return immediate_failed(in_flight, failure).await,
    };
    let replayed = received.is_replayed().then(|| message.clone());
    let sent = if is_update {
        calls.update(id, token, message).await
    } else {
        calls.reply(id, token, message).await
    };
    match (sent, replayed) {
        // The first response was the notice that the command had failed.
        (Err(Error::AlreadyAcknowledged), Some(message)) => replace_notice(in_flight, message).await,
        (sent, _) => finish_response(in_flight, sent).await,
    }
}

/// Puts the reply of a replayed command in place of the notice that its member was shown.
async fn replace_notice(in_flight: InFlight<'_>, message: InteractionResponseData) -> Handled {
    let received = in_flight.received;
    if !received.deadline.token_is_valid() {
        return token_expired(in_flight);
    }
    match edit_original(in_flight, &message).await {
        Ok(_) => Handled::done("answered"),
        Err(Error::Gone { .. }) => Handled::done("gone"),
        Err(Error::TokenExpired) => token_expired(in_flight),
        Err(error) if error.is_transient() && received.retry_is_in_time() => {
            Handled::retry(format!("replacing the notice: {error}"))
        }
        Err(error) => Handled::refused_first_response(&error),
    }
}

fn token_expired(in_flight: InFlight<'_>) -> Handled {
    in_flight.services.metrics.token_expired.inc();
    tracing::warn!("the reply is not sent: the interaction's token expired after fifteen minutes");
    in_flight.unanswerable("too_late", "the interaction's token has expired")
}
