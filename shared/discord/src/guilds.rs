//! Servers, their roles and channels.
//! <https://discord.com/developers/docs/resources/guild>

use twilight_http::request::channel::UpdateChannel;
use twilight_http::request::guild::CreateGuildChannel;
use twilight_http::request::guild::role::{CreateRole, UpdateRole};
use twilight_http::request::{AuditLogReason, TryIntoRequest};
use twilight_model::channel::Channel;
use twilight_model::guild::{Guild, Permissions, Role, RolePosition};
use twilight_model::http::channel_position::Position;
use twilight_model::id::Id;
use twilight_model::id::marker::{ChannelMarker, GuildMarker, RoleMarker};

use crate::calls::Calls;
use crate::endpoint;
use crate::error::Error;
use crate::request::Request;

impl Calls {
    /// Checks that a proxy and Discord respond and accept the token, by `GET /users/@me`. `GET /gateway/bot` would use the bucket
    /// of an ingestor that starts, which allows two calls in five seconds.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn probe(&self) -> Result<(), Error> {
        let built = self.builder().current_user().try_into_request();
        let request = Request::built(endpoint::CURRENT_USER, built)?;
        self.send(request).await.map(drop)
    }

    /// Reads a server with its roles, emoji and approximate number of members.
    ///
    /// # Errors
    /// [`Error::Gone`] or [`Error::Forbidden`] when the bot is not on the server.
    pub async fn guild(&self, guild: Id<GuildMarker>) -> Result<Guild, Error> {
        let built = self.builder().guild(guild).with_counts(true).try_into_request();
        self.fetch(Request::built(endpoint::GUILD, built)?).await
    }

    /// Reads all roles of a server, including `@everyone`, whose id is the server's.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn roles(&self, guild: Id<GuildMarker>) -> Result<Vec<Role>, Error> {
        let built = self.builder().roles(guild).try_into_request();
        self.fetch(Request::built(endpoint::ROLES, built)?).await
    }

    /// Reads all channels of a server, including categories and without threads.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn channels(&self, guild: Id<GuildMarker>) -> Result<Vec<Channel>, Error> {
        let built = self.builder().guild_channels(guild).try_into_request();
        self.fetch(Request::built(endpoint::CHANNELS, built)?).await
    }

    /// Creates a role. Name and permissions are always sent, since Discord would otherwise use those of `@everyone`. `more` sets
    /// further fields.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] when the role may have been created: search for it before another creation.
    pub async fn create_role<'a>(
        &'a self,
        guild: Id<GuildMarker>,
        name: &'a str,
        permissions: Permissions,
        reason: &'a str,
        more: impl FnOnce(CreateRole<'a>) -> CreateRole<'a>,
    ) -> Result<Role, Error> {
        let create = self.builder().create_role(guild).name(name).permissions(permissions);
        let built = more(create).reason(reason).try_into_request();
        self.fetch(Request::built(endpoint::CREATE_ROLE, built)?).await
    }

    /// Modifies the fields of a role that `change` sets.
    ///
    /// # Errors
    /// [`Error::Forbidden`] with 50013 for a role that is not below the bot's own.
    pub async fn edit_role<'a>(
        &'a self,
        guild: Id<GuildMarker>,
        role: Id<RoleMarker>,
        reason: &'a str,
        change: impl FnOnce(UpdateRole<'a>) -> UpdateRole<'a>,
    ) -> Result<Role, Error> {
        let built = change(self.builder().update_role(guild, role))
            .reason(reason)
            .try_into_request();
        self.fetch(Request::built(endpoint::EDIT_ROLE, built)?).await
    }

    /// Sets the positions of several roles. Returns all roles with new positions, of which only the order is defined.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn move_roles(
        &self,
        guild: Id<GuildMarker>,
        positions: &[RolePosition],
        reason: &str,
    ) -> Result<Vec<Role>, Error> {
        let built = self
            .builder()
            .update_role_positions(guild, positions)
            .reason(reason)
            .try_into_request();
        self.fetch(Request::built(endpoint::MOVE_ROLES, built)?).await
    }

    /// Creates a channel; `more` sets its type, topic, overwrites and other fields.
    ///
    /// # Errors
    /// As [`Calls::create_role`].
    pub async fn create_channel<'a>(
        &'a self,
        guild: Id<GuildMarker>,
        name: &'a str,
        reason: &'a str,
        more: impl FnOnce(CreateGuildChannel<'a>) -> CreateGuildChannel<'a>,
    ) -> Result<Channel, Error> {
        let built = more(self.builder().create_guild_channel(guild, name))
            .reason(reason)
            .try_into_request();
        self.fetch(Request::built(endpoint::CREATE_CHANNEL, built)?).await
    }

    /// Modifies the fields of a channel that `change` sets. Discord allows about two changes of name or topic in ten minutes.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn edit_channel<'a>(
        &'a self,
        channel: Id<ChannelMarker>,
        reason: &'a str,
        change: impl FnOnce(UpdateChannel<'a>) -> UpdateChannel<'a>,
    ) -> Result<Channel, Error> {
        let built = change(self.builder().update_channel(channel))
            .reason(reason)
            .try_into_request();
        self.fetch(Request::built(endpoint::EDIT_CHANNEL, built)?).await
    }

    /// Sets the positions of several channels; at most one entry may change its parent.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn move_channels(&self, guild: Id<GuildMarker>, positions: &[Position]) -> Result<(), Error> {
        let built = self
            .builder()
            .update_guild_channel_positions(guild, positions)
            .try_into_request();
        let request = Request::built(endpoint::MOVE_CHANNELS, built)?;
        self.send(request).await.map(drop)
    }
}
