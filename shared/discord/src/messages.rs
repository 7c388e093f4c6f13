//! Messages outside of interactions. <https://discord.com/developers/docs/resources/message>

use serde_json::Value;
use twilight_http::request::TryIntoRequest;
use twilight_model::channel::Channel;
use twilight_model::channel::message::Message;
use twilight_model::http::interaction::InteractionResponseData;
use twilight_model::id::Id;
use twilight_model::id::marker::{ChannelMarker, UserMarker};

use crate::calls::Calls;
use crate::endpoint;
use crate::error::Error;
use crate::request::Request;

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
        let built = self.builder().create_private_channel(user).try_into_request();
        // A second call returns the same channel.
        let request = Request::built(endpoint::OPEN_DM, built)?;
        let channel: Channel = self.fetch(request).await?;
        self.send_message(channel.id, message, nonce).await
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
}

/// Sets `enforce_nonce`, which twilight's builder lacks: without it Discord does not compare nonces.
fn enforcing_nonce(body: &[u8]) -> Result<Vec<u8>, Error> {
    let mut body: Value = serde_json::from_slice(body).map_err(Error::unsendable)?;
    body["enforce_nonce"] = Value::Bool(true);
    serde_json::to_vec(&body).map_err(Error::unsendable)
}
