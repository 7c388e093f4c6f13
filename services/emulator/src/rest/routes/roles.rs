//! Roles. <https://discord.com/developers/docs/resources/guild#get-guild-roles>

use http::Method;
use serde_json::{Map, Value, json};

use super::cdn::store_image;
use crate::{
    model::{Guild, Id, Permissions, Role, RoleColors, guild::Values},
    rest::{
        call::{AccessChecks, Call, RouteResponse},
        errors::{ApiResult, ErrorCode},
        limits::BucketClass,
        permissions,
        route::{Route, bot},
        validate::{
            form::{FormField, Length, read_body, read_list},
            role::{ColorsForm, RoleForm, read_position, read_role},
        },
    },
    world::State,
};

/// Routes of this file.
pub(super) const ROUTES: &[Route] = &[
    bot(&Method::GET, ALL, BucketClass::ReadRoles, list),
    bot(&Method::POST, ALL, BucketClass::CreateRole, create),
    bot(&Method::PATCH, ALL, BucketClass::EditRoles, move_roles),
    bot(
        &Method::GET,
        "/guilds/{guild_id}/roles/member-counts",
        BucketClass::ReadRoles,
        member_counts,
    ),
    bot(&Method::GET, ONE, BucketClass::ReadRoles, get),
    bot(&Method::PATCH, ONE, BucketClass::EditRoles, edit),
    bot(&Method::DELETE, ONE, BucketClass::EditRoles, delete),
];

const ALL: &str = "/guilds/{guild_id}/roles";
const ONE: &str = "/guilds/{guild_id}/roles/{role_id}";
/// Largest number of roles of a server, @everyone among them.
const MAXIMUM: usize = 250;

fn list(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("guild_id")?;
    call.app
        .world
        .read(|state| Ok(RouteResponse::json(&Values(&state.guild_for_bot(id)?.roles))))
}

fn get(call: &Call) -> ApiResult<RouteResponse> {
    let (guild, role) = (call.id("guild_id")?, call.id("role_id")?);
    call.app.world.read(|state| {
        let role = state
            .guild_for_bot(guild)?
            .roles
            .get(&role)
            .ok_or(ErrorCode::UnknownRole)?;
        Ok(RouteResponse::json(role))
    })
}

fn member_counts(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("guild_id")?;
    call.app.world.read(|state| {
        let guild = state.guild_for_bot(id)?;
        let mut counts = Map::new();
        for role in guild.roles.values().filter(|role| role.id != guild.id) {
            let held = guild.members.values().filter(|member| member.has(role.id)).count();
            counts.insert(role.id.to_string(), json!(held));
        }
        Ok(RouteResponse::json(&Value::Object(counts)))
    })
}

fn colors(form: &RoleForm, current: RoleColors) -> RoleColors {
    let of = |colors: ColorsForm| RoleColors {
        primary_color: colors.primary,
        secondary_color: colors.secondary,
        tertiary_color: colors.tertiary,
    };
    match (form.colors.as_value(), &form.color) {
        (Some(colors), _) => of(*colors),
        (None, FormField::Value(color)) => RoleColors {
            primary_color: *color,
            ..RoleColors::default()
        },
        (None, FormField::Null) => RoleColors::default(),
        (None, FormField::Absent) => current,
    }
}

/// Refuses icons and gradients in servers without the feature.
fn check_features(guild: &Guild, form: &RoleForm) -> ApiResult<()> {
    let icon = form.icon.as_value().is_some() || form.unicode_emoji.as_value().is_some();
    let gradient = form.colors.as_value().is_some_and(|colors| colors.secondary.is_some());
    let lacks = |feature: &str| !guild.has_feature(feature);
    if (icon && lacks("ROLE_ICONS")) || (gradient && lacks("ENHANCED_ROLE_COLORS")) {
        return Err(ErrorCode::NeedsBoosts.into());
    }
    Ok(())
}

/// Refuses changes of permissions that the bot does not have.
fn check_granted(state: &State, guild: &Guild, changed: Permissions) -> ApiResult<()> {
    let own = permissions::in_guild(guild, state.bot_id, state.now());
    if own.contains(changed & Permissions::all()) {
        Ok(())
    } else {
        Err(ErrorCode::MissingPermissions.into())
    }
}

fn create(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("guild_id")?;
    let form = read_body(&call.json_or_empty(), read_role)?;
    call.app.world.write(|state| {
        let guild = state.guild_with(id, Permissions::MANAGE_ROLES)?;
        if guild.roles.len() >= MAXIMUM {
            return Err(ErrorCode::MaximumRoles.into());
        }
        check_features(guild, &form)?;
        let granted = match form.permissions {
            FormField::Value(granted) => {
                check_granted(state, guild, granted)?;
                granted
            }
            // When absent, a new role has the permissions of @everyone.
            FormField::Absent | FormField::Null => {
                guild.roles.get(&id).map(|role| role.permissions).unwrap_or_default()
            }
        };
        let icon = form.icon.clone().value().map(|image| store_image(state, &image));
        let fresh = Role::named(state.next_id(), form.name.as_value().map_or("new role", String::as_str));
        let role = Role {
            permissions: granted,
            colors: colors(&form, RoleColors::default()),
            hoist: form.hoist.clone().value().unwrap_or(false),
            mentionable: form.mentionable.clone().value().unwrap_or(false),
            icon,
            unicode_emoji: form.unicode_emoji.clone().value(),
            ..fresh
        };
        let role_id = role.id;
        state.create_role(id, role, &call.cause());
        let role = state
            .guild_for_bot(id)?
            .roles
            .get(&role_id)
            .ok_or(ErrorCode::UnknownRole)?;
        Ok(RouteResponse::json(role))
    })
}

/// A role that the bot may edit or delete: one below its own highest role.
fn editable(state: &State, guild: Id, role: Id) -> ApiResult<(&Guild, &Role)> {
    let guild = state.guild_with(guild, Permissions::MANAGE_ROLES)?;
    let role = guild.roles.get(&role).ok_or(ErrorCode::UnknownRole)?;
    if permissions::is_above_role(guild, state.bot_id, role) {
        Ok((guild, role))
    } else {
        Err(ErrorCode::MissingPermissions.into())
    }
}

fn edit(call: &Call) -> ApiResult<RouteResponse> {
    let (guild_id, role_id) = (call.id("guild_id")?, call.id("role_id")?);
    let form = read_body(call.json()?, read_role)?;
    call.app.world.write(|state| {
        let (guild, role) = editable(state, guild_id, role_id)?;
        check_features(guild, &form)?;
        let mut role = role.clone();
        if let FormField::Value(wanted) = form.permissions {
            check_granted(state, guild, wanted.symmetric_difference(role.permissions))?;
            role.permissions = wanted;
        }
        if let FormField::Value(flag) = form.mentionable {
            role.mentionable = flag;
        }
        // Of @everyone only permissions and mentions can be changed.
        if role_id != guild_id {
            if let FormField::Value(name) = &form.name {
                role.name.clone_from(name);
            }
            role.colors = colors(&form, role.colors);
            role.hoist = form.hoist.clone().or_default(role.hoist, false);
            role.unicode_emoji = form.unicode_emoji.clone().or_keep(role.unicode_emoji.take());
            let icon = form.icon.clone().map(|image| store_image(state, &image));
            role.icon = icon.or_keep(role.icon.take());
        }
        state.update_role(guild_id, role, &call.cause());
        let role = state
            .guild_for_bot(guild_id)?
            .roles
            .get(&role_id)
            .ok_or(ErrorCode::UnknownRole)?;
        Ok(RouteResponse::json(role))
    })
}

fn delete(call: &Call) -> ApiResult<RouteResponse> {
    let (guild_id, role_id) = (call.id("guild_id")?, call.id("role_id")?);
    call.app.world.write(|state| {
        let (guild, role) = editable(state, guild_id, role_id)?;
        if role.managed || role.id == guild.id {
            return Err(ErrorCode::InvalidRole.into());
        }
        state.delete_role(guild_id, role_id, &call.cause());
        Ok(RouteResponse::NoContent)
    })
}

fn move_roles(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("guild_id")?;
    let entries = read_list(call.json()?, Length::up_to(MAXIMUM), read_position)?;
    call.app.world.write(|state| {
        let guild = state.guild_with(id, Permissions::MANAGE_ROLES)?;
        // Positions are compared by rank, since several roles may have the same one.
        let ranks = guild.ranks();
        let rank = |id: Id| ranks.get(&id).copied().unwrap_or(0);
        let own = permissions::highest_role(guild, state.bot_id).map_or(0, |highest| rank(highest.id));
        let mut positions = Vec::with_capacity(entries.len());
        for entry in &entries {
            let role = guild.roles.get(&Id(entry.id)).ok_or(ErrorCode::UnknownRole)?;
            let Some(position) = entry.position.filter(|position| *position != rank(role.id)) else {
                continue;
            };
            if role.id == guild.id {
                return Err(ErrorCode::InvalidRole.into());
            }
            // Neither the role nor its new position may be at or above the bot's highest role.
            let reaches = guild.owner_id == state.bot_id || position < own;
            if !reaches || !permissions::is_above_role(guild, state.bot_id, role) {
                return Err(ErrorCode::MissingPermissions.into());
            }
            positions.push((role.id, position.max(1)));
        }
        state.move_roles(id, &positions, &call.cause());
        Ok(RouteResponse::json(&Values(&state.guild_for_bot(id)?.roles)))
    })
}
