//! The calls that bring a message to the member: a first response, an edit of the original response, or a follow-up.
//!
//! A message that only the member may see, while the original response is public, replaces it: the original response is deleted and
//! an ephemeral follow-up is sent. That the worker is about to delete it is recorded first: a later reply that finds it deleted by the worker
//! is sent as a follow-up too, and a reply that finds it deleted by a user is discarded.

use arrakis_discord::{Error, Result as CallResult};
use twilight_model::http::interaction::InteractionResponseData;

use super::in_flight::InFlight;
use super::received::Handled;
use crate::at_most_once::SendOutcome;
use crate::commands::{CommandEntry, ResponseMode};
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::ephemeral;

/// Unknown message.
const UNKNOWN_MESSAGE: u64 = 10008;

/// The follow-ups that an interaction may have. Each is sent at most once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FollowUp {
    /// The reply, if it cannot be an edit of the original response.
    Reply,
    /// The notice that the command failed.
    FailureNotice,
    /// A question that could not be sent as a direct message.
    Reminder,
}

impl FollowUp {
    /// The call's name in claims and metrics. Claims are stored, so the names stay as earlier builds wrote them.
    const fn call(self) -> &'static str {
        match self {
            Self::Reply => "answer",
            Self::FailureNotice => "sorry",
            Self::Reminder => "reminder",
        }
    }
}

/// Sends a message to the member: an edit of the original response, or this follow-up in its place.
pub(super) async fn deliver(
    in_flight: InFlight<'_>,
    entry: &CommandEntry,
    message: InteractionResponseData,
    for_member_only: bool,
    kind: FollowUp,
) -> CallResult<SendOutcome> {
    let received = in_flight.received;
    match (in_flight.response_mode(entry), for_member_only) {
        (ResponseMode::Deferred { ephemeral: false }, false) => edit_or_follow_up(in_flight, message, kind).await,
        (ResponseMode::Deferred { ephemeral: true }, _) | (_, false) => edit_original(in_flight, &message).await,
        (ResponseMode::Deferred { ephemeral: false }, true) => {
            if let Err(error) = in_flight.at_most_once("original").record_deletion().await {
                return match kind {
                    FollowUp::Reply | FollowUp::Reminder => {
                        Err(Error::Unavailable(format!("recording a deletion: {error}")))
                    }
                    // The notice of a failure may be public.
                    FollowUp::FailureNotice => edit_original(in_flight, &message).await,
                };
            }
            match received.calls.delete_original(&received.invocation.token).await {
                // Gone: deleted by an earlier attempt.
                Ok(()) | Err(Error::Gone { .. }) => {}
                Err(error) => return Err(error),
            }
            follow_up(in_flight, ephemeral(message), kind).await
        }
        // The message with the component is not changed.
        (_, true) => follow_up(in_flight, ephemeral(message), kind).await,
    }
}

pub(super) async fn edit_original(
    in_flight: InFlight<'_>,
    message: &InteractionResponseData,
) -> CallResult<SendOutcome> {
    let received = in_flight.received;
    received
        .calls
        .edit_original(&received.invocation.token, message)
        .await?;
    Ok(SendOutcome::Sent)
}

/// A public reply: an edit of the original response, or a follow-up if this worker or an earlier one deleted that.
async fn edit_or_follow_up(
    in_flight: InFlight<'_>,
    message: InteractionResponseData,
    kind: FollowUp,
) -> CallResult<SendOutcome> {
    let edited = edit_original(in_flight, &message).await;
    let Err(Error::Gone {
        code: UNKNOWN_MESSAGE, ..
    }) = edited
    else {
        return edited;
    };
    match in_flight.at_most_once("original").was_deleted().await {
        Ok(true) => follow_up(in_flight, message, kind).await,
        Ok(false) => edited,
        Err(error) => Err(Error::Unavailable(format!(
            "reading who deleted the original response: {error}"
        ))),
    }
}

/// A message beside the original response.
pub(super) async fn follow_up(
    in_flight: InFlight<'_>,
    message: InteractionResponseData,
    kind: FollowUp,
) -> CallResult<SendOutcome> {
    let received = in_flight.received;
    let token = &received.invocation.token;
    let send = |left| {
        let calls = received.calls.clone().within(left);
        Box::pin(async move { calls.send_followup(token, &message).await })
    };
    Box::pin(in_flight.at_most_once(kind.call()).send(send)).await
}

/// Responds with an ephemeral refusal as the first response.
pub(super) async fn respond_with_refusal(in_flight: InFlight<'_>, refusal: &Refusal, outcome: &'static str) -> Handled {
    let received = in_flight.received;
    let invocation = &received.invocation;
    let calls = received.calls.clone().within(received.response_limit());
    // An autocomplete request can only be answered with suggestions.
    let sent = if invocation.kind() == "autocomplete" {
        calls.suggest(invocation.id, &invocation.token, Vec::new()).await
    } else {
        calls.reply(invocation.id, &invocation.token, refusal.message()).await
    };
    let handled = finish_response(in_flight, sent).await;
    if handled.outcome == "answered" {
        Handled::done(outcome)
    } else {
        handled
    }
}

/// The outcome of a first response that was the whole reply.
pub(super) async fn finish_response(in_flight: InFlight<'_>, sent: CallResult<()>) -> Handled {
    let InFlight { services, received, .. } = in_flight;
    match sent {
        Ok(()) => {
            let took = received.delivery.received().elapsed();
            services.metrics.defer.observe(took.as_secs_f64());
            Handled::done("answered")
        }
        // The same reply, from an earlier attempt.
        Err(Error::AlreadyAcknowledged) => Handled::done("answered"),
        Err(error @ (Error::Gone { .. } | Error::TokenExpired)) => in_flight.expired(error.to_string()),
        // It may have taken effect, and at a retry the three seconds would be over: there is no way to find out.
        Err(Error::OutcomeUnknown(why)) => unknown_response(in_flight, &why).await,
        // This attempt had no effect; an earlier worker's may have had one.
        Err(error) if error.is_transient() && received.may_have_been_started() => {
            unknown_response(in_flight, &error.to_string()).await
        }
        // At a retry the three seconds would be over.
        Err(error) if error.is_transient() => in_flight.expired(format!("responding: {error}")),
        Err(error) => Handled::refused_first_response(&error),
    }
}

async fn unknown_response(in_flight: InFlight<'_>, why: &str) -> Handled {
    Box::pin(in_flight.at_most_once("first_response").record_unknown(why)).await;
    Handled::done("unknown")
}
