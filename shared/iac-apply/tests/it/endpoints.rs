//! The list of endpoints that the discord-proxy's allow-list is compared with: each is called, and nothing else is.

use std::collections::BTreeSet;
use std::path::Path;

use arrakis_iac::model::Configuration;
use arrakis_iac_apply::http::ENDPOINTS;
use arrakis_iac_apply::{all_kinds, member_roles};
use discord_emulator::traffic::Record;
use serde_json::{Value, json};

use crate::bench::{Bench, configuration};
use crate::kinds::PNG;

/// A template without the names in its braces.
fn nameless(template: &str) -> String {
    let segment = |segment: &str| match segment.starts_with('{') {
        true => "{}".to_owned(),
        false => segment.to_owned(),
    };
    template.split('/').map(segment).collect::<Vec<_>>().join("/")
}

fn role(name: &str, more: &Value) -> (String, Value) {
    let mut value = json!({ "name": name, "permissions": [] });
    for (key, given) in more.as_object().unwrap() {
        value[key] = given.clone();
    }
    (format!("role.{}", name.to_lowercase()), value)
}

/// Something of each kind; `second` orders, changes and takes away.
fn everything(bench: &Bench, second: bool) -> Configuration {
    let defaults: Vec<String> = bench
        .server
        .made
        .channels
        .iter()
        .filter(|(name, _)| name.len() == 1)
        .map(|(_, id)| id.to_string())
        .collect();
    let overwrites = match second {
        false => json!({ "everyone": { "deny": ["SPEAK"] }, "role.naib": { "allow": ["SPEAK"] } }),
        true => json!({ "everyone": { "deny": ["STREAM"] } }),
    };
    let mut roles = vec![
        role("Naib", &json!({ "color": if second { "#112233" } else { "#332211" } })),
        role("Guard", &json!({ "given_to_bot": !second })),
    ];
    if second {
        roles.reverse();
    }
    let text = |name: &str| json!({ "kind": "text", "name": name, "category": "none" });
    let mut channels = vec![
        (
            "channel.gate".to_owned(),
            json!({ "kind": "text", "name": "gate", "category": "none", "overwrites": overwrites }),
        ),
        (
            "channel.spice".to_owned(),
            text(if second { "melange" } else { "spice" }),
        ),
        (
            "channel.bazaar".to_owned(),
            json!({ "kind": "forum", "name": "bazaar", "category": "none", "require_tag": !second }),
        ),
    ];
    if second {
        channels.reverse();
    }
    let word = |one: &'static str, two: &'static str| if second { two } else { one };
    let prompt = json!({ "title": "Who?", "kind": "multiple_choice", "in_onboarding": true,
        "options": [{ "title": word("Fremen", "Naib"), "roles": ["role.naib"] }] });
    let rest = vec![
        ("server".to_owned(), json!({ "description": word("dry", "wet") })),
        (
            "emoji.worm".to_owned(),
            json!({ "name": word("worm", "maker"), "image": { "path": "worm.png" } }),
        ),
        (
            "sticker.worm".to_owned(),
            json!({ "name": word("worm", "maker"), "tags": "fire", "image": { "path": "worm.png" } }),
        ),
        (
            "webhook.news".to_owned(),
            json!({ "name": word("News", "Newer"), "channel": "channel.spice" }),
        ),
        (
            "automod.words".to_owned(),
            json!({ "name": "words", "enabled": second, "trigger": { "type": "keyword", "keywords": ["harkonnen"] },
            "actions": [{ "type": "block_message", "message": "" }] }),
        ),
        (
            "welcome_screen".to_owned(),
            json!({ "enabled": true, "description": word("a", "b"), "channels": [] }),
        ),
        (
            "onboarding".to_owned(),
            json!({ "enabled": true, "mode": "default", "default_channels": defaults, "prompts": [prompt] }),
        ),
        (
            "event.moot".to_owned(),
            json!({ "name": word("Moot", "Gathering"), "description": "", "start": "2099-01-01T18:00:00Z",
            "end": "2099-01-01T20:00:00Z", "place": { "external": "the great bled" } }),
        ),
    ];
    let all: Vec<(String, Value)> = roles.into_iter().chain(channels).chain(rest).collect();
    let all: Vec<(&str, Value)> = all
        .iter()
        .map(|(address, value)| (address.as_str(), value.clone()))
        .collect();
    configuration(&all)
}

#[tokio::test]
async fn every_listed_endpoint_is_called_and_no_other() {
    let channels: Vec<Value> = ["a", "b", "c", "d", "e", "f", "g"]
        .iter()
        .map(|name| json!({ "name": name }))
        .collect();
    let mut bench = Bench::start(json!({ "name": "Before", "community": true, "channels": channels })).await;
    std::fs::write(bench.folder.path().join("worm.png"), PNG).unwrap();
    bench.kinds = all_kinds();
    for second in [false, true] {
        let configuration = everything(&bench, second);
        bench
            .apply(&configuration)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
    }
    bench.destroy().await.unwrap_or_else(|error| panic!("{error}"));
    let (discord, _) = bench.server.client();
    member_roles(&discord, bench.guild()).await.unwrap();
    let traffic = bench.server.emulator.app().traffic.since(0);
    let called: BTreeSet<String> = traffic
        .iter()
        .filter_map(|entry| match &entry.record {
            Record::Rest(call) => Some(format!("{} {}", call.method, nameless(call.route.as_deref()?))),
            Record::Gateway(_) => None,
        })
        .collect();
    let listed: BTreeSet<String> = ENDPOINTS.iter().map(|endpoint| nameless(endpoint)).collect();
    let uncalled: Vec<_> = listed.difference(&called).collect();
    let unlisted: Vec<_> = called.difference(&listed).collect();
    assert!(uncalled.is_empty(), "listed and not called: {uncalled:?}");
    assert!(unlisted.is_empty(), "called and not listed: {unlisted:?}");
}

/// Every string of the sources below a folder that is the path of a call, tests left out.
fn paths(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            paths(&path, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let strings = code.split('"').skip(1).step_by(2);
        let begins = |text: &&str| {
            ["/guilds/{", "/channels/{", "/webhooks/{", "/users/"]
                .iter()
                .any(|word| text.starts_with(word))
        };
        found.extend(strings.filter(begins).map(nameless));
    }
}

/// A call that the scenario above does not reach is found here by its path.
#[test]
fn every_path_in_the_sources_is_in_the_list() {
    let mut found = BTreeSet::new();
    paths(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() >= 15, "the paths are found: {found:?}");
    let listed = |path: &String| {
        let fits = |(one, other): (&str, &str)| one == other || one == "{}" || other == "{}";
        ENDPOINTS.iter().map(|endpoint| nameless(endpoint)).any(|endpoint| {
            let endpoint = endpoint.split_once(' ').unwrap().1;
            endpoint.split('/').count() == path.split('/').count() && endpoint.split('/').zip(path.split('/')).all(fits)
        })
    };
    let unlisted: Vec<&String> = found.iter().filter(|path| !listed(path)).collect();
    assert!(unlisted.is_empty(), "not in ENDPOINTS: {unlisted:?}");
}
