//! Roles.

use arrakis_domain::Color;

use super::super::{LiveBot, LiveResource};
use super::{plain, wire};
use crate::model::{Attributes, Clearable, Role, Snowflake};

pub(super) fn resources(guild: &wire::Guild, bot: &LiveBot) -> Vec<LiveResource> {
    let resource = |role: &wire::Role| LiveResource {
        managed: role.managed,
        position: role.position,
        ..plain(role.id, Attributes::Role(attributes(role, guild.id, bot)))
    };
    guild.roles.iter().map(resource).collect()
}

fn attributes(role: &wire::Role, guild: Snowflake, bot: &LiveBot) -> Role {
    if role.id == guild {
        return Role {
            permissions: Some(role.permissions),
            ..Role::default()
        };
    }
    let optional = |rgb: Option<u32>| Some(Clearable::from(rgb.map(Color::from_rgb)));
    let (primary, secondary, tertiary) = match &role.colors {
        Some(colors) => (colors.primary_color, colors.secondary_color, colors.tertiary_color),
        None => (role.color, None, None),
    };
    Role {
        name: Some(role.name.clone()),
        color: Some(Color::from_rgb(primary)),
        secondary_color: optional(secondary),
        tertiary_color: optional(tertiary),
        hoist: Some(role.hoist),
        mentionable: Some(role.mentionable),
        permissions: Some(role.permissions),
        unicode_emoji: Some(role.unicode_emoji.clone().unwrap_or_default()),
        given_to_bot: Some(bot.roles.contains(&role.id)),
    }
}
