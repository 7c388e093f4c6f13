//! An interaction that this build cannot read: parked for whoever mends it, and its member told, where the fields that an
//! answer takes can be read.

use std::time::Duration;

use arrakis_broker::Delivery;
use serde::Deserialize;
use twilight_model::application::interaction::InteractionType;
use twilight_model::id::Id;
use twilight_model::id::marker::InteractionMarker;

use super::Interactions;
use super::refusal::Refusal;

/// How long telling may take; it is the least that is owed, and other members wait.
const TELLING: Duration = Duration::from_secs(2);

/// What was delivered, and why it cannot be read.
#[derive(Debug)]
pub(super) struct Unread {
    pub(super) delivery: Delivery,
    pub(super) why: String,
}

/// What every interaction has, whatever else changed.
#[derive(Deserialize)]
struct Bare {
    id: Id<InteractionMarker>,
    token: String,
    #[serde(rename = "type")]
    kind: InteractionType,
}

impl Interactions {
    /// Says in private that the request was not understood. Doing so twice is refused by Discord (40060), and a failure changes
    /// nothing: the message is parked all the same.
    pub(super) async fn tell_unread(&self, unread: &Unread) {
        let Ok(bare) = serde_json::from_slice::<Bare>(unread.delivery.body()) else {
            return;
        };
        if bare.kind == InteractionType::ApplicationCommandAutocomplete {
            return;
        }
        let word = Refusal::new(
            "Your request reached us in a form that we cannot read, and nothing was done.",
            "Try again; if it stays so, tell an admin of this server.",
        );
        let calls = self.services.discord.interactive(None).within(TELLING);
        if let Err(error) = calls.reply(bare.id, &bare.token, word.message()).await {
            tracing::info!(%error, "the member was not told");
        }
    }
}
