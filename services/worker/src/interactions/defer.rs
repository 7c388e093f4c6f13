//! The first response of a deferred command: within three seconds, before anything slow.
//!
//! It is sent for every delivery of the message, also after a crash and at a retry. Discord responds with 40060 if an earlier one took
//! effect, so the worker continues, and with 10062 if none did and the time is over. So the progress of an earlier worker need not be
//! recorded. Within the three seconds a failed call is repeated by the client and the discord-proxy; after them, a later delivery
//! only finds out whether the first response took effect.

use arrakis_discord::Error;

use super::in_flight::InFlight;
use super::received::Handled;
use crate::commands::ResponseMode;

/// The outcome of the defer.
pub(super) enum Deferral {
    /// Discord has it, from this worker or an earlier one.
    Accepted,
    /// The three seconds are over and no first response was sent.
    Expired(String),
    /// It could not be sent.
    Failed(Handled),
}

/// Sends the first response.
pub(super) async fn defer(in_flight: InFlight<'_>, mode: ResponseMode) -> Deferral {
    let InFlight { services, received, .. } = in_flight;
    let invocation = &received.invocation;
    let calls = received.calls.clone().within(received.response_limit());
    services
        .metrics
        .defer_sent
        .observe(received.delivery.received().elapsed().as_secs_f64());
    let sent = match mode {
        ResponseMode::DeferredUpdate => calls.defer_update(invocation.id, &invocation.token).await,
        ResponseMode::Deferred { ephemeral } => calls.defer_reply(invocation.id, &invocation.token, ephemeral).await,
        ResponseMode::Immediate | ResponseMode::Modal => return Deferral::Accepted,
    };
    match sent {
        Ok(()) => {
            let took = received.delivery.received().elapsed();
            services.metrics.defer.observe(took.as_secs_f64());
            Deferral::Accepted
        }
        Err(Error::AlreadyAcknowledged) => {
            tracing::info!("the interaction was deferred by an earlier attempt; continuing");
            Deferral::Accepted
        }
        Err(error @ (Error::Gone { .. } | Error::TokenExpired)) => Deferral::Expired(error.to_string()),
        Err(error @ Error::OutcomeUnknown(_)) => find_out_later(in_flight, &error).await,
        // No first response took effect, from any worker, and none will.
        Err(error)
            if error.is_passing() && !received.may_have_been_started() && received.deadline.response_is_late() =>
        {
            Deferral::Expired(format!("deferring: {error}"))
        }
        Err(error) if error.is_passing() => find_out_later(in_flight, &error).await,
        Err(error) => Deferral::Failed(Handled::refused_first_response(&error)),
    }
}

/// This or an earlier first response may have taken effect: Discord's response to the next delivery is 40060 or 10062. After the last
/// delivery it stays unknown, which is recorded beside the dead letter.
async fn find_out_later(in_flight: InFlight<'_>, error: &Error) -> Deferral {
    if !in_flight.received.retry_is_in_time() {
        Box::pin(
            in_flight
                .at_most_once("first_response")
                .record_unknown(&error.to_string()),
        )
        .await;
    }
    Deferral::Failed(Handled::retry(format!("deferring: {error}")))
}
