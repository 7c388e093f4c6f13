//! A configuration as `discord-server.yaml`.

use indexmap::IndexMap;

use crate::model::{Address, Attributes, Clearable, Configuration, Kind, Overwrites};
use crate::yaml::{Yaml, strip, texts};

/// The configuration as YAML that [`crate::config::load`] reads to the same configuration. `comment` becomes the first lines.
///
/// Themes, variables and flags are replaced by the resulting resources.
#[must_use]
pub fn to_yaml(configuration: &Configuration, comment: &str) -> String {
    let mut out = String::new();
    for line in comment.lines() {
        out.push_str(format!("# {line}").trim_end());
        out.push('\n');
    }
    if configuration.managed_defaults {
        out.push_str(
            "\n# What is not written below has Discord's default, and a change of it is noticed.\ndefaults: managed\n",
        );
    }
    for (section, value) in sections(configuration) {
        out.push('\n');
        Yaml::Map(vec![(section.to_owned(), value)]).write_block(0, &mut out);
    }
    if configuration.resources.is_empty() && !configuration.managed_defaults {
        out.push_str("{}\n");
    }
    out
}

fn sections(configuration: &Configuration) -> IndexMap<&'static str, Yaml> {
    let mut sections = IndexMap::new();
    for kind in Kind::ALL {
        let value = match kind {
            Kind::Category => categories(configuration),
            Kind::Channel => channels_without_category(configuration),
            kind if kind.is_single() => single(configuration, *kind),
            kind => entries(configuration, *kind),
        };
        let there = configuration.of_kind(*kind).next().is_some();
        if there && (kind.is_single() || !matches!(&value, Yaml::Map(entries) if entries.is_empty())) {
            sections.insert(kind.section(), value);
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
fn categories(configuration: &Configuration) -> Yaml {
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
                (key(channel), Yaml::Map(fields))
            })
            .collect();
        if !channels.is_empty() {
            fields.push(("channels".to_owned(), Yaml::Map(channels)));
        }
        (key(address), Yaml::Map(fields))
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
