//! Members and their roles. <https://discord.com/developers/docs/resources/guild#guild-member-object>

use twilight_http::request::{AuditLogReason, TryIntoRequest};
use twilight_model::guild::Member;
use twilight_model::id::Id;
use twilight_model::id::marker::{GuildMarker, RoleMarker, UserMarker};

use crate::calls::Calls;
use crate::endpoint;
use crate::error::Error;
use crate::request::Request;

/// Unknown member.
const UNKNOWN_MEMBER: u64 = 10007;
/// Unknown user.
const UNKNOWN_USER: u64 = 10013;
/// Members in the largest page that Discord returns.
const PAGE: u16 = 1000;

impl Calls {
    /// Assigns a role to a member. Sends nothing and returns `false` when `actual`, the member's present roles, contains it.
    ///
    /// # Errors
    /// [`Error::Gone`] for a member who left (10007) or a deleted role (10011), [`Error::Forbidden`] for a role above the
    /// bot's (50013).
    pub async fn assign_role(
        &self,
        guild: Id<GuildMarker>,
        user: Id<UserMarker>,
        role: Id<RoleMarker>,
        actual: Option<&[Id<RoleMarker>]>,
        reason: &str,
    ) -> Result<bool, Error> {
        if actual.is_some_and(|roles| roles.contains(&role)) {
            return Ok(false);
        }
        let built = self.builder().add_guild_member_role(guild, user, role).reason(reason);
        let request = Request::built(endpoint::ASSIGN_ROLE, built.try_into_request())?;
        self.send(request).await.map(|_| true)
    }

    /// Removes a role from a member. Sends nothing and returns `false` when `actual`, the member's present roles, lacks it.
    ///
    /// # Errors
    /// As [`Calls::assign_role`].
    pub async fn remove_role(
        &self,
        guild: Id<GuildMarker>,
        user: Id<UserMarker>,
        role: Id<RoleMarker>,
        actual: Option<&[Id<RoleMarker>]>,
        reason: &str,
    ) -> Result<bool, Error> {
        if actual.is_some_and(|roles| !roles.contains(&role)) {
            return Ok(false);
        }
        let built = self
            .builder()
            .remove_guild_member_role(guild, user, role)
            .reason(reason);
        let request = Request::built(endpoint::REMOVE_ROLE, built.try_into_request())?;
        self.send(request).await.map(|_| true)
    }

    /// Reads a member; `None` for a user who is not on the server.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn member(&self, guild: Id<GuildMarker>, user: Id<UserMarker>) -> Result<Option<Member>, Error> {
        let built = self.builder().guild_member(guild, user).try_into_request();
        let request = Request::built(endpoint::MEMBER, built)?;
        match self.fetch(request).await {
            Ok(member) => Ok(Some(member)),
            Err(Error::Gone {
                code: UNKNOWN_MEMBER | UNKNOWN_USER,
                ..
            }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads up to 1,000 members in the order of their ids, beginning after `after`. Fewer than 1,000 are the last page.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn members_after(
        &self,
        guild: Id<GuildMarker>,
        after: Option<Id<UserMarker>>,
    ) -> Result<Vec<Member>, Error> {
        let mut page = self.builder().guild_members(guild).limit(PAGE);
        if let Some(after) = after {
            page = page.after(after);
        }
        let request = Request::built(endpoint::MEMBERS, page.try_into_request())?;
        self.fetch(request).await
    }

    /// Reads all members in the order of their ids, beginning after `after`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn members(&self, guild: Id<GuildMarker>, after: Option<Id<UserMarker>>) -> Result<Vec<Member>, Error> {
        let mut all = Vec::new();
        loop {
            let after = all.last().map(|member: &Member| member.user.id).or(after);
            let page = self.members_after(guild, after).await?;
            let last = page.len() < usize::from(PAGE);
            all.extend(page);
            if last {
                return Ok(all);
            }
        }
    }
}
