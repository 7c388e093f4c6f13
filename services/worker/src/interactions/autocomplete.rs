//! Suggestions for an option that is being typed: within three seconds, and never an error.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use tokio::time::timeout;
use twilight_model::application::command::CommandOptionChoice;

use super::deliver::finish_response;
use super::in_flight::InFlight;
use super::received::Handled;
use super::run::TRANSIT_TIME;
use crate::commands::{CommandContext, CommandEntry, CommandScope};
use crate::community::Community;
use crate::failure::Failure;
use crate::interaction::invocation::InvocationData;

/// Responds with the command's suggestions, or with none if it fails.
pub(super) async fn autocomplete(in_flight: InFlight<'_>, entry: &CommandEntry) -> Handled {
    let received = in_flight.received;
    let limit = received.deadline.response_left().saturating_sub(TRANSIT_TIME);
    let suggested = AssertUnwindSafe(suggestions(in_flight, entry)).catch_unwind();
    let choices = match timeout(limit, suggested).await {
        Ok(Ok(Ok(choices))) => choices,
        Ok(Ok(Err(failure))) => {
            tracing::warn!(%failure, "autocomplete failed; no suggestions are sent");
            Vec::new()
        }
        Ok(Err(_)) | Err(_) => {
            tracing::warn!("autocomplete panicked or exceeded its time limit; no suggestions are sent");
            Vec::new()
        }
    };
    let invocation = &received.invocation;
    let calls = received.calls.clone().within(received.deadline.response_left());
    let sent = calls.suggest(invocation.id, &invocation.token, choices).await;
    finish_response(in_flight, sent).await
}

async fn suggestions(in_flight: InFlight<'_>, entry: &CommandEntry) -> Result<Vec<CommandOptionChoice>, Failure> {
    let InFlight { services, received, .. } = in_flight;
    let InvocationData::Autocomplete { focused, typed, .. } = &received.invocation.data else {
        return Ok(Vec::new());
    };
    let opened = match received.invocation.guild {
        Some(guild) => Community::open(services, guild).await?,
        None => None,
    };
    let (community, tx) = opened.unzip();
    if community.is_none() && entry.definition.scope == CommandScope::Community {
        return Ok(Vec::new());
    }
    let invocation = &received.invocation;
    let context = CommandContext::new(services, in_flight.commands, invocation, community.as_ref(), tx);
    let suggested = entry.command.autocomplete(&context, focused, typed).await;
    if let Some(tx) = context.into_tx() {
        tx.commit().await?;
    }
    suggested
}
