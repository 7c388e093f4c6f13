//! A configuration as `discord-server.yaml`.

use arrakis_domain::Permissions;
use indexmap::IndexMap;

use super::yaml::Yaml;
use crate::model::{
    Address, Attributes, AutomodAction, AutomodTrigger, Channel, Clearable, Configuration, EmojiReference, Event,
    EventPlace, Kind, OnboardingOption, OnboardingPrompt, Overwrites, Reference, Tag, Target, WelcomeChannel,
    permission_names,
};

/// The configuration as YAML that [`crate::config::load`] reads back to the same. `comment` stands over it, line by line.
///
/// Themes, variables and flags are gone: what they came to is written out.
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
        let named = |section: &'static str| (section, entries(configuration, *kind));
        let (section, value) = match kind {
            Kind::Server => single("server", configuration, &Address::SERVER),
            Kind::Role => named("roles"),
            Kind::Category => ("categories", categories(configuration)),
            Kind::Channel => ("channels", loose_channels(configuration)),
            Kind::Emoji => named("emoji"),
            Kind::Sticker => named("stickers"),
            Kind::Webhook => named("webhooks"),
            Kind::Automod => named("automod"),
            Kind::WelcomeScreen => single("welcome_screen", configuration, &Address::WELCOME_SCREEN),
            Kind::Onboarding => single("onboarding", configuration, &Address::ONBOARDING),
            Kind::Event => named("events"),
        };
        let there = configuration.of_kind(*kind).next().is_some();
        if there && (kind.is_single() || !matches!(&value, Yaml::Map(entries) if entries.is_empty())) {
            sections.insert(section, value);
        }
    }
    sections
}

fn single(section: &'static str, configuration: &Configuration, address: &Address) -> (&'static str, Yaml) {
    let fields = configuration
        .get(address)
        .map(|attributes| attributes_of(configuration, address, attributes, None))
        .unwrap_or_default();
    (section, Yaml::Map(fields))
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

/// Categories, each with its channels.
fn categories(configuration: &Configuration) -> Yaml {
    let category = |(address, attributes): (&Address, &Attributes)| {
        let mut fields = attributes_of(configuration, address, attributes, None);
        let own = channel_of(attributes).and_then(|category| category.overwrites.as_ref());
        let channels: Vec<(String, Yaml)> = configuration
            .channels_in(Some(address))
            .filter_map(|channel| Some((channel, configuration.get(channel)?)))
            .map(|(channel, attributes)| {
                let mut fields = attributes_of(configuration, channel, attributes, own);
                // Where it stands says which category it is in.
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

/// Channels in no category, or in one that is not managed.
fn loose_channels(configuration: &Configuration) -> Yaml {
    let stands_above = |attributes: &Attributes| {
        let category = channel_of(attributes)?.category.as_ref()?.value()?.address()?;
        configuration.get(category).map(|_| ())
    };
    let loose = configuration
        .of_kind(Kind::Channel)
        .filter(|(_, attributes)| stands_above(attributes).is_none());
    let entry = |(address, attributes): (&Address, &Attributes)| {
        let mut fields = attributes_of(configuration, address, attributes, None);
        // In no category is what is meant when nothing is said.
        if channel_of(attributes).is_some_and(|channel| channel.category == Some(Clearable::Cleared)) {
            fields.retain(|(name, _)| name != "category");
        }
        (key(address), Yaml::Map(fields))
    };
    Yaml::Map(loose.map(entry).collect())
}

fn channel_of(attributes: &Attributes) -> Option<&Channel> {
    match attributes {
        Attributes::Category(channel) | Attributes::Channel(channel) => Some(channel),
        _ => None,
    }
}

/// The attributes in the order in which people are told of them; `synced_with` are the overwrites of the category.
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
    // The defaults depend on the kind of channel, which has none itself.
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
        match shaped(attributes, field, synced_with) {
            Some(shaped) => fields.extend(shaped),
            None => fields.push((
                (*field).to_owned(),
                shortened(attributes.kind(), field, Yaml::from_json(json)),
            )),
        }
    }
    if !unmanaged.is_empty() {
        fields.push(("unmanaged".to_owned(), texts(&unmanaged)));
    }
    fields
}

/// Whether the reader gives the attribute a value of its own when nothing is written.
fn is_implied(address: &Address, attributes: &Attributes, field: &str) -> bool {
    match field {
        "name" => !address.is_permanent(),
        "permissions" => !address.is_everyone(),
        "category" => matches!(attributes, Attributes::Channel(_)),
        _ => false,
    }
}

/// What YAML writes in another shape than state does; `None` for everything else.
fn shaped(attributes: &Attributes, field: &str, synced_with: Option<&Overwrites>) -> Option<Vec<(String, Yaml)>> {
    let one = |value| Some(vec![(field.to_owned(), value)]);
    match (attributes, field) {
        // A kind under `categories` needs no word, and text is what is meant when nothing is said.
        (Attributes::Category(_), "kind") => Some(Vec::new()),
        (Attributes::Channel(channel), "kind") if channel.kind == crate::model::ChannelKind::Text => Some(Vec::new()),
        (Attributes::Category(channel) | Attributes::Channel(channel), "overwrites") => {
            let overwrites = channel.overwrites.as_ref()?;
            match synced_with == Some(overwrites) {
                true => one(Yaml::text("synced")),
                false => one(overwrites_of(overwrites)),
            }
        }
        (Attributes::Channel(channel), "tags") => one(Yaml::List(channel.tags.iter().flatten().map(tag).collect())),
        (Attributes::Emoji(emoji), "image") => one(Yaml::text(&emoji.image.as_ref()?.path)),
        (Attributes::Sticker(sticker), "image") => one(Yaml::text(&sticker.image.as_ref()?.path)),
        (Attributes::Webhook(webhook), "avatar") => one(Yaml::text(&webhook.avatar.as_ref()?.path)),
        (Attributes::Automod(rule), "trigger") => one(trigger(rule.trigger.as_ref()?)),
        (Attributes::Automod(rule), "actions") => one(Yaml::List(rule.actions.iter().flatten().map(action).collect())),
        (Attributes::WelcomeScreen(screen), "channels") => one(Yaml::List(
            screen.channels.iter().flatten().map(welcome_channel).collect(),
        )),
        (Attributes::Onboarding(onboarding), "prompts") => {
            one(Yaml::List(onboarding.prompts.iter().flatten().map(prompt).collect()))
        }
        (Attributes::Event(event), "place") => Some(vec![place(event)?]),
        (Attributes::Event(event), "image") => one(Yaml::text(&event.image.as_ref()?.path)),
        _ => None,
    }
}

/// Logical names alone where the key says which kind is meant.
fn shortened(kind: Kind, field: &str, value: Yaml) -> Yaml {
    let prefix = match (kind, field) {
        (_, "category") => "category.",
        (Kind::Emoji, "roles") | (_, "exempt_roles") => "role.",
        (_, "exempt_channels" | "default_channels") | (Kind::Webhook, "channel") => "channel.",
        (Kind::Server, _) if field.ends_with("_channel") => "channel.",
        _ => return value,
    };
    strip(value, prefix)
}

fn strip(value: Yaml, prefix: &str) -> Yaml {
    match value {
        // `none` by itself is a word of the reader's.
        Yaml::Text(text) => match text.strip_prefix(prefix) {
            Some(key) if key != "none" => Yaml::text(key),
            _ => Yaml::Text(text),
        },
        Yaml::List(items) => Yaml::List(items.into_iter().map(|item| strip(item, prefix)).collect()),
        other => other,
    }
}

fn link(reference: &Reference, prefix: &str) -> Yaml {
    strip(Yaml::text(reference.to_string()), prefix)
}

fn names(set: Permissions) -> Yaml {
    Yaml::List(permission_names(set).into_iter().map(Yaml::Text).collect())
}

fn overwrites_of(overwrites: &Overwrites) -> Yaml {
    let entry = |(target, overwrite): (&Target, &crate::model::Overwrite)| {
        let target = target.to_string();
        let sets = [("allow", overwrite.allow), ("deny", overwrite.deny)];
        let sets = sets.into_iter().filter(|(_, set)| !set.is_empty());
        let sets = sets.map(|(word, set)| (word.to_owned(), names(set))).collect();
        (short_target(&target), Yaml::Map(sets))
    };
    Yaml::Map(overwrites.iter().map(entry).collect())
}

/// A role by its logical name, unless that is a word of its own here.
fn short_target(target: &str) -> String {
    match target.strip_prefix("role.") {
        Some(key) if !matches!(key, "everyone" | "bot") => key.to_owned(),
        _ => target.to_owned(),
    }
}

fn tag(tag: &Tag) -> Yaml {
    let mut fields = vec![("name".to_owned(), Yaml::text(&tag.name))];
    if tag.moderated {
        fields.push(("moderated".to_owned(), Yaml::Plain("true".to_owned())));
    }
    fields.extend(emoji(tag.emoji.as_ref()));
    Yaml::Map(fields)
}

fn emoji(emoji: Option<&EmojiReference>) -> Option<(String, Yaml)> {
    emoji.map(|emoji| ("emoji".to_owned(), Yaml::text(emoji.to_string())))
}

fn texts(items: &[String]) -> Yaml {
    Yaml::List(items.iter().map(Yaml::text).collect())
}

fn trigger(trigger: &AutomodTrigger) -> Yaml {
    let words = |lists: [(&str, &Vec<String>); 3]| {
        let lists = lists.into_iter().filter(|(_, list)| !list.is_empty());
        Yaml::Map(lists.map(|(word, list)| (word.to_owned(), texts(list))).collect())
    };
    let (word, value) = match trigger {
        AutomodTrigger::Keyword {
            keywords,
            patterns,
            allow,
        } => (
            "keyword",
            words([("keywords", keywords), ("patterns", patterns), ("allow", allow)]),
        ),
        AutomodTrigger::MemberProfile {
            keywords,
            patterns,
            allow,
        } => (
            "member_profile",
            words([("keywords", keywords), ("patterns", patterns), ("allow", allow)]),
        ),
        AutomodTrigger::Spam => ("spam", Yaml::Plain("true".to_owned())),
        AutomodTrigger::Preset { presets, allow } => {
            let presets = Yaml::List(presets.iter().map(|preset| Yaml::text(preset.name())).collect());
            let mut fields = vec![("presets".to_owned(), presets)];
            if !allow.is_empty() {
                fields.push(("allow".to_owned(), texts(allow)));
            }
            ("preset", Yaml::Map(fields))
        }
        AutomodTrigger::MentionSpam { limit, raid_protection } => {
            let mut fields = vec![("limit".to_owned(), Yaml::Plain(limit.to_string()))];
            if *raid_protection {
                fields.push(("raid_protection".to_owned(), Yaml::Plain("true".to_owned())));
            }
            ("mention_spam", Yaml::Map(fields))
        }
    };
    Yaml::Map(vec![(word.to_owned(), value)])
}

fn action(action: &AutomodAction) -> Yaml {
    let (word, value) = match action {
        AutomodAction::BlockMessage { message } => ("block_message", Yaml::text(message)),
        AutomodAction::Alert { channel } => ("alert", link(channel, "channel.")),
        AutomodAction::Timeout { seconds } => ("timeout", Yaml::Plain(seconds.to_string())),
        AutomodAction::BlockMember => ("block_member", Yaml::Plain("true".to_owned())),
    };
    Yaml::Map(vec![(word.to_owned(), value)])
}

fn welcome_channel(channel: &WelcomeChannel) -> Yaml {
    let mut fields = vec![
        ("channel".to_owned(), link(&channel.channel, "channel.")),
        ("description".to_owned(), Yaml::text(&channel.description)),
    ];
    fields.extend(emoji(channel.emoji.as_ref()));
    Yaml::Map(fields)
}

fn prompt(prompt: &OnboardingPrompt) -> Yaml {
    let truths = [
        ("single_select", prompt.single_select),
        ("required", prompt.required),
        ("in_onboarding", prompt.in_onboarding),
    ];
    let mut fields = vec![
        ("title".to_owned(), Yaml::text(&prompt.title)),
        ("kind".to_owned(), Yaml::text(prompt.kind.name())),
    ];
    let truths = truths.into_iter().filter(|(_, truth)| *truth);
    fields.extend(truths.map(|(word, _)| (word.to_owned(), Yaml::Plain("true".to_owned()))));
    fields.push((
        "options".to_owned(),
        Yaml::List(prompt.options.iter().map(option).collect()),
    ));
    Yaml::Map(fields)
}

fn option(option: &OnboardingOption) -> Yaml {
    let mut fields = vec![("title".to_owned(), Yaml::text(&option.title))];
    if !option.description.is_empty() {
        fields.push(("description".to_owned(), Yaml::text(&option.description)));
    }
    fields.extend(emoji(option.emoji.as_ref()));
    let links = |links: &[Reference], prefix| Yaml::List(links.iter().map(|one| link(one, prefix)).collect());
    // One of them must be there, even when what it named is gone.
    if !option.roles.is_empty() || option.channels.is_empty() {
        fields.push(("roles".to_owned(), links(&option.roles, "role.")));
    }
    if !option.channels.is_empty() {
        fields.push(("channels".to_owned(), links(&option.channels, "channel.")));
    }
    Yaml::Map(fields)
}

fn place(event: &Event) -> Option<(String, Yaml)> {
    Some(match event.place.as_ref()? {
        EventPlace::Stage(channel) => ("stage".to_owned(), link(channel, "channel.")),
        EventPlace::Voice(channel) => ("voice".to_owned(), link(channel, "channel.")),
        EventPlace::External(location) => ("location".to_owned(), Yaml::text(location)),
    })
}
