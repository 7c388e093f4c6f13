//! What the three member events have in common: who it is, and putting roles right.

use arrakis_db::{Actor, NewAuditEntry};
use arrakis_domain::{RoleDifference, RoleKey};
use serde::Deserialize;
use serde_json::json;
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

/// Changes a member's roles and writes down what could not be changed.
pub(super) async fn put_right(
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
    report_broken(services, community, &applied).await?;
    Ok(applied)
}

/// Writes broken roles down by name, once for each role and day, and forgets bindings to roles that are gone.
pub(crate) async fn report_broken(
    services: &Services,
    community: &Community,
    applied: &Applied,
) -> Result<(), Failure> {
    if applied.broken.is_empty() {
        return Ok(());
    }
    let mut tx = services.database.tenant(community.id()).await?;
    let day = services.now().date();
    for broken in &applied.broken {
        tracing::warn!(role = %broken.key, why = broken.why, "a role cannot be given or taken");
        if let Some(role) = broken.role.filter(|_| broken.deleted) {
            tx.communities().unbind_role(role).await?;
        }
        // The claim makes it one entry a day, however many members the role concerns.
        if tx.claim(&format!("role-broken:{}:{day}", broken.key)).await? {
            tx.audit(&NewAuditEntry {
                actor: Actor::System("roles".to_owned()),
                action: "role.broken",
                subject: broken.key.as_str(),
                reason: Some(&broken.why),
                detail: json!({"discord_role": broken.role.map(|role| role.to_string())}),
            })
            .await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

/// Names of roles, for an audit entry.
pub(super) fn names<'a>(keys: impl IntoIterator<Item = &'a RoleKey>) -> Vec<&'a str> {
    keys.into_iter().map(RoleKey::as_str).collect()
}
