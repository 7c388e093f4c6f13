//! Responses to interactions: the first response within three seconds, then edits and follow-ups for fifteen minutes.
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

/// How long after its creation Discord accepts the first response to an interaction.
pub const RESPONSE_WINDOW: Duration = Duration::from_secs(3);
/// How long after its creation Discord accepts edits and follow-ups of an interaction.
pub const ORIGINAL_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// Time of one attempt of a first response: the proxy sends it without a wait, so a replica that takes longer hangs.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(1200);
/// Time of one attempt of an edit, which may wait for the webhook's bucket; its window lasts seconds.
const EDIT_TIMEOUT: Duration = Duration::from_secs(5);

impl Calls {
    /// Sends the first response. After a failure it is repeated while time is left: where an earlier attempt of this call may have
    /// taken effect, 40060 is success.
    ///
    /// # Errors
    /// [`Error::Gone`] after three seconds, [`Error::AlreadyAcknowledged`] when another call was first,
    /// [`Error::OutcomeUnknown`] when every attempt failed and one may have taken effect.
    pub async fn respond(
        &self,
        interaction: Id<InteractionMarker>,
        token: &str,
        response: &InteractionResponse,
    ) -> Result<(), Error> {
        if let Some(data) = response.data.as_ref().filter(|_| carries_message(response.kind)) {
            // twilight checks the content of an edit, and not that of a first response.
            self.edit(token, data)?;
        }
        let interactions = self.builder().interaction(self.discord.application());
        let request = Request::built(
            endpoint::RESPOND,
            interactions
                .create_response(interaction, token, response)
                .try_into_request(),
        )?;
        self.clone()
            .attempt_timeout(RESPONSE_TIMEOUT)
            .send(request)
            .await
            .map(drop)
    }

    /// Defers the reply: Discord shows "thinking…". `private`: only the member sees the reply.
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

    /// Defers the response to a component: its message will be edited later.
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

    /// Responds with a message.
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

    /// Responds to a component by an edit of its message.
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

    /// Responds to an autocomplete request with the first 25 of `choices`.
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

    /// Responds with a modal: `custom_id`, `title` and `components` of `modal`.
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

    /// Replaces the original response by `message`.
    ///
    /// # Errors
    /// [`Error::TokenExpired`] after fifteen minutes; such a call counts against the invalid-request budget.
    /// [`Error::Gone`] when the member deleted the message.
    pub async fn edit_original(&self, token: &str, message: &InteractionResponseData) -> Result<(), Error> {
        let request = Request::built(endpoint::EDIT_ORIGINAL, self.edit(token, message))?;
        self.clone().attempt_timeout(EDIT_TIMEOUT).send(request).await.map(drop)
    }

    /// Deletes the original response. It is needed before a private follow-up to a public "thinking…", which the first follow-up would
    /// otherwise replace.
    ///
    /// # Errors
    /// [`Error::Gone`] when it is already deleted.
    pub async fn delete_original(&self, token: &str) -> Result<(), Error> {
        let interactions = self.builder().interaction(self.discord.application());
        let built = interactions.delete_response(token).try_into_request();
        let request = Request::built(endpoint::DELETE_ORIGINAL, built)?;
        self.clone().attempt_timeout(EDIT_TIMEOUT).send(request).await.map(drop)
    }

    /// Sends a follow-up. Never repeated: after a 5xx, or without a complete response, it is [`Error::OutcomeUnknown`].
    ///
    /// # Errors
    /// As [`Calls::edit_original`].
    pub async fn send_followup(&self, token: &str, message: &InteractionResponseData) -> Result<(), Error> {
        let interactions = self.builder().interaction(self.discord.application());
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
        let interactions = self.builder().interaction(self.discord.application());
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
    // As for every other message: no mention pings unless the message allows it.
    message.allowed_mentions.get_or_insert_with(AllowedMentions::default);
    InteractionResponse {
        kind,
        data: Some(message),
    }
}
