//! Roles.

use arrakis_domain::Color;

use super::super::{LiveBot, LiveResource};
use super::unknown::{UnknownValue, Unknowns};
use super::{plain, wire};
use crate::model::{Attributes, Clearable, Kind, Role, Snowflake};

pub(super) fn resources(guild: &wire::Guild, bot: &LiveBot, unknown: &mut Vec<UnknownValue>) -> Vec<LiveResource> {
    guild
        .roles
        .iter()
        .map(|role| resource(role, guild.id, bot, unknown))
        .collect()
}

pub(super) fn resource(
    role: &wire::Role,
    guild: Snowflake,
    bot: &LiveBot,
    unknown: &mut Vec<UnknownValue>,
) -> LiveResource {
    LiveResource {
        managed: role.managed,
        position: wire::position(role.position),
        ..plain(role.id, Attributes::Role(attributes(role, guild, bot, unknown)))
    }
}

fn attributes(role: &wire::Role, guild: Snowflake, bot: &LiveBot, unknown: &mut Vec<UnknownValue>) -> Role {
    let mut unknown = Unknowns::of(Kind::Role, role.id, &role.name, unknown);
    let permissions = unknown.check("permissions", role.permissions.known(), &role.permissions);
    if role.id == guild {
        return Role {
            permissions,
            ..Role::default()
        };
    }
    let mut optional = |field: &str, sent: Option<wire::Integer>| match sent {
        None => Some(Clearable::Cleared),
        Some(sent) => unknown.check(field, color(sent), sent).map(Clearable::Set),
    };
    let secondary_color = optional("secondary_color", role.colors.secondary_color);
    let tertiary_color = optional("tertiary_color", role.colors.tertiary_color);
    let primary = role.colors.primary_color;
    Role {
        name: Some(role.name.clone()),
        color: unknown.check("color", color(primary), primary),
        secondary_color,
        tertiary_color,
        hoist: Some(role.hoist),
        mentionable: Some(role.mentionable),
        permissions,
        unicode_emoji: Some(role.unicode_emoji.clone().unwrap_or_default()),
        given_to_bot: Some(bot.roles.contains(&role.id)),
    }
}

/// Colours have 24 bits.
fn color(sent: wire::Integer) -> Option<Color> {
    let rgb = u32::try_from(sent).ok().filter(|rgb| *rgb <= 0xff_ff_ff);
    rgb.map(Color::from_rgb)
}
