//! The resources of a theme.

use std::collections::{BTreeMap, BTreeSet};

use arrakis_domain::{
    Category, Channel as ThemeChannel, ChannelKind as ThemeKind, Overwrite as ThemeOverwrite, Role as ThemeRole,
    RoleRule, Theme, Variable,
};
use arrakis_themes::{Registry, RegistryError, Settings};

use super::variables::{Given, ThemeMap, state, typed};
use crate::grammar::with_article;
use crate::model::{
    Address, Attributes, Channel, ChannelKind, Clearable, Configuration, Kind, LogicalName, Overwrite, Overwrites,
    Resource, Role, Server, Tag, Target, ThemeUse,
};
use crate::yaml::reader::Reader;
use crate::yaml::tree::shortened;

/// The resources of a theme: roles, categories, channels with overwrites, and settings.
#[must_use]
pub fn from_theme(theme: &Theme) -> Configuration {
    let mut configuration = Configuration::default();
    let mut add = |address, attributes| {
        configuration.resources.insert(
            address,
            Resource {
                attributes,
                origin: None,
            },
        );
    };
    let settings = &theme.settings;
    let server = Server {
        name: settings.name.clone(),
        verification_level: settings.verification_level.map(Into::into),
        default_notifications: settings.default_notifications.map(Into::into),
        explicit_content_filter: settings.explicit_content_filter.map(Into::into),
        ..Server::default()
    };
    if server != Server::default() {
        add(Address::SERVER, Attributes::Server(server));
    }
    for role in &theme.roles {
        if let Some(address) = address(Kind::Role, role.key.as_str()) {
            add(address, Attributes::Role(of_role(role)));
        }
    }
    for category in &theme.categories {
        let Some(own) = address(Kind::Category, category.key.as_str()) else {
            continue;
        };
        add(own.clone(), Attributes::Category(of_category(category)));
        for channel in &category.channels {
            if let Some(address) = address(Kind::Channel, channel.key.as_str()) {
                add(address, Attributes::Channel(of_channel(channel, &own)));
            }
        }
    }
    configuration.theme = Some(theme_use(theme, configuration.digest()));
    configuration
}

/// The id and version of the theme, with the values that differ from its defaults.
fn theme_use(theme: &Theme, digest: String) -> ThemeUse {
    let variables = theme.variables.iter();
    let variables = variables.filter(|(_, variable)| variable.value != variable.default);
    let flags = theme.flags.iter().filter(|(_, flag)| flag.enabled != flag.default);
    ThemeUse {
        id: theme.id.to_string(),
        version: theme.version.clone(),
        digest,
        variables: variables
            .map(|(name, variable)| (name.clone(), written(&variable.value)))
            .collect(),
        flags: flags.map(|(name, flag)| (name.clone(), flag.enabled)).collect(),
    }
}

/// Keys of themes follow the rules of logical names, so this is never `None`.
fn address(kind: Kind, key: &str) -> Option<Address> {
    LogicalName::new(key).ok().map(|key| Address::of(kind, key))
}

fn of_role(role: &ThemeRole) -> Role {
    Role {
        name: Some(role.name.clone()),
        color: Some(role.color),
        hoist: Some(role.hoist),
        mentionable: Some(role.mentionable),
        permissions: Some(role.permissions),
        given_to_bot: (role.given_to == RoleRule::Bot).then_some(true),
        ..Role::default()
    }
}

fn of_category(category: &Category) -> Channel {
    Channel {
        kind: ChannelKind::Category,
        name: Some(category.name.clone()),
        overwrites: Some(overwrites(&category.overwrites())),
        ..Channel::default()
    }
}

fn of_channel(channel: &ThemeChannel, category: &Address) -> Channel {
    let base = Channel {
        name: Some(channel.name.clone()),
        category: Some(Clearable::Set(category.clone().into())),
        overwrites: Some(overwrites(&channel.access.overwrites())),
        ..Channel::default()
    };
    // Discord has no topic for voice channels.
    let topic = (!channel.kind.is_voice()).then(|| channel.topic.clone());
    match &channel.kind {
        ThemeKind::Text { slow_mode_seconds } => Channel {
            kind: ChannelKind::Text,
            topic,
            slow_mode: Some(u32::from(*slow_mode_seconds)),
            ..base
        },
        ThemeKind::Announcement => Channel {
            kind: ChannelKind::Announcement,
            topic,
            ..base
        },
        ThemeKind::Voice { bitrate, user_limit } => Channel {
            kind: ChannelKind::Voice,
            bitrate: Some(*bitrate),
            user_limit: Some(u32::from(*user_limit)),
            ..base
        },
        ThemeKind::Stage { bitrate } => Channel {
            kind: ChannelKind::Stage,
            bitrate: Some(*bitrate),
            ..base
        },
        ThemeKind::Forum { tags } => {
            let tag = |name: &String| Tag {
                id: None,
                name: name.clone(),
                moderated: false,
                emoji: None,
            };
            Channel {
                kind: ChannelKind::Forum,
                topic,
                tags: Some(tags.iter().map(tag).collect()),
                ..base
            }
        }
    }
}

fn overwrites(theirs: &[ThemeOverwrite]) -> Overwrites {
    let target = |overwrite: &ThemeOverwrite| match &overwrite.role {
        None => Some(Target::Everyone),
        Some(role) => address(Kind::Role, role.as_str()).map(Target::from),
    };
    let ours = theirs.iter().filter_map(|one| {
        Some((
            target(one)?,
            Overwrite {
                allow: one.allow,
                deny: one.deny,
            },
        ))
    });
    // Discord may drop an overwrite without permissions.
    ours.filter(|(_, overwrite)| *overwrite != Overwrite::default())
        .collect()
}

/// The theme of a file.
pub(crate) struct Base {
    /// The resources of the theme, without those in `without`.
    pub(crate) configuration: Configuration,
    /// Addresses of the theme that are absent, with the reason.
    pub(crate) absent: BTreeMap<Address, String>,
}

/// Resolves the theme with the values of the file and the given ones. Adds its variables and flags to those of the file.
pub(crate) fn used(
    entry: &ThemeMap,
    themes: &Registry,
    given: &BTreeMap<String, Given>,
    flags: &mut BTreeMap<String, bool>,
    reader: &mut Reader<'_>,
) -> Option<Base> {
    let name = entry.name.as_ref()?;
    let plain = match themes.theme(&name.value.0) {
        Ok(theme) => theme,
        Err(error) => {
            let reason = format!("there is no theme `{}`", name.value.0);
            let nearest = match error {
                RegistryError::Unknown { nearest, .. } => nearest,
                _ => None,
            };
            match nearest {
                Some(nearest) => reader.refuse_for(name.at, reason, nearest),
                None => reader.refuse(name.at, reason),
            }
            return None;
        }
    };
    let mut settings = Settings::default();
    set_variables(entry, &plain.variables, given, &mut settings, reader);
    set_flags(entry, plain, given, &mut settings, reader);
    let theme = match themes.with_settings(&name.value.0, &settings) {
        Ok(theme) => theme,
        Err(error) => {
            reader.refuse(name.at, error.to_string());
            return None;
        }
    };
    for (name, variable) in &theme.variables {
        reader
            .scope
            .values
            .entry(name.clone())
            .or_insert_with(|| variable.value.clone());
    }
    for (name, flag) in &theme.flags {
        flags.entry(name.clone()).or_insert(flag.enabled);
    }
    let mut configuration = from_theme(&theme);
    let whole = plain
        .flags
        .keys()
        .fold(settings, |settings, flag| settings.with_flag(flag, true));
    let whole = themes
        .with_settings(&name.value.0, &whole)
        .map(|theme| from_theme(&theme))
        .unwrap_or_default();
    let switched_off = whole
        .resources
        .keys()
        .filter(|address| !configuration.resources.contains_key(*address));
    let mut absent: BTreeMap<Address, String> = switched_off
        .map(|address| (address.clone(), "a flag of the theme excludes it".to_owned()))
        .collect();
    leave_out(entry, &mut configuration, &mut absent, reader);
    Some(Base { configuration, absent })
}

fn set_variables(
    entry: &ThemeMap,
    known: &BTreeMap<String, Variable>,
    given: &BTreeMap<String, Given>,
    settings: &mut Settings,
    reader: &mut Reader<'_>,
) {
    for (name, value) in entry.variables.iter().flat_map(|variables| &variables.value.0) {
        let Some(variable) = known.get(&name.value) else {
            let reason = format!("the theme has no variable `{}`", shortened(&name.value));
            reader.refuse_near(name.at, reason, &name.value, known.keys().map(String::as_str));
            continue;
        };
        let kind = variable.default.kind();
        let scope = &reader.scope.values;
        let lookup = |other: &str| {
            let value = scope
                .get(other)
                .ok_or_else(|| format!("there is no variable `{other}` in this file"))?;
            arrakis_themes::as_text(value).ok_or_else(|| format!("`{other}` is a list and cannot be part of a text"))
        };
        let put_in = |text: &str| arrakis_themes::expand(text, lookup).map_err(|(_, reason)| reason);
        match typed(kind, &value.value, put_in) {
            Ok(value) => drop(settings.variables.insert(name.value.clone(), written(&value))),
            Err(reason) => reader.refuse(
                value.at,
                format!("`{}`, {}: {reason}", name.value, with_article(kind.as_str())),
            ),
        }
    }
    for (name, variable) in known {
        if reader.scope.values.contains_key(name) {
            let reason =
                format!("the theme has a variable `{name}`; set it under `theme.variables` or rename this one");
            reader.refuse_file(reason);
        }
        let kind = variable.default.kind();
        match given
            .get(name)
            .map(|given| (given.fits(kind), given.value(name, kind), given.text()))
        {
            Some((true, Ok(_), text)) => drop(settings.variables.insert(name.clone(), text)),
            Some((_, Err(problem), _)) => reader.push(problem),
            _ => {}
        }
    }
}

/// A value as a setting of a theme.
fn written(value: &arrakis_domain::Value) -> String {
    match value {
        arrakis_domain::Value::List(items) => items.join(","),
        other => arrakis_themes::as_text(other).unwrap_or_default(),
    }
}

fn set_flags(
    entry: &ThemeMap,
    theme: &Theme,
    given: &BTreeMap<String, Given>,
    settings: &mut Settings,
    reader: &mut Reader<'_>,
) {
    for (name, value) in entry.flags.iter().flat_map(|flags| &flags.value.0) {
        if theme.flags.contains_key(&name.value) {
            settings.flags.insert(name.value.clone(), value.value.0);
        } else {
            let reason = format!("the theme has no flag `{}`", shortened(&name.value));
            reader.refuse_near(name.at, reason, &name.value, theme.flags.keys().map(String::as_str));
        }
    }
    for (name, flag) in &theme.flags {
        let default = settings.flags.get(name).copied().unwrap_or(flag.default);
        settings.flags.insert(name.clone(), state(name, default, given, reader));
    }
}

fn leave_out(
    entry: &ThemeMap,
    configuration: &mut Configuration,
    absent: &mut BTreeMap<Address, String>,
    reader: &mut Reader<'_>,
) {
    let mut left_out: BTreeSet<Address> = BTreeSet::new();
    for link in entry.without.iter().flat_map(|without| &without.value.0) {
        match link.value.0.parse::<Address>() {
            Ok(address) if configuration.resources.contains_key(&address) => drop(left_out.insert(address)),
            Ok(address) if absent.contains_key(&address) => {}
            Ok(address) => {
                let known: Vec<String> = configuration.resources.keys().map(ToString::to_string).collect();
                let reason = format!("the theme has no {address}");
                reader.refuse_near(link.at, reason, &link.value.0, known.iter().map(String::as_str));
            }
            Err(error) => reader.refuse(link.at, error.to_string()),
        }
    }
    let below: Vec<Address> = left_out
        .iter()
        .flat_map(|category| configuration.channels_in(Some(category)).cloned())
        .collect();
    left_out.extend(below);
    for address in left_out {
        configuration.resources.shift_remove(&address);
        absent.insert(address, "`theme.without` excludes it".to_owned());
    }
    // The overwrites may refer to a role that was removed.
    let gone = |target: &Target| matches!(target, Target::Role(role) if role.address().is_some_and(|role| absent.contains_key(role)));
    for resource in configuration.resources.values_mut() {
        if let Attributes::Category(channel) | Attributes::Channel(channel) = &mut resource.attributes
            && let Some(overwrites) = &mut channel.overwrites
        {
            overwrites.retain(|target, _| !gone(target));
        }
    }
}
