//! What the three member events have in common: the member, and the repair of roles.

use arrakis_domain::{RoleDifference, RoleKey};
use serde::Deserialize;
use time::OffsetDateTime;
use twilight_model::id::Id;
use twilight_model::id::marker::{GuildMarker, RoleMarker, UserMarker};

use super::Event;
use crate::community::Community;
use crate::failure::Failure;
use crate::roles::{self, Applied};
use crate::services::Services;

/// The user of a member event.
#[derive(Debug, Deserialize)]
pub(super) struct User {
    pub(super) id: Id<UserMarker>,
    username: String,
    global_name: Option<String>,
    #[serde(default)]
    pub(super) bot: bool,
}

impl User {
    /// As Discord shows the user where a server has no name of its own for them.
    pub(super) fn name(&self) -> &str {
        self.global_name.as_deref().unwrap_or(&self.username)
    }
}

/// A member as joins and updates carry it.
#[derive(Debug, Deserialize)]
pub(super) struct Member {
    pub(super) guild_id: Id<GuildMarker>,
    pub(super) user: User,
    nick: Option<String>,
    #[serde(default)]
    pub(super) roles: Vec<Id<RoleMarker>>,
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub(super) joined_at: Option<OffsetDateTime>,
}

impl Member {
    /// As the server shows the member.
    pub(super) fn name(&self) -> &str {
        self.nick.as_deref().unwrap_or_else(|| self.user.name())
    }
}

/// Changes a member's roles and records those that could not be changed.
pub(super) async fn repair_roles(
    services: &Services,
    event: &Event,
    community: &Community,
    user: Id<UserMarker>,
    difference: &RoleDifference,
    cause: &'static str,
) -> Result<Applied, Failure> {
    let calls = services
        .discord
        .sync(community.guild())
        .traced(&event.labels.traceparent);
    let applied = roles::change(services, &calls, community, user, difference, cause).await?;
    roles::record_broken(services, community, &applied).await?;
    Ok(applied)
}

/// Names of roles, for an audit entry.
pub(super) fn names<'a>(keys: impl IntoIterator<Item = &'a RoleKey>) -> Vec<&'a str> {
    keys.into_iter().map(RoleKey::as_str).collect()
}
