//! Roles and channels, changed as the owner does in Discord's settings.

use axum::{
    Json,
    extract::{Path, State},
};
use serde::Deserialize;
use serde_json::json;

use super::{
    names,
    response::{Body, ControlError, ControlResult, bad},
};
use crate::{
    AppState,
    model::{Channel, ChannelKind, Guild, Id, Overwrite, OverwriteKind, Permissions},
    seed::{
        describe,
        spec::{ChannelSpec, PermissionSpec, RoleSpec},
    },
    world::{self, Cause},
};

/// A new role with its position.
#[derive(Deserialize)]
pub(super) struct NewRole {
    /// 1 is the lowest above `@everyone`.
    position: Option<i64>,
    #[serde(flatten)]
    spec: RoleSpec,
}

pub(super) async fn create_role(
    State(app): State<AppState>,
    Path(guild): Path<String>,
    Body(new): Body<NewRole>,
) -> ControlResult {
    app.world.write(|state| {
        let guild = names::guild(state, &guild)?;
        let (guild, cause) = (guild.id, Cause::by(guild.owner_id));
        let id = new.spec.id.unwrap_or_else(|| state.next_id());
        let mut role = describe::role(&new.spec, id)?;
        role.position = new.position.unwrap_or(1).max(1);
        state.create_role(guild, role, &cause);
        Ok(Json(json!(
            state.guilds.get(&guild).and_then(|guild| guild.roles.get(&id))
        )))
    })
}

/// Changes of a role; absent fields stay as they are.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RoleEdit {
    name: Option<String>,
    color: Option<crate::seed::spec::ColorSpec>,
    permissions: Option<PermissionSpec>,
    hoist: Option<bool>,
    mentionable: Option<bool>,
    position: Option<i64>,
}

pub(super) async fn edit_role(
    State(app): State<AppState>,
    Path((guild, role)): Path<(String, String)>,
    Body(edit): Body<RoleEdit>,
) -> ControlResult {
    app.world.write(|state| {
        let guild = names::guild(state, &guild)?;
        let mut role = names::role(guild, &role)?.clone();
        let (guild, cause, id) = (guild.id, Cause::by(guild.owner_id), role.id);
        if let Some(color) = &edit.color {
            let color = color
                .rgb()
                .ok_or_else(|| bad("the colour is unreadable", "write #rrggbb or a number"))?;
            role.colors.primary_color = color;
        }
        role.permissions = permissions(edit.permissions.as_ref(), role.permissions)?;
        role.name = edit.name.unwrap_or(role.name);
        role.hoist = edit.hoist.unwrap_or(role.hoist);
        role.mentionable = edit.mentionable.unwrap_or(role.mentionable);
        state.update_role(guild, role, &cause);
        if let Some(position) = edit.position {
            state.move_roles(guild, &[(id, position)], &cause);
        }
        Ok(Json(json!(
            state.guilds.get(&guild).and_then(|guild| guild.roles.get(&id))
        )))
    })
}

pub(super) async fn delete_role(
    State(app): State<AppState>,
    Path((guild, role)): Path<(String, String)>,
) -> ControlResult {
    app.world.write(|state| {
        let guild = names::guild(state, &guild)?;
        let id = names::role(guild, &role)?.id;
        if id == guild.id {
            return Err(bad("@everyone cannot be deleted", "choose another role"));
        }
        let (guild, cause) = (guild.id, Cause::by(guild.owner_id));
        state.delete_role(guild, id, &cause);
        Ok(Json(json!({"deleted": id})))
    })
}

/// An overwrite of a role or a member.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OverwriteEdit {
    role: Option<String>,
    member: Option<String>,
    allow: Option<PermissionSpec>,
    deny: Option<PermissionSpec>,
}

/// A new channel with its category.
#[derive(Deserialize)]
pub(super) struct NewChannel {
    /// Category by id or name.
    parent: Option<String>,
    /// Position among channels of its type.
    position: Option<i64>,
    /// Overwrites, with roles and members by id or name.
    #[serde(default)]
    permission_overwrites: Vec<OverwriteEdit>,
    #[serde(flatten)]
    spec: ChannelSpec,
}

pub(super) async fn create_channel(
    State(app): State<AppState>,
    Path(guild): Path<String>,
    Body(new): Body<NewChannel>,
) -> ControlResult {
    app.world.write(|state| {
        let id = new.spec.id.unwrap_or_else(|| state.next_id());
        let guild = names::guild(state, &guild)?;
        let mut channel = describe::channel(&new.spec, id, guild.id, false)?;
        let parent = new.parent.as_deref().map(|name| category(guild, name)).transpose()?;
        channel.permission_overwrites = if new.permission_overwrites.is_empty() {
            parent
                .map(|parent| parent.permission_overwrites.clone())
                .unwrap_or_default()
        } else {
            overwrites(state, guild, &new.permission_overwrites)?
        };
        channel.parent_id = parent.map(|parent| parent.id);
        let siblings = guild
            .channels
            .values()
            .filter(|other| other.parent_id == channel.parent_id);
        channel.position = new
            .position
            .unwrap_or_else(|| siblings.map(|other| other.position + 1).max().unwrap_or(0));
        let cause = Cause::by(guild.owner_id);
        state.create_channel(channel, &cause);
        Ok(Json(json!(state.channel(id))))
    })
}

/// Changes of a channel; absent fields stay as they are.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChannelEdit {
    name: Option<String>,
    topic: Option<String>,
    position: Option<i64>,
    parent: Option<String>,
    slow_mode: Option<u32>,
    nsfw: Option<bool>,
    /// Replaces all overwrites.
    permission_overwrites: Option<Vec<OverwriteEdit>>,
}

pub(super) async fn edit_channel(
    State(app): State<AppState>,
    Path((guild, channel)): Path<(String, String)>,
    Body(edit): Body<ChannelEdit>,
) -> ControlResult {
    app.world.write(|state| {
        let guild = names::guild(state, &guild)?;
        let mut channel = names::channel(guild, &channel)?.clone();
        let id = channel.id;
        if let Some(list) = &edit.permission_overwrites {
            channel.permission_overwrites = overwrites(state, guild, list)?;
        }
        if let Some(parent) = &edit.parent {
            channel.parent_id = if parent.is_empty() {
                None
            } else {
                Some(category(guild, parent)?.id)
            };
        }
        channel.name = edit.name.unwrap_or(channel.name);
        channel.topic = edit.topic.or(channel.topic);
        channel.position = edit.position.unwrap_or(channel.position);
        channel.rate_limit_per_user = edit.slow_mode.unwrap_or(channel.rate_limit_per_user);
        channel.nsfw = edit.nsfw.unwrap_or(channel.nsfw);
        let cause = Cause::by(guild.owner_id);
        state.update_channel(channel, &cause);
        Ok(Json(json!(state.channel(id))))
    })
}

pub(super) async fn delete_channel(
    State(app): State<AppState>,
    Path((guild, channel)): Path<(String, String)>,
) -> ControlResult {
    app.world.write(|state| {
        let guild = names::guild(state, &guild)?;
        let (id, cause) = (names::channel(guild, &channel)?.id, Cause::by(guild.owner_id));
        state.delete_channel(id, &cause);
        Ok(Json(json!({"deleted": id})))
    })
}

fn category<'a>(guild: &'a Guild, name: &str) -> Result<&'a Channel, ControlError> {
    let found = names::channel(guild, name)?;
    if found.kind == ChannelKind::Category {
        Ok(found)
    } else {
        Err(bad(format!("{name} is not a category"), "name a category"))
    }
}

fn permissions(spec: Option<&PermissionSpec>, default: Permissions) -> Result<Permissions, ControlError> {
    let unknown = |name: String| {
        bad(
            format!("{name} is not a permission"),
            "names are Discord's, e.g. VIEW_CHANNEL",
        )
    };
    spec.map_or(Ok(default), |spec| spec.bits().map_err(unknown))
}

fn overwrites(state: &world::State, guild: &Guild, list: &[OverwriteEdit]) -> Result<Vec<Overwrite>, ControlError> {
    let one = |edit: &OverwriteEdit| -> Result<Overwrite, ControlError> {
        let (id, kind): (Id, _) = match (&edit.role, &edit.member) {
            (Some(role), None) => (names::role(guild, role)?.id, OverwriteKind::Role),
            (None, Some(member)) => (names::member(state, guild, member)?, OverwriteKind::Member),
            _ => {
                return Err(bad(
                    "an overwrite names a role or a member, not both",
                    "give one of \"role\" and \"member\"",
                ));
            }
        };
        let none = Permissions::empty();
        Ok(Overwrite {
            id,
            kind,
            allow: permissions(edit.allow.as_ref(), none)?,
            deny: permissions(edit.deny.as_ref(), none)?,
        })
    };
    list.iter().map(one).collect()
}
