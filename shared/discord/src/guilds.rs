//! Servers, their roles and channels: what jobs need.
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
    /// Asks who the bot is: whether a proxy and Discord answer, and take the token. Not the gateway's address: that bucket
    /// holds two calls in five seconds, and a starting ingestor needs them.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn probe(&self) -> Result<(), Error> {
        let built = self.build().current_user().try_into_request();
        let request = Request::built(endpoint::CURRENT_USER, built)?;
        self.send(request).await.map(drop)
    }

    /// A server, with its roles and emoji, and the approximate number of its members.
    ///
    /// # Errors
    /// [`Error::Gone`] or [`Error::Forbidden`] where the bot is not (any more).
    pub async fn guild(&self, guild: Id<GuildMarker>) -> Result<Guild, Error> {
        let built = self.build().guild(guild).with_counts(true).try_into_request();
        self.fetch(Request::built(endpoint::GUILD, built)?).await
    }

    /// All roles of a server, `@everyone` (whose id is the server's) among them.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn roles(&self, guild: Id<GuildMarker>) -> Result<Vec<Role>, Error> {
        let built = self.build().roles(guild).try_into_request();
        self.fetch(Request::built(endpoint::ROLES, built)?).await
    }

    /// All channels of a server, categories among them, threads not.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn channels(&self, guild: Id<GuildMarker>) -> Result<Vec<Channel>, Error> {
        let built = self.build().guild_channels(guild).try_into_request();
        self.fetch(Request::built(endpoint::CHANNELS, built)?).await
    }

    /// Creates a role. Name and permissions are always sent: Discord would copy those of `@everyone` otherwise.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] when the answer was lost: look for what it made before making another.
    pub async fn create_role<'a>(
        &'a self,
        guild: Id<GuildMarker>,
        name: &'a str,
        permissions: Permissions,
        reason: &'a str,
        more: impl FnOnce(CreateRole<'a>) -> CreateRole<'a>,
    ) -> Result<Role, Error> {
        let create = self.build().create_role(guild).name(name).permissions(permissions);
        let built = more(create).reason(reason).try_into_request();
        self.fetch(Request::built(endpoint::CREATE_ROLE, built)?).await
    }

    /// Changes a role in what `change` sets.
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
        let built = change(self.build().update_role(guild, role))
            .reason(reason)
            .try_into_request();
        self.fetch(Request::built(endpoint::EDIT_ROLE, built)?).await
    }

    /// Sets the places of several roles at once. All roles come back, renumbered: compare their order.
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
            .build()
            .update_role_positions(guild, positions)
            .reason(reason)
            .try_into_request();
        self.fetch(Request::built(endpoint::MOVE_ROLES, built)?).await
    }

    /// Creates a channel of the kind, topic, overwrites … that `more` sets.
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
        let built = more(self.build().create_guild_channel(guild, name))
            .reason(reason)
            .try_into_request();
        self.fetch(Request::built(endpoint::CREATE_CHANNEL, built)?).await
    }

    /// Changes a channel in what `change` sets. Renames are slow: Discord allows about two in ten minutes.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn edit_channel<'a>(
        &'a self,
        channel: Id<ChannelMarker>,
        reason: &'a str,
        change: impl FnOnce(UpdateChannel<'a>) -> UpdateChannel<'a>,
    ) -> Result<Channel, Error> {
        let built = change(self.build().update_channel(channel))
            .reason(reason)
            .try_into_request();
        self.fetch(Request::built(endpoint::EDIT_CHANNEL, built)?).await
    }

    /// Sets the places of several channels at once; at most one entry may change its parent.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn move_channels(&self, guild: Id<GuildMarker>, positions: &[Position]) -> Result<(), Error> {
        let built = self
            .build()
            .update_guild_channel_positions(guild, positions)
            .try_into_request();
        let request = Request::built(endpoint::MOVE_CHANNELS, built)?;
        self.send(request).await.map(drop)
    }
}
