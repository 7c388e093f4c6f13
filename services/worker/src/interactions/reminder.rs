//! After a command's reply: the question to the holder of a wallet, as an ephemeral follow-up, where Discord did not deliver the direct
//! message.
//!
//! Best effort, and at most once for an interaction: the reply has been sent, so a failure is only logged, and the next command reminds
//! again.

use super::deliver::{FollowUp, follow_up};
use super::in_flight::InFlight;
use crate::community::user_id;
use crate::consent;
use crate::interaction::invocation::InvocationData;
use crate::interaction::reply::ephemeral;

/// Sends the question, if the member is to be reminded of one.
pub(super) async fn remind(in_flight: InFlight<'_>) {
    let invocation = &in_flight.received.invocation;
    let InvocationData::Command { .. } = invocation.data else {
        return;
    };
    let Ok(user) = user_id(invocation.author.id) else {
        return;
    };
    let Some(question) = consent::reminder(in_flight.services, user).await else {
        return;
    };
    match follow_up(in_flight, ephemeral(question), FollowUp::Reminder).await {
        Ok(_) => consent::reminded(in_flight.services, user).await,
        Err(error) => tracing::warn!(%error, "a holder was not reminded of a question"),
    }
}
