//! What happens to an interaction whose command failed, and what its member is shown.
//!
//! A deferred interaction is retried after 5, 25 and 125 s while its token is valid: all three retries are within the fifteen
//! minutes, and "thinking…" is shown meanwhile. An immediate one is not retried: after 5 s Discord accepts no first response. When the
//! last attempt failed, the member is shown the event id and the message becomes a dead letter. See `docs/decisions/` on interactions
//! that fail.

use arrakis_broker::Verdict;
use arrakis_contracts::dead_letter::DeadLetterReason;

use super::deliver::{self, FollowUp};
use super::in_flight::InFlight;
use super::received::{Handled, Received};
use crate::commands::{CommandEntry, ResponseMode};
use crate::failure::Failure;
use crate::interaction::refusal::Refusal;

/// Retries or gives up a deferred interaction.
pub(super) async fn deferred_failed(in_flight: InFlight<'_>, entry: &CommandEntry, failure: Failure) -> Handled {
    let received = in_flight.received;
    // Another copy of the message may have replied while this one failed; its reply must not be overwritten.
    if in_flight.services.was_done(&received.labels.event_id).await {
        return Handled::already_done();
    }
    match failure {
        Failure::Drop(why) => Handled::dropped("dropped", why),
        Failure::Permanent(_) => give_up(in_flight, entry, DeadLetterReason::Permanent, &failure).await,
        Failure::Retry(_) if received.retry_is_in_time() => {
            // A message with a component shows no "thinking…" and is not changed.
            let shows_thinking = matches!(in_flight.response_mode(entry), ResponseMode::Deferred { .. });
            if shows_thinking && received.delivery.attempts() == 0 {
                show_retry_notice(in_flight).await;
            }
            Handled::retry(failure.to_string())
        }
        Failure::Retry(_) => give_up(in_flight, entry, DeadLetterReason::Exhausted, &failure).await,
    }
}

async fn give_up(
    in_flight: InFlight<'_>,
    entry: &CommandEntry,
    reason: DeadLetterReason,
    failure: &Failure,
) -> Handled {
    show_failure(in_flight, entry).await;
    Handled {
        outcome: "failed",
        verdict: Verdict::DeadLetter {
            reason,
            error: failure.to_string(),
        },
    }
}

/// Gives up an interaction without a first response.
pub(super) async fn immediate_failed(in_flight: InFlight<'_>, failure: Failure) -> Handled {
    let handled = deliver::respond_with_refusal(in_flight, &failure_notice(in_flight.received), "failed").await;
    if handled.outcome != "failed" {
        return handled;
    }
    let reason = match failure {
        Failure::Drop(why) => return Handled::dropped("dropped", why),
        Failure::Permanent(_) => DeadLetterReason::Permanent,
        Failure::Retry(_) => DeadLetterReason::Exhausted,
    };
    Handled {
        outcome: "failed",
        verdict: Verdict::DeadLetter {
            reason,
            error: failure.to_string(),
        },
    }
}

/// Replaces "thinking…" by a notice. If the original response was deleted, no notice is sent: a follow-up would stay beside
/// the reply.
async fn show_retry_notice(in_flight: InFlight<'_>) {
    if in_flight.received.deadline.token_is_valid()
        && let Err(error) = deliver::edit_original(in_flight, &retry_notice().message()).await
    {
        tracing::warn!(%error, "the member could not be notified of the retry");
    }
}

/// Best effort: the failure may be that the member cannot be reached.
async fn show_failure(in_flight: InFlight<'_>, entry: &CommandEntry) {
    let received = in_flight.received;
    if !received.deadline.token_is_valid() {
        return;
    }
    let notice = failure_notice(received).message();
    if let Err(error) = deliver::deliver(in_flight, entry, notice, true, FollowUp::FailureNotice).await {
        tracing::warn!(%error, "the member could not be notified of the failure");
    }
}

fn retry_notice() -> Refusal {
    Refusal::new(
        "This is taking longer than it should.",
        "I am trying again; the answer will appear here.",
    )
}

fn failure_notice(received: &Received) -> Refusal {
    Refusal::new(
        "Something went wrong on my side, and I could not do this.",
        format!(
            "It has been recorded as `{}`. Please try again in a few minutes, or show that number to an admin.",
            received.labels.event_id
        ),
    )
}
