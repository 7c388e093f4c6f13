//! After an import every attribute is managed: a manual change is detected, whether it leaves Discord's default or returns to it,
//! and an export sets it on another server, also back to its default.
//!
//! Attributes are enumerated from the model: a new one without an example here fails the test.

use std::collections::BTreeMap;

use arrakis_iac::export::{ExportDetail, assign, from_live, to_yaml};
use arrakis_iac::import::{import, matches};
use arrakis_iac::live::{LiveResource, LiveServer};
use arrakis_iac::model::{Attributes, ChannelKind, Configuration, Kind};
use arrakis_iac::plan::{Options, plan, simulate};
use arrakis_iac::state::State;
use serde_json::{Value, json};

use crate::plan::world::{GUILD, empty_server, id, live_channel, live_role};
use arrakis_domain::Permissions;

/// Discord sends no picture that could be compared, and a kind of channel has a test of its own.
const NOT_COMPARED: [&str; 3] = ["image", "avatar", "kind"];

/// Two values of every attribute: the default (or one value where there is none), and another.
struct Example {
    one: Attributes,
    other: Attributes,
}

fn attributes(kind: Kind, mut map: Value) -> Attributes {
    map["resource"] = json!(kind.name());
    serde_json::from_value(map).unwrap()
}

/// What has no default, then what differs from every default.
fn example(kind: Kind, of: ChannelKind) -> Example {
    let everyone = json!({ "everyone": { "allow": [], "deny": ["SPEAK"] } });
    let (base, other) = match kind {
        Kind::Server => (
            json!({ "name": "Sietch" }),
            json!({ "name": "Tabr", "description": "d", "verification_level": "high", "default_notifications": "only_mentions",
                "explicit_content_filter": "all_members", "preferred_locale": "de", "afk_channel": "500", "afk_timeout": "1h",
                "system_channel": "500", "suppressed_messages": ["join"], "community": true, "rules_channel": "500",
                "public_updates_channel": "500", "safety_alerts_channel": "500", "boost_progress_bar": true }),
        ),
        Kind::Role => (
            json!({ "name": "Naib" }),
            json!({ "name": "Usul", "color": "#FFD700", "secondary_color": "#000001", "tertiary_color": "#000002", "hoist": true,
                "mentionable": true, "permissions": ["SPEAK"], "unicode_emoji": "🔥", "given_to_bot": true }),
        ),
        Kind::Category => (
            json!({ "kind": "category", "name": "Hall", "overwrites": {} }),
            json!({ "kind": "category", "name": "Cave", "overwrites": everyone }),
        ),
        Kind::Channel => (
            json!({ "kind": of.name(), "name": "spice", "overwrites": {} }),
            json!({ "kind": of.name(), "name": "water", "category": "501", "topic": "t", "nsfw": true, "slow_mode": 5,
                "bitrate": 8_000, "user_limit": 7, "region": "rotterdam", "video_quality": "full", "auto_archive": "3d",
                "thread_slow_mode": 9, "tags": [{ "name": "one" }], "require_tag": true, "default_reaction": "🔥",
                "sort_order": "creation_date", "layout": "grid", "tag_match": "match_all", "hide_download_options": true,
                "overwrites": everyone }),
        ),
        Kind::Emoji => (
            json!({ "name": "spice" }),
            json!({ "name": "melange", "roles": ["502"] }),
        ),
        Kind::Sticker => (
            json!({ "name": "worm", "tags": "worm" }),
            json!({ "name": "maker", "tags": "sand", "description": "a worm" }),
        ),
        Kind::Webhook => (
            json!({ "name": "News", "channel": "500" }),
            json!({ "name": "Newer", "channel": "503" }),
        ),
        Kind::Automod => (
            json!({ "name": "words", "trigger": { "type": "keyword", "keywords": ["a"] }, "actions": [{ "type": "block_member" }] }),
            json!({ "name": "more", "trigger": { "type": "keyword", "keywords": ["b"] }, "enabled": true,
                "actions": [{ "type": "timeout", "seconds": 60 }], "exempt_roles": ["502"], "exempt_channels": ["500", "501"] }),
        ),
        Kind::WelcomeScreen => (
            json!({}),
            json!({ "enabled": true, "description": "d", "channels": [{ "channel": "500", "description": "c" }] }),
        ),
        Kind::Onboarding => (
            json!({}),
            json!({ "enabled": true, "mode": "advanced", "default_channels": ["500", "501"],
                "prompts": [{ "title": "who", "kind": "dropdown", "options": [{ "title": "me", "roles": ["502"] }] }] }),
        ),
        Kind::Event => (
            json!({ "name": "Moot", "start": "2099-01-01T18:00:00Z", "place": { "voice": "504" } }),
            json!({ "name": "Feast", "start": "2099-01-02T18:00:00Z", "end": "2099-01-02T20:00:00Z", "description": "d",
                "place": { "external": "the bled" } }),
        ),
    };
    let mut one = attributes(kind, base);
    one.complete_with(&one.defaults(), &[]);
    let mut other = attributes(kind, other);
    let absent = other
        .fields()
        .iter()
        .filter(|field| kind == Kind::Channel && !of.has(field));
    absent
        .copied()
        .collect::<Vec<_>>()
        .into_iter()
        .for_each(|field| other.release(field));
    Example { one, other }
}

/// Every kind, and every kind of channel.
fn kinds() -> Vec<(Kind, ChannelKind)> {
    let channels = ChannelKind::ALL.iter().filter(|kind| **kind != ChannelKind::Category);
    let others = Kind::ALL.iter().filter(|kind| **kind != Kind::Channel);
    others
        .map(|kind| (*kind, ChannelKind::Text))
        .chain(channels.map(|of| (Kind::Channel, *of)))
        .collect()
}

/// The same but for one attribute, which is the other's.
fn with(attributes: &Attributes, field: &str, from: &Attributes) -> Attributes {
    let mut map = Value::Object(attributes.to_map());
    map[field] = from.to_map()[field].clone();
    self::attributes(attributes.kind(), map)
}

/// A community server with what examples refer to, and the resource.
fn server(resource: &Attributes) -> LiveServer {
    let mut live = empty_server();
    live.features.insert("COMMUNITY".to_owned());
    live.insert(live_channel(500, "rules", 0));
    live.insert(live_channel(503, "news", 1));
    let mut category = live_channel(501, "hall", 0);
    let mut voice = live_channel(504, "cave", 2);
    if let Attributes::Channel(channel) = category.attributes {
        category.attributes = Attributes::Category(arrakis_iac::model::Channel {
            kind: ChannelKind::Category,
            name: channel.name,
            overwrites: channel.overwrites,
            ..arrakis_iac::model::Channel::default()
        });
    }
    if let Attributes::Channel(channel) = &mut voice.attributes {
        channel.kind = ChannelKind::Voice;
        channel.topic = None;
    }
    live.insert(category);
    live.insert(voice);
    live.insert(live_role(502, "Fremen", 0, Permissions::NONE));
    put(&mut live, resource);
    live
}

fn put(live: &mut LiveServer, attributes: &Attributes) {
    let id = if attributes.kind().is_single() {
        id(GUILD)
    } else {
        id(600)
    };
    if let Attributes::Role(role) = attributes {
        let given = role.given_to_bot == Some(true);
        if given {
            live.bot.roles.insert(id)
        } else {
            live.bot.roles.remove(&id)
        };
    }
    live.insert(LiveResource {
        id,
        attributes: attributes.clone(),
        position: 0,
        managed: false,
    });
}

fn taken_in(live: &LiveServer) -> (Configuration, State) {
    let yaml = to_yaml(
        &from_live(live, &assign(live, &BTreeMap::new()), ExportDetail::Readable),
        "",
    );
    let configuration = crate::export::read_back(&yaml);
    let mut state = State::new("lineage");
    for (address, id) in matches(&configuration, &state, live).found {
        import(&address, id, Some(&configuration), &mut state, live).unwrap();
    }
    (configuration, state)
}

#[test]
fn every_attribute_has_an_example_that_differs_from_its_default() {
    for (kind, of) in kinds() {
        let Example { one, other } = example(kind, of);
        for field in one.fields() {
            let exists = kind != Kind::Channel || of.has(field);
            let exists = exists && (kind != Kind::Category || ["kind", "name", "overwrites"].contains(field));
            if !exists || NOT_COMPARED.contains(field) {
                continue;
            }
            let (one, other) = (one.to_map(), other.to_map());
            assert!(
                one.contains_key(*field),
                "{kind} {of} {field}: neither a default nor an example"
            );
            assert!(other.contains_key(*field), "{kind} {of} {field}: no other example");
            assert_ne!(one[*field], other[*field], "{kind} {of} {field}");
        }
    }
}

/// The ids of tags are the server's to give.
fn without_tag_ids(attributes: &Attributes) -> Attributes {
    let mut attributes = attributes.clone();
    if let Attributes::Channel(channel) = &mut attributes {
        channel.tags.iter_mut().flatten().for_each(|tag| tag.id = None);
    }
    attributes
}

#[test]
fn drift_from_and_to_the_default_is_detected_and_reverted() {
    let mut seen = 0;
    for (kind, of) in kinds() {
        let Example { one, other } = example(kind, of);
        for (from, to) in [(&one, &other), (&other, &one)] {
            let before = server(from);
            let (configuration, state) = taken_in(&before);
            let options = Options::default();
            assert!(
                plan(&configuration, &state, &before, &options).unwrap().is_empty(),
                "{kind} {of}"
            );
            for field in from.fields() {
                if NOT_COMPARED.contains(field) || !from.to_map().contains_key(*field) {
                    continue;
                }
                let mut live = before.clone();
                put(&mut live, &with(from, field, to));
                let made = plan(&configuration, &state, &live, &options).unwrap();
                let found = made
                    .changes
                    .iter()
                    .find(|change| change.fields.iter().any(|name| name == field));
                assert!(
                    found.is_some(),
                    "{kind} {of}: a change of `{field}` is not detected: {:#?}",
                    made.changes
                );
                assert!(!made.drift.is_empty(), "{kind} {of} {field}");
                let (after, _) = simulate(&live, &state, &made).unwrap_or_else(|error| panic!("{field}: {error}"));
                let id = found.and_then(|change| change.id).unwrap();
                let attributes = |live: &LiveServer| without_tag_ids(&live.get(kind, id).unwrap().attributes);
                assert_eq!(attributes(&after), attributes(&before), "{kind} {of} {field}");
                seen += 1;
            }
        }
    }
    // Both ways, for every attribute of every kind and kind of channel.
    assert!(seen >= 220, "{seen}");
}

#[test]
fn export_sets_every_attribute_of_another_server() {
    for (kind, of) in kinds() {
        let Example { one, other } = example(kind, of);
        for (from, to) in [(&one, &other), (&other, &one)] {
            let (configuration, _) = taken_in(&server(from));
            // The other server is managed under the same addresses and has the other value of everything.
            let live = server(to);
            let (_, mut state) = taken_in(&live);
            let address = configuration
                .resources
                .iter()
                .find(|(address, resource)| address.kind() == kind && resource.attributes.name() == from.name())
                .map(|(address, _)| address.clone())
                .unwrap();
            let there = state
                .resources
                .iter()
                .find(|(address, entry)| address.kind() == kind && (kind.is_single() || entry.id == id(600)));
            let there = there.map(|(address, _)| address.clone()).unwrap();
            if there != address {
                state.rename(&there, &address).unwrap();
            }
            let made = plan(&configuration, &state, &live, &Options::default()).unwrap();
            let (after, _) = simulate(&live, &state, &made).unwrap_or_else(|error| panic!("{kind} {of}: {error}"));
            let id = if kind.is_single() { id(GUILD) } else { id(600) };
            let managed = |live: &LiveServer| {
                let mut map = without_tag_ids(&live.get(kind, id).unwrap().attributes).to_map();
                map.retain(|field, _| !NOT_COMPARED.contains(&field.as_str()));
                map
            };
            assert_eq!(
                managed(&after),
                managed(&server(from)),
                "{kind} {of}: {:#?}",
                made.changes
            );
        }
    }
}

#[test]
fn absent_attributes_stay_unchanged_without_managed_defaults() {
    let Example { one, other } = example(Kind::Role, ChannelKind::Text);
    let live = server(&other);
    let configuration = crate::export::read_back("roles:\n  usul: { name: Usul, permissions: [SPEAK] }\n");
    let mut state = State::new("lineage");
    import(
        &"role.usul".parse().unwrap(),
        id(600),
        Some(&configuration),
        &mut state,
        &live,
    )
    .unwrap();
    let mut changed = live.clone();
    put(&mut changed, &with(&other, "mentionable", &one));
    assert!(
        plan(&configuration, &state, &changed, &Options::default())
            .unwrap()
            .is_empty()
    );
}
