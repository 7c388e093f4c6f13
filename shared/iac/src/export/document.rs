//! A configuration as `discord-server.yaml`.

use std::collections::BTreeMap;

use crate::model::{Address, Attributes, Clearable, Configuration, Kind, Overwrites, ThemeUse};
use crate::yaml::{Yaml, strip, texts, write_comment};

/// Comments of a file, above the section of a kind and above a category or a channel in one.
#[derive(Clone, Debug, Default)]
pub(super) struct Comments {
    pub(super) sections: BTreeMap<Kind, String>,
    pub(super) channels: BTreeMap<Address, String>,
}

/// The configuration as YAML that [`crate::config::load`] reads to the same configuration. `comment` becomes the first lines.
///
/// Themes, variables and flags are replaced by the resulting resources; `from_theme` records the theme.
#[must_use]
pub fn to_yaml(configuration: &Configuration, comment: &str) -> String {
    with_comments(configuration, comment, &Comments::default())
}

/// As [`to_yaml`], with further comments.
pub(super) fn with_comments(configuration: &Configuration, comment: &str, comments: &Comments) -> String {
    let mut out = String::new();
    write_comment(comment, 0, &mut out);
    if let Some(theme) = &configuration.theme {
        out.push_str("\n# The theme that the resources below come from. This record adds none.\n");
        Yaml::Map(vec![("from_theme".to_owned(), record(theme))]).write_block(0, &mut out);
    }
    if configuration.managed_defaults {
        out.push_str(
            "\n# What is not written below has Discord's default, and a change of it is noticed.\ndefaults: managed\n",
        );
    }
    for (kind, value) in sections(configuration, comments) {
        out.push('\n');
        let value = value.under(comments.sections.get(&kind));
        Yaml::Map(vec![(kind.section().to_owned(), value)]).write_block(0, &mut out);
    }
    if configuration.resources.is_empty() && !configuration.managed_defaults && configuration.theme.is_none() {
        out.push_str("{}\n");
    }
    out
}

/// The value of `from_theme`.
fn record(theme: &ThemeUse) -> Yaml {
    let mut fields = vec![
        ("name".to_owned(), Yaml::text(&theme.id)),
        ("version".to_owned(), Yaml::text(&theme.version)),
    ];
    if !theme.digest.is_empty() {
        fields.push(("digest".to_owned(), Yaml::text(&theme.digest)));
    }
    if !theme.variables.is_empty() {
        let values = theme.variables.iter();
        let values = values.map(|(name, value)| (name.clone(), Yaml::text(value)));
        fields.push(("variables".to_owned(), Yaml::Map(values.collect())));
    }
    if !theme.flags.is_empty() {
        let states = theme.flags.iter();
        let states = states.map(|(name, is_on)| (name.clone(), Yaml::Plain(is_on.to_string())));
        fields.push(("flags".to_owned(), Yaml::Map(states.collect())));
    }
    Yaml::Map(fields)
}

fn sections(configuration: &Configuration, comments: &Comments) -> Vec<(Kind, Yaml)> {
    let mut sections = Vec::new();
    for kind in Kind::ALL {
        let value = match kind {
            Kind::Category => categories(configuration, comments),
            Kind::Channel => channels_without_category(configuration),
            kind if kind.is_single() => single(configuration, *kind),
            kind => entries(configuration, *kind),
        };
        let there = configuration.of_kind(*kind).next().is_some();
        if there && (kind.is_single() || !matches!(&value, Yaml::Map(entries) if entries.is_empty())) {
            sections.push((*kind, value));
        }
    }
    sections
}

fn single(configuration: &Configuration, kind: Kind) -> Yaml {
    let fields = configuration
        .of_kind(kind)
        .next()
        .map(|(address, attributes)| attributes_of(configuration, address, attributes, None))
        .unwrap_or_default();
    Yaml::Map(fields)
}

fn entries(configuration: &Configuration, kind: Kind) -> Yaml {
    let entry = |(address, attributes): (&Address, &Attributes)| {
        let fields = attributes_of(configuration, address, attributes, None);
        (key(address), Yaml::Map(fields))
    };
    Yaml::Map(configuration.of_kind(kind).map(entry).collect())
}

fn key(address: &Address) -> String {
    address.key().map(ToString::to_string).unwrap_or_default()
}

/// The section of categories, with their channels.
fn categories(configuration: &Configuration, comments: &Comments) -> Yaml {
    let category = |(address, attributes): (&Address, &Attributes)| {
        let mut fields = attributes_of(configuration, address, attributes, None);
        let own = attributes.channel().and_then(|category| category.overwrites.as_ref());
        let channels: Vec<(String, Yaml)> = configuration
            .channels_in(Some(address))
            .filter_map(|channel| Some((channel, configuration.get(channel)?)))
            .map(|(channel, attributes)| {
                let mut fields = attributes_of(configuration, channel, attributes, own);
                // The position in the file determines the category.
                fields.retain(|(name, _)| name != "category");
                (key(channel), Yaml::Map(fields).under(comments.channels.get(channel)))
            })
            .collect();
        if !channels.is_empty() {
            fields.push(("channels".to_owned(), Yaml::Map(channels)));
        }
        (key(address), Yaml::Map(fields).under(comments.channels.get(address)))
    };
    Yaml::Map(configuration.of_kind(Kind::Category).map(category).collect())
}

/// The section of channels in no category, or in an unmanaged one.
fn channels_without_category(configuration: &Configuration) -> Yaml {
    let stands_above = |attributes: &Attributes| {
        let category = attributes.channel()?.category.as_ref()?.value()?.address()?;
        configuration.get(category).map(|_| ())
    };
    let loose = configuration
        .of_kind(Kind::Channel)
        .filter(|(_, attributes)| stands_above(attributes).is_none());
    let entry = |(address, attributes): (&Address, &Attributes)| {
        let mut fields = attributes_of(configuration, address, attributes, None);
        // No category is the default.
        if attributes
            .channel()
            .is_some_and(|channel| channel.category == Some(Clearable::Cleared))
        {
            fields.retain(|(name, _)| name != "category");
        }
        (key(address), Yaml::Map(fields))
    };
    Yaml::Map(loose.map(entry).collect())
}

/// The attributes in display order; `synced_with` are the overwrites of the category.
fn attributes_of(
    configuration: &Configuration,
    address: &Address,
    attributes: &Attributes,
    synced_with: Option<&Overwrites>,
) -> Vec<(String, Yaml)> {
    let map = attributes.to_map();
    let mut defaults = if configuration.managed_defaults && !address.is_everyone() {
        attributes.defaults().to_map()
    } else {
        serde_json::Map::new()
    };
    // The kind has no default, and the other defaults depend on it.
    defaults.remove("kind");
    let (mut fields, mut unmanaged) = (Vec::new(), Vec::new());
    for field in attributes.fields() {
        let Some(json) = map.get(*field) else {
            if defaults.contains_key(*field) || is_implied(address, attributes, field) {
                unmanaged.push((*field).to_owned());
            }
            continue;
        };
        if defaults.get(*field) == Some(json) {
            continue;
        }
        if let Some(written) = attributes.written(field, synced_with) {
            fields.extend(written);
            continue;
        }
        let value = Yaml::from_json(json);
        let value = match attributes.kind().short_reference(field) {
            Some(prefix) => strip(value, prefix),
            None => value,
        };
        fields.push(((*field).to_owned(), value));
    }
    if !unmanaged.is_empty() {
        fields.push(("unmanaged".to_owned(), texts(&unmanaged)));
    }
    fields
}

/// Whether the reader sets the attribute when it is absent.
fn is_implied(address: &Address, attributes: &Attributes, field: &str) -> bool {
    match field {
        "name" => !address.is_permanent(),
        "permissions" => !address.is_everyone(),
        "category" => matches!(attributes, Attributes::Channel(_)),
        _ => false,
    }
}
