//! Ids that name nothing on the server are refused before the first write, for every kind and field; a copy of another server
//! continues without them on demand.

use arrakis_iac::live::LiveServer;
use arrakis_iac::model::{Attributes, Configuration, Kind, Resource, Snowflake};
use arrakis_iac::plan::{Finding, Options, absent_members, members, plan, preflight, simulate};
use arrakis_iac::state::State;
use serde_json::{Value, json};

use crate::plan::world::{BOT, GUILD, address, empty_server, id, live_channel};

const GONE: &str = "4711";

fn attributes(kind: Kind, mut map: Value) -> Attributes {
    map["resource"] = json!(kind.name());
    serde_json::from_value(map).unwrap()
}

fn one(text: &str, map: Value) -> Configuration {
    let address = address(text);
    let attributes = attributes(address.kind(), map);
    let resource = Resource {
        attributes,
        origin: None,
    };
    Configuration {
        resources: [(address, resource)].into_iter().collect(),
        ..Configuration::default()
    }
}

fn community() -> LiveServer {
    let mut live = empty_server();
    live.features.insert("COMMUNITY".to_owned());
    live.insert(live_channel(500, "rules", 0));
    for kind in [json!({}), json!({ "x": 1 })]
        .iter()
        .zip([Kind::WelcomeScreen, Kind::Onboarding])
    {
        let attributes = attributes(kind.1, json!({}));
        live.insert(arrakis_iac::live::LiveResource {
            id: id(GUILD),
            attributes,
            position: 0,
            managed: false,
        });
    }
    live
}

/// A resource of each kind with one id that is gone, in each field that can hold one.
fn cases() -> Vec<(&'static str, &'static str, Value)> {
    let option = |field: &str, value: Value| {
        let mut option = json!({ "title": "a", "roles": [GUILD.to_string()] });
        option[field] = value;
        json!({ "prompts": [{ "title": "q", "kind": "dropdown", "options": [option] }] })
    };
    let forum = |map: Value| {
        let mut forum = json!({ "kind": "forum", "name": "f" });
        forum.as_object_mut().unwrap().extend(map.as_object().unwrap().clone());
        forum
    };
    let keyword = json!({ "type": "keyword", "keywords": ["a"] });
    let event = json!({ "name": "e", "start": "2099-01-01T00:00:00Z", "end": "2099-01-02T00:00:00Z" });
    let placed = |place: Value| {
        let mut event = event.clone();
        event["place"] = place;
        event
    };
    let rule = |field: &str, value: Value| {
        let mut rule =
            json!({ "name": "r", "trigger": keyword, "actions": [{ "type": "block_message", "message": "" }] });
        rule[field] = value;
        rule
    };
    let mut cases: Vec<(&str, &str, Value)> = vec![
        (
            "channel.a",
            "category",
            json!({ "kind": "text", "name": "a", "category": GONE }),
        ),
        (
            "channel.a",
            "overwrites",
            json!({ "kind": "text", "name": "a", "overwrites": { "role:4711": {} } }),
        ),
        (
            "category.a",
            "overwrites",
            json!({ "kind": "category", "name": "a", "overwrites": { "role:4711": {} } }),
        ),
        (
            "channel.a",
            "tags",
            forum(json!({ "tags": [{ "name": "t", "emoji": GONE }] })),
        ),
        (
            "channel.a",
            "default_reaction",
            forum(json!({ "default_reaction": GONE })),
        ),
        ("emoji.a", "roles", json!({ "name": "aa", "roles": [GONE] })),
        ("webhook.a", "channel", json!({ "name": "w", "channel": GONE })),
        ("automod.a", "exempt_roles", rule("exempt_roles", json!([GONE]))),
        ("automod.a", "exempt_channels", rule("exempt_channels", json!([GONE]))),
        (
            "automod.a",
            "actions",
            rule("actions", json!([{ "type": "alert", "channel": GONE }])),
        ),
        (
            "welcome_screen",
            "channels",
            json!({ "channels": [{ "channel": GONE, "description": "d" }] }),
        ),
        (
            "welcome_screen",
            "channels",
            json!({ "channels": [{ "channel": "500", "description": "d", "emoji": GONE }] }),
        ),
        ("onboarding", "default_channels", json!({ "default_channels": [GONE] })),
        ("onboarding", "prompts", option("roles", json!([GONE]))),
        ("onboarding", "prompts", option("channels", json!([GONE]))),
        ("onboarding", "prompts", option("emoji", json!(GONE))),
        ("event.a", "place", placed(json!({ "stage": GONE }))),
        ("event.a", "place", placed(json!({ "voice": GONE }))),
    ];
    let channels = [
        "afk_channel",
        "system_channel",
        "rules_channel",
        "public_updates_channel",
        "safety_alerts_channel",
    ];
    cases.extend(channels.map(|field| ("server", field, json!({ field: GONE }))));
    cases
}

fn unresolved(configuration: &Configuration, live: &LiveServer, options: &Options) -> Vec<Finding> {
    let state = State::new("x");
    let plan = plan(configuration, &state, live, options).unwrap();
    let mut findings = preflight(&plan, live, &state);
    findings.retain(|finding| finding.blocking && finding.what.contains("not on this server"));
    findings
}

/// The cases above name each reference that the model has: a new one is added there, or this fails.
#[test]
fn every_reference_of_the_model_is_tested() {
    let mut fields: Vec<String> = cases()
        .iter()
        .map(|(address, field, _)| format!("{} {field}", address.split('.').next().unwrap()))
        .collect();
    fields.sort();
    fields.dedup();
    assert_eq!(fields.len(), 19, "{fields:#?}");
    for (text, field, map) in cases() {
        let configuration = one(text, map.clone());
        let attributes = configuration.get(&address(text)).unwrap();
        let named = attributes
            .references()
            .iter()
            .any(|reference| reference.to_string() == GONE);
        assert!(named, "{text} {field}: {map}");
    }
}

#[test]
fn unknown_id_is_an_obstacle_before_the_first_write() {
    let live = community();
    for (text, field, map) in cases() {
        let findings = unresolved(&one(text, map.clone()), &live, &Options::default());
        assert_eq!(findings.len(), 1, "{text} {map}: {findings:#?}");
        let what = &findings[0].what;
        assert!(
            what.contains(GONE) && what.contains(field) && what.contains(text),
            "{what}"
        );
        assert!(
            findings[0].what_to_do.contains("--drop-missing"),
            "{}",
            findings[0].what_to_do
        );
    }
}

#[test]
fn drop_missing_plans_without_unknown_ids() {
    let live = community();
    let options = Options {
        drop_missing: true,
        ..Options::default()
    };
    for (text, _, map) in cases() {
        let configuration = one(text, map.clone());
        assert_eq!(unresolved(&configuration, &live, &options), [], "{text} {map}");
        let plan = plan(&configuration, &State::new("x"), &live, &options).unwrap();
        assert!(
            plan.notes.iter().any(|note| note.contains(GONE) && note.contains(text)),
            "{:#?}",
            plan.notes
        );
        let (after, state) = simulate(&live, &State::new("x"), &plan).unwrap();
        let again = arrakis_iac::plan::plan(&configuration, &state, &after, &options).unwrap();
        assert!(again.is_empty(), "{text} {map}: {:#?}", again.changes);
    }
}

/// All of them in one finding, each with its places: a copy of another server is not message one at a time.
#[test]
fn all_unknown_ids_are_reported_together() {
    let mut configuration = Configuration::default();
    for (index, (text, _, map)) in cases().into_iter().enumerate() {
        let address = address(text);
        let (kind, text) = (address.kind(), format!("{text}{index}"));
        let address = if kind.is_single() {
            address
        } else {
            text.parse().unwrap()
        };
        let attributes = attributes(kind, map);
        configuration.resources.insert(
            address,
            Resource {
                attributes,
                origin: None,
            },
        );
    }
    let findings = unresolved(&configuration, &community(), &Options::default());
    assert_eq!(findings.len(), 1);
    assert!(findings[0].addresses.len() > 12, "{findings:#?}");
}

/// What the server has already is kept, and what is not sent is not looked up.
#[test]
fn unknown_id_that_the_server_has_already_stays() {
    let mut live = community();
    let before = attributes(
        Kind::Channel,
        json!({ "kind": "text", "name": "a", "topic": "t", "category": GONE,
        "overwrites": { "role:4711": {} } }),
    );
    live.insert(arrakis_iac::live::LiveResource {
        id: id(600),
        attributes: before.clone(),
        position: 0,
        managed: false,
    });
    let mut state = State::new("x");
    arrakis_iac::import::import(&address("channel.a"), id(600), None, &mut state, &live).unwrap();
    let mut after = before.to_map();
    after.insert("topic".to_owned(), json!("another"));
    after["overwrites"]["everyone"] = json!({});
    let configuration = one("channel.a", Value::Object(after));
    for drop_missing in [false, true] {
        let options = Options {
            drop_missing,
            ..Options::default()
        };
        let plan = plan(&configuration, &state, &live, &options).unwrap();
        assert_eq!(plan.changes.len(), 1);
        assert!(
            preflight(&plan, &live, &state).iter().all(|finding| !finding.blocking),
            "{:#?}",
            preflight(&plan, &live, &state)
        );
    }
}

#[test]
fn absent_members_of_overwrites_are_reported() {
    let live = community();
    let overwrites = json!({ "member:81": {}, "member:82": {}, "bot": {} });
    let configuration = one(
        "channel.a",
        json!({ "kind": "text", "name": "a", "overwrites": overwrites }),
    );
    let plan = plan(&configuration, &State::new("x"), &live, &Options::default()).unwrap();
    let named: Vec<Snowflake> = members(&plan).into_iter().collect();
    assert_eq!(named, [id(81), id(82)]);
    assert!(!named.contains(&id(BOT)));
    let finding = absent_members(&plan, &[id(82)].into()).unwrap();
    assert!(!finding.blocking && finding.what.contains("member:82") && finding.what.contains("channel.a"));
    assert_eq!(absent_members(&plan, &[].into()), None);
}
