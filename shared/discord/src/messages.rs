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
    /// Writes to one member directly. The same `nonce` within a few minutes is the same message, so a lost answer is asked
    /// for again.
    ///
    /// # Errors
    /// [`Error::Forbidden`] with 50007 for a member who takes no direct messages.
    pub async fn send_dm(
        &self,
        user: Id<UserMarker>,
        message: &InteractionResponseData,
        nonce: u64,
    ) -> Result<Message, Error> {
        let built = self.build().create_private_channel(user).try_into_request();
        // Asked twice, Discord answers the same channel.
        let request = Request::built(endpoint::OPEN_DM, built)?;
        let channel: Channel = self.fetch(request).await?;
        self.send_message(channel.id, message, nonce).await
    }

    /// Writes into a channel, with the same promise about `nonce`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn send_message(
        &self,
        channel: Id<ChannelMarker>,
        message: &InteractionResponseData,
        nonce: u64,
    ) -> Result<Message, Error> {
        let mut create = self.build().create_message(channel).nonce(nonce);
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

/// Sets `enforce_nonce`, which twilight's builder does not know: without it a nonce is a label and no more.
fn enforcing_nonce(body: &[u8]) -> Result<Vec<u8>, Error> {
    let mut body: Value = serde_json::from_slice(body).map_err(Error::unsendable)?;
    body["enforce_nonce"] = Value::Bool(true);
    serde_json::to_vec(&body).map_err(Error::unsendable)
}
