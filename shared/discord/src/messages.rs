//! Messages outside of interactions. <https://discord.com/developers/docs/resources/message>

use serde::Deserialize;
use serde_json::Value;
use twilight_http::request::TryIntoRequest;
use twilight_model::channel::Channel;
use twilight_model::channel::message::Message;
use twilight_model::http::interaction::InteractionResponseData;
use twilight_model::id::Id;
use twilight_model::id::marker::{ChannelMarker, MessageMarker, UserMarker};

use crate::calls::Calls;
use crate::endpoint;
use crate::error::Error;
use crate::request::Request;

/// Most messages that one call lists: <https://discord.com/developers/docs/resources/message#get-channel-messages>.
pub const LISTED_MESSAGES: u16 = 100;

/// A message of a channel, as far as a caller compares it with what it has sent.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ListedMessage {
    /// Its id.
    pub id: Id<MessageMarker>,
    /// Its components, with their custom ids. Messages of members have none.
    #[serde(default)]
    pub components: Value,
    /// Its embeds.
    #[serde(default)]
    pub embeds: Value,
}

impl Calls {
    /// Sends a direct message. Discord treats the same `nonce` within a few minutes as the same message, so the call is repeated
    /// after a lost response.
    ///
    /// # Errors
    /// [`Error::Forbidden`] with 50007 for a member who accepts no direct messages.
    pub async fn send_dm(
        &self,
        user: Id<UserMarker>,
        message: &InteractionResponseData,
        nonce: u64,
    ) -> Result<Message, Error> {
        let channel = self.open_dm(user).await?;
        self.send_message(channel, message, nonce).await
    }

    /// Opens the direct message channel of a user. A second call returns the same channel. Discord limits how many channels a bot opens
    /// in a short time, so a caller who writes to many users stores the channel.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn open_dm(&self, user: Id<UserMarker>) -> Result<Id<ChannelMarker>, Error> {
        let built = self.builder().create_private_channel(user).try_into_request();
        let request = Request::built(endpoint::OPEN_DM, built)?;
        let channel: Channel = self.fetch(request).await?;
        Ok(channel.id)
    }

    /// Sends a message to a channel; `nonce` as for [`Calls::send_dm`].
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn send_message(
        &self,
        channel: Id<ChannelMarker>,
        message: &InteractionResponseData,
        nonce: u64,
    ) -> Result<Message, Error> {
        let mut create = self.builder().create_message(channel).nonce(nonce);
        if let Some(content) = &message.content {
            create = create.content(content);
        }
        if let Some(embeds) = &message.embeds {
            create = create.embeds(embeds);
        }
        if let Some(components) = &message.components {
            create = create.components(components);
        }
        let mut request = Request::built(endpoint::CREATE_MESSAGE, create.try_into_request())?;
        request.body = enforcing_nonce(&request.body)?.into();
        self.fetch(request).await
    }

    /// Replaces text, embeds and components of a message that the bot sent. A second call has no further effect.
    ///
    /// # Errors
    /// [`Error::Gone`] for a message that was deleted (10008) or whose channel was (10003).
    pub async fn edit_message(
        &self,
        channel: Id<ChannelMarker>,
        message: Id<MessageMarker>,
        with: &InteractionResponseData,
    ) -> Result<Message, Error> {
        let update = self
            .builder()
            .update_message(channel, message)
            .content(with.content.as_deref())
            .embeds(with.embeds.as_deref())
            .components(with.components.as_deref());
        let request = Request::built(endpoint::EDIT_MESSAGE, update.try_into_request())?;
        self.fetch(request).await
    }

    /// The latest messages of a channel, newest first, at most [`LISTED_MESSAGES`]. In a server the list is empty without the permission to
    /// read the history; in direct messages the bot always has it.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn latest_messages(&self, channel: Id<ChannelMarker>) -> Result<Vec<ListedMessage>, Error> {
        let built = self.builder().channel_messages(channel).limit(LISTED_MESSAGES);
        self.fetch(Request::built(endpoint::MESSAGES, built.try_into_request())?)
            .await
    }

    /// The messages of a channel before this one, as [`Calls::latest_messages`].
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn messages_before(
        &self,
        channel: Id<ChannelMarker>,
        before: Id<MessageMarker>,
    ) -> Result<Vec<ListedMessage>, Error> {
        let built = self.builder().channel_messages(channel).before(before);
        let built = built.limit(LISTED_MESSAGES).try_into_request();
        self.fetch(Request::built(endpoint::MESSAGES, built)?).await
    }
}

/// Sets `enforce_nonce`, which twilight's builder lacks: without it Discord does not compare nonces.
fn enforcing_nonce(body: &[u8]) -> Result<Vec<u8>, Error> {
    let mut body: Value = serde_json::from_slice(body).map_err(Error::unsendable)?;
    body["enforce_nonce"] = Value::Bool(true);
    serde_json::to_vec(&body).map_err(Error::unsendable)
}
