//! Shared by the member events: the bodies' common fields, and the repair of a member's roles.

use arrakis_domain::{RoleDifference, RoleKey};
use serde::Deserialize;
use time::OffsetDateTime;
use twilight_model::id::Id;
use twilight_model::id::marker::{GuildMarker, RoleMarker, UserMarker};

use super::Event;
use crate::community::Community;
use crate::failure::Failure;
use crate::roles;
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
    /// The name that Discord shows for a user without a nickname.
    pub(super) fn name(&self) -> &str {
        self.global_name.as_deref().unwrap_or(&self.username)
    }
}

/// The body of `GUILD_MEMBER_ADD` and `GUILD_MEMBER_UPDATE`.
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
    /// The name that the server shows.
    pub(super) fn name(&self) -> &str {
        self.nick.as_deref().unwrap_or_else(|| self.user.name())
    }
}

/// Assigns and removes roles of a member, and records those that could not be changed.
pub(super) async fn repair_roles(
    services: &Services,
    event: &Event,
    community: &Community,
    user: Id<UserMarker>,
    difference: &RoleDifference,
    cause: &'static str,
) -> Result<(), Failure> {
    let calls = services
        .discord
        .sync(community.guild())
        .traced(&event.labels.traceparent);
    let broken = roles::change(services, &calls, community, user, difference, cause).await?;
    roles::record_broken(services, community, &broken).await
}

/// The roles' keys, for an audit entry.
pub(super) fn role_names<'a>(keys: impl IntoIterator<Item = &'a RoleKey>) -> Vec<&'a str> {
    keys.into_iter().map(RoleKey::as_str).collect()
}
