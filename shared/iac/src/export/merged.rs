//! A theme merged into a file: its resources as the configuration has them, with comments that explain them.

use std::collections::BTreeMap;

use arrakis_domain::{Access, Audience, Category, Channel as ThemeChannel, Permission, Role, Theme};

use super::document::{Comments, with_comments};
use crate::model::{Address, Attributes, Configuration, Kind, LogicalName, Server};

/// The configuration as YAML, as [`super::to_yaml`], for a configuration that consists of a theme. A comment above each category
/// and channel describes who has access, in the theme's tiers. `theme` has the values of variables and flags that
/// `configuration` was made with.
#[must_use]
pub fn merged(configuration: &Configuration, theme: &Theme) -> String {
    with_comments(configuration, &head(theme), &comments(configuration, theme))
}

fn head(theme: &Theme) -> String {
    let id = &theme.id;
    let mut text = format!(
        "{} {}: {}\n\n`gaib server init --theme {id}` wrote this file: every role, category and channel of the theme, with the values \
         of its variables and\nflags. Edit it; the theme adds nothing to it. `gaib server plan` shows the changes that an apply would \
         make. With `--link`, init writes\na short file that refers to the theme.",
        theme.name, theme.version, theme.description
    );
    if theme.roles.iter().any(is_administrator) {
        text.push_str("\n\nRoles with ADMINISTRATOR have access to every channel, regardless of its overwrites.");
    }
    text
}

fn is_administrator(role: &Role) -> bool {
    role.permissions.contains(Permission::Administrator)
}

fn comments(configuration: &Configuration, theme: &Theme) -> Comments {
    let mut sections = BTreeMap::from([
        (Kind::Role, "From the highest to the lowest.".to_owned()),
        (Kind::Category, "From the top.".to_owned()),
    ]);
    if let Some(Attributes::Server(Server {
        community: Some(true), ..
    })) = configuration.get(&Address::SERVER)
    {
        let reason =
            "Community, which announcement channels require. Discord requires the two channels and the levels below.";
        sections.insert(Kind::Server, reason.to_owned());
    }
    let mut channels = BTreeMap::new();
    for category in &theme.categories {
        channels.extend(address(Kind::Category, category.key.as_str()).zip(Some(seen_by(theme, category))));
        for channel in &category.channels {
            channels.extend(address(Kind::Channel, channel.key.as_str()).zip(Some(access(theme, channel))));
        }
    }
    Comments { sections, channels }
}

/// Keys of themes follow the rules of logical names, so this is never `None`.
fn address(kind: Kind, key: &str) -> Option<Address> {
    LogicalName::new(key).ok().map(|key| Address::of(kind, key))
}

/// The audience of a category: the members who can view one of its channels.
fn seen_by(theme: &Theme, category: &Category) -> String {
    let mut all = Audience::default();
    for channel in &category.channels {
        for (_, audience) in levels(&channel.access) {
            all.everyone |= audience.everyone;
            all.roles.extend(audience.roles.iter().cloned());
        }
    }
    format!("Seen by {}.", members(theme, &all))
}

fn levels(access: &Access) -> Vec<(&'static str, &Audience)> {
    match access {
        Access::Text { read, write } => vec![("read", read), ("write", write)],
        Access::Voice { see, join, speak } => vec![("see", see), ("join", join), ("speak", speak)],
    }
}

/// `Read: Hajra and above. Write: Ichwan and above.` The topic of a voice channel comes first, since Discord has none for it.
fn access(theme: &Theme, channel: &ThemeChannel) -> String {
    let mut grouped: Vec<(Vec<&str>, String)> = Vec::new();
    for (level, audience) in levels(&channel.access) {
        let members = members(theme, audience);
        match grouped.last_mut() {
            Some((levels, same)) if *same == members => levels.push(level),
            _ => grouped.push((vec![level], members)),
        }
    }
    let mut text = match channel.kind.is_voice() {
        true => format!("{}\n", channel.topic),
        false => String::new(),
    };
    let sentences = grouped.iter().map(|(levels, members)| {
        let levels = levels.join(", ");
        let (first, rest) = levels.split_at(1);
        format!("{}{rest}: {members}.", first.to_uppercase())
    });
    text.push_str(&sentences.collect::<Vec<_>>().join(" "));
    text
}

/// The members of an audience: `everyone`, or roles from the highest to the lowest. All tiers down to one are `Hajra and above`.
fn members(theme: &Theme, audience: &Audience) -> String {
    if audience.everyone {
        return "everyone".to_owned();
    }
    let of_tiers = theme.tiers.iter().filter_map(|tier| theme.role_of_tier(&tier.id));
    let highest: Vec<&Role> = of_tiers.take_while(|role| audience.roles.contains(&role.key)).collect();
    let mut names: Vec<String> = match highest.as_slice() {
        [] => Vec::new(),
        [only] => vec![only.name.clone()],
        [.., lowest] => vec![format!("{} and above", lowest.name)],
    };
    let others = theme.roles.iter().filter(|role| audience.roles.contains(&role.key));
    let others = others.filter(|role| highest.iter().all(|named| named.key != role.key));
    names.extend(others.map(|role| role.name.clone()));
    match names.is_empty() {
        true => "no role".to_owned(),
        false => names.join(", "),
    }
}
