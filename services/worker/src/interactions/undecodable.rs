//! An interaction that this build cannot decode: it becomes a dead letter, and its member is notified if the body contains the few
//! fields that a response needs.

use std::time::Duration;

use serde::Deserialize;
use twilight_model::application::interaction::InteractionType;
use twilight_model::id::Id;
use twilight_model::id::marker::InteractionMarker;

use super::received::Undecodable;
use crate::interaction::refusal::Refusal;
use crate::services::Services;

/// Time limit of the notification; other interactions wait for it.
const NOTIFICATION_LIMIT: Duration = Duration::from_secs(2);

/// The fields of every interaction that a response needs.
#[derive(Deserialize)]
struct ResponseFields {
    id: Id<InteractionMarker>,
    token: String,
    #[serde(rename = "type")]
    kind: InteractionType,
}

/// Responds that the request was not understood, visible to the member only. Discord refuses a second response (40060), and a failed
/// one changes nothing: the message becomes a dead letter in any case.
pub(super) async fn notify_member(services: &Services, undecodable: &Undecodable) {
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
