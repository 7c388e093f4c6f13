//! Answers to interactions: the callback within three seconds, then edits and follow-ups for fifteen minutes.
//! <https://discord.com/developers/docs/interactions/receiving-and-responding>

use std::time::Duration;

use twilight_http::request::{Request as Built, TryIntoRequest};
use twilight_model::application::command::CommandOptionChoice;
use twilight_model::channel::message::{AllowedMentions, MessageFlags};
use twilight_model::http::interaction::{InteractionResponse, InteractionResponseData, InteractionResponseType};
use twilight_model::id::Id;
use twilight_model::id::marker::InteractionMarker;

use crate::calls::Calls;
use crate::endpoint;
use crate::error::Error;
use crate::request::Request;

/// How long after its creation an interaction takes its first response.
pub const RESPONSE_WINDOW: Duration = Duration::from_secs(3);
/// How long after its creation an interaction's token serves for edits and follow-ups.
pub const ORIGINAL_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// The interaction lane of the proxy waits for nothing, so a replica that takes this long hangs.
const PATIENCE: Duration = Duration::from_millis(1200);
/// An edit or follow-up waits for the webhook's own limit, which refills within seconds.
const EDIT_PATIENCE: Duration = Duration::from_secs(5);

impl Calls {
    /// The first response. After a failure it is sent again while time is left: where an earlier attempt of this call may have
    /// landed, 40060 is success.
    ///
    /// # Errors
    /// [`Error::Gone`] past three seconds, [`Error::AlreadyAcknowledged`] when another call was first,
    /// [`Error::OutcomeUnknown`] when every attempt failed and one may have landed.
    pub async fn respond(
        &self,
        interaction: Id<InteractionMarker>,
        token: &str,
        response: &InteractionResponse,
    ) -> Result<(), Error> {
        if let Some(data) = response.data.as_ref().filter(|_| carries_message(response.kind)) {
            // The builder of the callback checks nothing; that of the edit checks the same content.
            self.edit(token, data)?;
        }
        let interactions = self.build().interaction(self.discord.application());
        let request = Request::built(
            endpoint::RESPOND,
            interactions
                .create_response(interaction, token, response)
                .try_into_request(),
        )?;
        self.clone().patience(PATIENCE).send(request).await.map(drop)
    }

    /// Says "thinking…"; what is edited in later is seen by the member alone when `private`.
    ///
    /// # Errors
    /// As [`Calls::respond`].
    pub async fn defer_reply(
        &self,
        interaction: Id<InteractionMarker>,
        token: &str,
        private: bool,
    ) -> Result<(), Error> {
        let data = InteractionResponseData {
            flags: private.then_some(MessageFlags::EPHEMERAL),
            ..InteractionResponseData::default()
        };
        let response = InteractionResponse {
            kind: InteractionResponseType::DeferredChannelMessageWithSource,
            data: Some(data),
        };
        self.respond(interaction, token, &response).await
    }

    /// Acknowledges a press whose message will be edited later.
    ///
    /// # Errors
    /// As [`Calls::respond`].
    pub async fn defer_update(&self, interaction: Id<InteractionMarker>, token: &str) -> Result<(), Error> {
        let response = InteractionResponse {
            kind: InteractionResponseType::DeferredUpdateMessage,
            data: None,
        };
        self.respond(interaction, token, &response).await
    }

    /// Answers at once with a message.
    ///
    /// # Errors
    /// As [`Calls::respond`].
    pub async fn reply(
        &self,
        interaction: Id<InteractionMarker>,
        token: &str,
        message: InteractionResponseData,
    ) -> Result<(), Error> {
        let response = with_data(InteractionResponseType::ChannelMessageWithSource, message);
        self.respond(interaction, token, &response).await
    }

    /// Answers a press by editing its message.
    ///
    /// # Errors
    /// As [`Calls::respond`].
    pub async fn update(
        &self,
        interaction: Id<InteractionMarker>,
        token: &str,
        message: InteractionResponseData,
    ) -> Result<(), Error> {
        let response = with_data(InteractionResponseType::UpdateMessage, message);
        self.respond(interaction, token, &response).await
    }

    /// Suggests values while a member types: at most 25, the rest is left out.
    ///
    /// # Errors
    /// As [`Calls::respond`].
    pub async fn suggest(
        &self,
        interaction: Id<InteractionMarker>,
        token: &str,
        mut choices: Vec<CommandOptionChoice>,
    ) -> Result<(), Error> {
        choices.truncate(25);
        let response = InteractionResponse {
            kind: InteractionResponseType::ApplicationCommandAutocompleteResult,
            data: Some(InteractionResponseData {
                choices: Some(choices),
                ..InteractionResponseData::default()
            }),
        };
        self.respond(interaction, token, &response).await
    }

    /// Opens a form: `custom_id`, `title` and `components` of `modal`.
    ///
    /// # Errors
    /// As [`Calls::respond`].
    pub async fn modal(
        &self,
        interaction: Id<InteractionMarker>,
        token: &str,
        modal: InteractionResponseData,
    ) -> Result<(), Error> {
        let response = InteractionResponse {
            kind: InteractionResponseType::Modal,
            data: Some(modal),
        };
        self.respond(interaction, token, &response).await
    }

    /// Puts `message` in place of the first response. Doing it twice leaves the same message.
    ///
    /// # Errors
    /// [`Error::TokenExpired`] past fifteen minutes; do not ask then, since it counts against the invalid-request budget.
    /// [`Error::Gone`] when the member deleted the message.
    pub async fn edit_original(&self, token: &str, message: &InteractionResponseData) -> Result<(), Error> {
        let request = Request::built(endpoint::EDIT_ORIGINAL, self.edit(token, message))?;
        self.clone().patience(EDIT_PATIENCE).send(request).await.map(drop)
    }

    /// Takes the first response away. A member's "thinking…" that was public makes room for a private follow-up that way:
    /// without it, the first follow-up would only fill the public one in.
    ///
    /// # Errors
    /// [`Error::Gone`] when it is away already.
    pub async fn delete_original(&self, token: &str) -> Result<(), Error> {
        let interactions = self.build().interaction(self.discord.application());
        let built = interactions.delete_response(token).try_into_request();
        let request = Request::built(endpoint::DELETE_ORIGINAL, built)?;
        self.clone().patience(EDIT_PATIENCE).send(request).await.map(drop)
    }

    /// Another message after the first response. Never repeated: without a whole answer, or with a 5xx, it is
    /// [`Error::OutcomeUnknown`].
    ///
    /// # Errors
    /// As [`Calls::edit_original`].
    pub async fn send_followup(&self, token: &str, message: &InteractionResponseData) -> Result<(), Error> {
        let interactions = self.build().interaction(self.discord.application());
        let mut followup = interactions.create_followup(token);
        if let Some(content) = &message.content {
            followup = followup.content(content);
        }
        if let Some(embeds) = &message.embeds {
            followup = followup.embeds(embeds);
        }
        if let Some(components) = &message.components {
            followup = followup.components(components);
        }
        if let Some(attachments) = &message.attachments {
            followup = followup.attachments(attachments);
        }
        if let Some(flags) = message.flags {
            followup = followup.flags(flags);
        }
        let request = Request::built(endpoint::FOLLOW_UP, followup.try_into_request())?;
        self.send(request).await.map(drop)
    }

    fn edit(&self, token: &str, message: &InteractionResponseData) -> Result<Built, twilight_http::Error> {
        let interactions = self.build().interaction(self.discord.application());
        let mut edit = interactions.update_response(token);
        if let Some(content) = &message.content {
            edit = edit.content(Some(content));
        }
        if let Some(embeds) = &message.embeds {
            edit = edit.embeds(Some(embeds));
        }
        if let Some(components) = &message.components {
            edit = edit.components(Some(components));
        }
        if let Some(attachments) = &message.attachments {
            edit = edit.attachments(attachments);
        }
        edit.try_into_request()
    }
}

const fn carries_message(kind: InteractionResponseType) -> bool {
    matches!(
        kind,
        InteractionResponseType::ChannelMessageWithSource | InteractionResponseType::UpdateMessage
    )
}

fn with_data(kind: InteractionResponseType, mut message: InteractionResponseData) -> InteractionResponse {
    // As for every other message of ours: nobody is pinged unless the message says so itself.
    message.allowed_mentions.get_or_insert_with(AllowedMentions::default);
    InteractionResponse {
        kind,
        data: Some(message),
    }
}
