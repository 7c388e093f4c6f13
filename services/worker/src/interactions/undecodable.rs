//! An interaction that this build cannot decode: it becomes a dead letter, and its member is notified if the body contains the few
//! fields that a response needs.

use std::time::Duration;

use arrakis_broker::Verdict;
use arrakis_contracts::dead_letter::DeadLetterReason;
use arrakis_runtime::fail_point;
use serde::Deserialize;
use twilight_model::application::interaction::InteractionType;
use twilight_model::id::Id;
use twilight_model::id::marker::InteractionMarker;

use super::received::Undecodable;
use crate::interaction::refusal::Refusal;
use crate::services::Services;

/// Time limit of the notification; other interactions wait for it.
const NOTIFICATION_LIMIT: Duration = Duration::from_secs(2);

/// The fields of an interaction that a response needs.
#[derive(Deserialize)]
struct ResponseFields {
    id: Id<InteractionMarker>,
    token: String,
    #[serde(rename = "type")]
    kind: InteractionType,
}

/// Notifies the member; the verdict moves the message to the dead letters.
pub(super) async fn dead_letter(services: &Services, undecodable: Undecodable) -> Verdict {
    if fail_point::skips("worker.guard.unreadable") {
        return Verdict::Requeue;
    }
    notify_member(services, &undecodable).await;
    Verdict::DeadLetter {
        reason: DeadLetterReason::Unreadable,
        error: undecodable.why,
    }
}

/// Responds that the interaction could not be read, visible to the member only. Discord refuses a second response (40060), and a failed
/// one changes nothing: the message becomes a dead letter in any case.
async fn notify_member(services: &Services, undecodable: &Undecodable) {
    let Ok(fields) = serde_json::from_slice::<ResponseFields>(undecodable.delivery.body()) else {
        return;
    };
    if fields.kind == InteractionType::ApplicationCommandAutocomplete {
        return;
    }
    let refusal = Refusal::new(
        "Your request reached us in a form that we cannot read, and nothing was done.",
        "Try again; if it stays so, tell an admin of this server.",
    );
    let calls = services.discord.interactive(None).within(NOTIFICATION_LIMIT);
    if let Err(error) = calls.reply(fields.id, &fields.token, refusal.message()).await {
        tracing::info!(%error, "the member was not notified of an undecodable interaction");
    }
}
