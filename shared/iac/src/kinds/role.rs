//! Roles.

use std::collections::BTreeSet;

use arrakis_domain::{Color, Permission, Permissions};
use serde::Deserialize;
use serde_json::Value;

use super::definition::{
    Abilities, Bound, Definition, Group, Limit, ListRequest, ReadContext, Requirement, Resolve, Sent, Violation, Write,
};
use super::draft::{Draft, Section, present, resource_entry};
use super::server::Guild;
use super::{Attributes, LiveResource};
use crate::rules;
use crate::values::limits::MAX_ROLES;
use crate::values::{Clearable, Image, ImageAttribute, Kind, Kinds, Overwrites, Reference, RulePart, Snowflake};
use crate::wire::{self, Bits, Integer, UnknownValue, UnknownValues, Unreadable, nullable};
use crate::yaml::reader::{At, Reader};
use crate::yaml::scalar::{Hue, Limited, Link, List, Named, OrNone, PermissionName, Text, Truth};
use crate::yaml::{KnownAddresses, Yaml};

attributes! {
    /// The attributes of a role. `role.everyone` has only permissions.
    pub struct Role {
        /// The name that Discord shows.
        name: String,
        /// Its colour; `#000000` is none.
        color: Color,
        /// The second colour of a gradient, on servers with gradients.
        secondary_color: Clearable<Color>,
        /// The third colour of a holographic role, on servers with such roles.
        tertiary_color: Clearable<Color>,
        /// Whether its members are listed separately.
        hoist: bool,
        /// Whether every member can mention it.
        mentionable: bool,
        /// Permissions on the server. They are always sent at creation, since Discord copies those of @everyone otherwise.
        @with("crate::values::optional_names") permissions: Permissions,
        /// A Unicode emoji as its icon, on servers with role icons; empty for none.
        unicode_emoji: String,
        /// Whether the bot that applies the plan has the role.
        given_to_bot: bool,
    }
}

document! {
    /// A role.
    pub(crate) struct RoleEntry {
        /// The name that Discord shows; the logical name when absent.
        name: Limited<1, 100>,
        /// Its colour, `#RRGGBB`; `#000000` is none.
        color: Hue,
        /// The second colour of a gradient, or `none`; on servers with gradients.
        secondary_color: OrNone<Hue>,
        /// The third colour of a holographic role, or `none`.
        tertiary_color: OrNone<Hue>,
        /// Whether its members are listed separately.
        hoist: Truth,
        /// Whether every member can mention it.
        mentionable: Truth,
        /// Permissions on the server.
        permissions: List<PermissionName>,
        /// A Unicode emoji as its icon, on servers with role icons; empty for none.
        unicode_emoji: Limited<0, 100>,
        /// Whether the bot that applies the plan has the role.
        given_to_bot: Truth,
        /// Attributes that are not managed, also where `defaults` or a theme contain them.
        unmanaged: List<Text<1, 50>>,
        /// The flag that removes it from the configuration while the flag is off.
        flag: Text<1, 50>,
        /// The role directly above, where the order of the file is not the intended one.
        after: Link,
        /// The role directly below, where the order of the file is not the intended one.
        before: Link,
    }
}

resource_entry!(RoleEntry, flag);

impl Section for Named<RoleEntry> {
    fn build(section: &At<Self>, names: &KnownAddresses, draft: &mut Draft, reader: &mut Reader<'_>) {
        for (address, name, entry) in present(section, Kind::Role, names) {
            let own = written(&entry.value);
            let mut role = match draft.resources.get(&address) {
                Some(Attributes::Role(theirs)) => theirs.clone(),
                _ => Role::default(),
            };
            role.override_with(own);
            if address.is_everyone() {
                refuse_more_than_permissions(entry, reader);
            } else {
                role.name.get_or_insert_with(|| name.value.clone());
                // Discord would copy @everyone's permissions to a role that is made without any.
                role.permissions.get_or_insert(Permissions::NONE);
            }
            if role
                .tertiary_color
                .as_ref()
                .is_some_and(|color| color.value().is_some())
                && role
                    .secondary_color
                    .as_ref()
                    .is_none_or(|color| color.value().is_none())
            {
                let parts = ["secondary_color", "tertiary_color"].map(|field| RulePart::Attribute(field.to_owned()));
                reader.break_rule_of(
                    name.at,
                    &address,
                    &parts,
                    "a role with a third colour has a second one, too",
                );
            }
            draft.put(address, Attributes::Role(role), name.at);
        }
    }
}

fn written(entry: &RoleEntry) -> Role {
    let set = |list: &At<List<PermissionName>>| {
        list.value
            .0
            .iter()
            .fold(Permissions::NONE, |set, permission| set | permission.value.0)
    };
    Role {
        name: entry.name.as_ref().map(|name| name.value.0.clone()),
        color: entry.color.as_ref().map(|color| color.value.0),
        secondary_color: written_color(entry.secondary_color.as_ref()),
        tertiary_color: written_color(entry.tertiary_color.as_ref()),
        hoist: entry.hoist.as_ref().map(|hoist| hoist.value.0),
        mentionable: entry.mentionable.as_ref().map(|mentionable| mentionable.value.0),
        permissions: entry.permissions.as_ref().map(set),
        unicode_emoji: entry.unicode_emoji.as_ref().map(|emoji| emoji.value.0.clone()),
        given_to_bot: entry.given_to_bot.as_ref().map(|given| given.value.0),
    }
}

fn written_color(entry: Option<&At<OrNone<Hue>>>) -> Option<Clearable<Color>> {
    entry.map(|color| match &color.value.0 {
        Clearable::Cleared => Clearable::Cleared,
        Clearable::Set(Hue(color)) => Clearable::Set(*color),
    })
}

/// @everyone has permissions and nothing else that could be changed.
fn refuse_more_than_permissions(entry: &At<RoleEntry>, reader: &mut Reader<'_>) {
    let RoleEntry {
        name,
        color,
        secondary_color,
        tertiary_color,
        hoist,
        mentionable,
        permissions: _,
        unicode_emoji,
        given_to_bot,
        unmanaged: _,
        flag: _,
        after,
        before,
    } = &entry.value;
    let marks = [
        name.as_ref().map(|one| one.at),
        color.as_ref().map(|one| one.at),
        secondary_color.as_ref().map(|one| one.at),
        tertiary_color.as_ref().map(|one| one.at),
        hoist.as_ref().map(|one| one.at),
        mentionable.as_ref().map(|one| one.at),
        unicode_emoji.as_ref().map(|one| one.at),
        given_to_bot.as_ref().map(|one| one.at),
        after.as_ref().map(|one| one.at),
        before.as_ref().map(|one| one.at),
    ];
    for at in marks.into_iter().flatten() {
        reader.refuse(
            at,
            "`everyone` is the role of all members; only its `permissions` can be set",
        );
    }
}

impl Definition for Role {
    const IMAGE: Option<ImageAttribute> = None;
    const LIST: Option<ListRequest> = None;
    const SHORT_REFERENCES: &'static [(&'static str, &'static str)] = &[];
    const CONTAINER: Option<&'static str> = None;

    fn of(attributes: &Attributes) -> Option<&Self> {
        match attributes {
            Attributes::Role(role) => Some(role),
            _ => None,
        }
    }

    fn name(&self) -> Option<&String> {
        self.name.as_ref()
    }

    fn name_mut(&mut self) -> Option<&mut String> {
        self.name.as_mut()
    }

    fn stored_name(&self, name: &str) -> String {
        name.trim().to_owned()
    }

    fn image(&self) -> Option<&Image> {
        None
    }

    fn image_mut(&mut self) -> Option<&mut Option<Image>> {
        None
    }

    fn defaults(&self) -> Self {
        Self {
            name: None,
            color: Some(Color::from_rgb(0)),
            secondary_color: Some(Clearable::Cleared),
            tertiary_color: Some(Clearable::Cleared),
            hoist: Some(false),
            mentionable: Some(false),
            permissions: Some(Permissions::NONE),
            unicode_emoji: Some(String::new()),
            given_to_bot: Some(false),
        }
    }

    fn references(&self) -> Vec<&Reference> {
        Vec::new()
    }

    fn map_references(&mut self, _: &mut dyn FnMut(Kinds, &mut Reference)) {}

    fn remove_references(&mut self, _: &dyn Fn(&Reference) -> bool) -> bool {
        true
    }

    fn forces_replacement(&self, _: &Self) -> Option<&'static str> {
        None
    }

    fn is_same_place(&self, _: &Self, _: Resolve<'_>) -> bool {
        true
    }

    fn requirements(_: Write<'_, Self>) -> Vec<Requirement> {
        Requirement::on_server(&[Permission::ManageRoles])
    }

    fn limits(&self, _: Resolve<'_>) -> Vec<Limit> {
        vec![Limit::all(Kind::Role)]
    }

    fn bound(_: Group, _: u8) -> Bound {
        Bound {
            most: MAX_ROLES,
            what: "roles (including @everyone)",
            rule: rules::ROLES_LIMIT,
            what_to_do: "remove roles from the server or from the configuration",
        }
    }

    fn violations(&self, sent: Sent<'_>, server: &Abilities<'_>) -> Vec<Violation> {
        let has_icon = sent.has("unicode_emoji") && self.unicode_emoji.as_ref().is_some_and(|emoji| !emoji.is_empty());
        let colors = [
            ("secondary_color", &self.secondary_color),
            ("tertiary_color", &self.tertiary_color),
        ];
        let has_gradient = colors
            .into_iter()
            .any(|(field, color)| sent.has(field) && color.as_ref().and_then(Clearable::value).is_some());
        let asked = [
            (has_icon, rules::ROLE_ICON, "ROLE_ICONS", "role icons"),
            (
                has_gradient,
                rules::ROLE_GRADIENT,
                "ENHANCED_ROLE_COLORS",
                "gradient colours",
            ),
        ];
        let lacking = asked
            .into_iter()
            .filter(|(is_asked, _, feature, _)| *is_asked && !server.features.contains(*feature));
        lacking
            .map(|(_, rule, feature, what)| Violation {
                rule,
                what: format!("this server has no {what} (it lacks the feature {feature}): {{}}"),
                what_to_do: "boost the server, or remove them from the configuration".to_owned(),
            })
            .collect()
    }

    fn written(&self, _: &str, _: Option<&Overwrites>) -> Option<Vec<(String, Yaml)>> {
        None
    }

    fn read_answer(answer: &Value, server: ReadContext<'_>) -> Result<Option<Attributes>, Unreadable> {
        let found: RoleObject = wire::read("PATCH /guilds/{id}/roles/{role}", answer)?;
        let role = resource(&found, server.guild, &BTreeSet::new(), &mut Vec::new());
        Ok(Some(role.attributes))
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Colors {
    primary_color: Integer,
    #[serde(deserialize_with = "nullable")]
    secondary_color: Option<Integer>,
    #[serde(deserialize_with = "nullable")]
    tertiary_color: Option<Integer>,
}

/// A role as Discord sends it.
#[derive(Debug, Deserialize)]
pub(crate) struct RoleObject {
    pub(crate) id: Snowflake,
    pub(crate) name: String,
    pub(crate) colors: Colors,
    pub(crate) hoist: bool,
    pub(crate) mentionable: bool,
    pub(crate) managed: bool,
    pub(crate) position: Integer,
    pub(crate) permissions: Bits,
    /// Required by the OpenAPI document; optional in the reference.
    pub(crate) unicode_emoji: Option<String>,
}

/// The roles in a response; `bot_roles` are those that the bot has.
pub(crate) fn read(
    guild: &Guild,
    bot_roles: &BTreeSet<Snowflake>,
    unknown: &mut Vec<UnknownValue>,
) -> Vec<LiveResource> {
    guild
        .roles
        .iter()
        .map(|role| resource(role, guild.id, bot_roles, unknown))
        .collect()
}

fn resource(
    role: &RoleObject,
    guild: Snowflake,
    bot_roles: &BTreeSet<Snowflake>,
    unknown: &mut Vec<UnknownValue>,
) -> LiveResource {
    LiveResource {
        managed: role.managed,
        position: wire::position(role.position),
        ..LiveResource::new(role.id, Attributes::Role(attributes(role, guild, bot_roles, unknown)))
    }
}

fn attributes(
    role: &RoleObject,
    guild: Snowflake,
    bot_roles: &BTreeSet<Snowflake>,
    unknown: &mut Vec<UnknownValue>,
) -> Role {
    let mut unknown = UnknownValues::of(Kind::Role, role.id, &role.name, unknown);
    let permissions = unknown.check("permissions", role.permissions.known(), &role.permissions);
    if role.id == guild {
        return Role {
            permissions,
            ..Role::default()
        };
    }
    let mut optional = |field: &str, sent: Option<Integer>| match sent {
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
        given_to_bot: Some(bot_roles.contains(&role.id)),
    }
}

/// Colours have 24 bits.
fn color(sent: Integer) -> Option<Color> {
    let rgb = u32::try_from(sent).ok().filter(|rgb| *rgb <= 0xff_ff_ff);
    rgb.map(Color::from_rgb)
}
