//! The further kinds: emoji, stickers, webhooks, auto moderation, welcome screen, onboarding, scheduled events. Each is
//! created, changed, exported, imported and removed like the others, and each exchange agrees with Discord's document.

use std::collections::BTreeMap;

use arrakis_iac::config::{VariableInputs, load};
use arrakis_iac::export::{ExportDetail, assign, from_live, to_yaml};
use arrakis_iac::import::{import, matches};
use arrakis_iac::model::{Configuration, Kind};
use arrakis_iac::plan::{Options, plan};
use arrakis_iac::state::State;
use arrakis_iac_apply::{all_kinds, digest};
use arrakis_themes::Registry;
use serde_json::{Value, json};

use crate::apply::conforms;
use crate::bench::{Bench, configuration};

/// An image of one pixel.
pub(crate) const PNG: &[u8] =
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00";

async fn bench() -> Bench {
    let channels: Vec<Value> = ["a", "b", "c", "d", "e", "f", "g"]
        .iter()
        .map(|name| json!({ "name": name }))
        .collect();
    let mut bench = Bench::start(json!({ "name": "Before", "community": true, "channels": channels })).await;
    std::fs::write(bench.folder.path().join("spice.png"), PNG).unwrap();
    bench.kinds = all_kinds();
    bench
}

/// All kinds; with `other`, each has other values.
fn all(bench: &Bench, other: bool) -> Configuration {
    let word = |one: &'static str, two: &'static str| if other { two } else { one };
    let defaults: Vec<String> = bench
        .server
        .made
        .channels
        .iter()
        .filter(|(name, _)| name.len() == 1)
        .map(|(_, id)| id.to_string())
        .collect();
    let question = json!({ "title": "Who are you?", "kind": word("multiple_choice", "dropdown"), "single_select": other,
        "in_onboarding": true, "options": [{ "title": "Fremen", "roles": ["role.fremen"], "emoji": "🔥" }] });
    let further = json!({ "title": "What do you like?", "kind": "dropdown",
        "options": [{ "title": "spice", "channels": ["channel.spice"], "description": "all of it" }] });
    let questions = if other { vec![further, question] } else { vec![question] };
    configuration(&[
        ("role.fremen", json!({ "name": "Fremen" })),
        ("channel.spice", json!({ "kind": "text", "name": "spice" })),
        ("channel.hall", json!({ "kind": "voice", "name": "hall" })),
        (
            "emoji.spice",
            json!({ "name": word("spice", "melange"), "image": { "path": "spice.png" }, "roles": ["role.fremen"] }),
        ),
        (
            "sticker.spice",
            json!({ "name": word("Spice", "Melange"), "description": word("glows", ""), "tags": word("fire", "sparkles"),
                "image": { "path": "spice.png" } }),
        ),
        (
            "webhook.news",
            json!({ "name": word("News", "Newer"), "channel": word("channel.spice", "channel.hall") }),
        ),
        (
            "automod.words",
            json!({ "name": "words", "enabled": !other,
            "trigger": { "type": "keyword", "keywords": [word("harkonnen*", "sardaukar")], "patterns": [], "allow": ["arrakis"] },
            "actions": [{ "type": "block_message", "message": word("no", "") }, { "type": "alert", "channel": "channel.spice" },
                { "type": "timeout", "seconds": 60 }],
            "exempt_roles": ["role.fremen"], "exempt_channels": ["channel.spice"] }),
        ),
        (
            "automod.mentions",
            json!({ "name": "mentions", "enabled": true,
            "trigger": { "type": "mention_spam", "limit": if other { 5 } else { 9 }, "raid_protection": other },
            "actions": [{ "type": "block_message", "message": "" }] }),
        ),
        (
            "welcome_screen",
            json!({ "enabled": !other, "description": word("Walk without rhythm", ""),
            "channels": [{ "channel": "channel.spice", "description": word("begin", "end"), "emoji": "🔥" }] }),
        ),
        (
            "onboarding",
            json!({ "enabled": true, "mode": word("default", "advanced"), "default_channels": defaults,
            "prompts": questions }),
        ),
        (
            "event.moot",
            json!({ "name": "Moot", "description": word("all come", ""), "start": "2099-01-01T18:00:00Z",
            "end": "2099-01-01T20:00:00Z", "place": if other { json!({ "external": "the great bled" }) } else { json!({ "voice": "channel.hall" }) } }),
        ),
    ])
}

#[tokio::test]
async fn every_kind_is_created_changed_exported_imported_and_deleted() {
    let bench = bench().await;
    let before = bench.live().await;
    for other in [false, true] {
        let config = all(&bench, other);
        bench.apply(&config).await.unwrap_or_else(|error| panic!("{error}"));
        bench.assert_applied(&config, &before).await;
    }
    let live = bench.live().await;
    for (kind, count) in [
        (Kind::Emoji, 1),
        (Kind::Sticker, 1),
        (Kind::Webhook, 1),
        (Kind::Automod, 2),
        (Kind::Event, 1),
    ] {
        assert_eq!(live.of_kind(kind).count(), count, "{kind}");
    }
    conforms(&bench);
    bench.destroy().await.unwrap();
    let gone = bench.live().await;
    for kind in [Kind::Emoji, Kind::Sticker, Kind::Webhook, Kind::Automod, Kind::Event] {
        assert_eq!(gone.of_kind(kind).count(), 0, "{kind}");
    }
}

#[tokio::test]
async fn changed_onboarding_question_keeps_its_id() {
    let bench = bench().await;
    bench.apply(&all(&bench, false)).await.unwrap();
    let (discord, _) = bench.server.client();
    let path = format!("/guilds/{}/onboarding", bench.guild());
    let first: Value = discord.get(&path).await.unwrap();
    bench.apply(&all(&bench, true)).await.unwrap();
    let second: Value = discord.get(&path).await.unwrap();
    // It was the first and is the second; what members answered stays theirs.
    assert_eq!(second["prompts"][1]["id"], first["prompts"][0]["id"]);
    assert_eq!(
        second["prompts"][1]["options"][0]["id"],
        first["prompts"][0]["options"][0]["id"]
    );
}

#[tokio::test]
async fn imported_export_plans_no_change() {
    let bench = bench().await;
    bench.apply(&all(&bench, false)).await.unwrap();
    let (live, themes) = (bench.live().await, Registry::load(None).unwrap());
    let yaml = to_yaml(
        &from_live(&live, &assign(&live, &BTreeMap::new()), ExportDetail::Complete),
        "",
    );
    // The example server is no true community: it has no channel for rules.
    let yaml = yaml.replace("  community: true\n", "");
    let loaded = load("export.yaml", yaml.as_bytes(), &themes, &VariableInputs::default());
    let config = loaded
        .unwrap_or_else(|problems| panic!("{problems}\n{yaml}"))
        .configuration;
    let mut state = State::new("taken in");
    let matches = matches(&config, &state, &live);
    assert!(
        matches.missing.is_empty() && matches.left.is_empty(),
        "{matches:?}\n{yaml}"
    );
    for (address, id) in matches.found {
        import(&address, id, Some(&config), &mut state, &live).unwrap();
    }
    let plan = plan(&config, &state, &live, &Options::default()).unwrap();
    assert!(plan.is_empty(), "{:#?} {:#?}\n{yaml}", plan.changes, plan.reorders);
}

#[tokio::test]
async fn missing_image_is_an_error_before_its_request() {
    let bench = bench().await;
    let config = configuration(&[("emoji.gone", json!({ "name": "gone", "image": { "path": "gone.png" } }))]);
    let error = bench.apply(&config).await.unwrap_err();
    assert!(error.to_string().contains("gone.png"), "{error}");
    assert!(bench.state().await.pending.is_empty());
}

#[tokio::test]
async fn another_image_replaces_a_sticker() {
    let bench = bench().await;
    let larger = [PNG, &[0; 24]].concat();
    std::fs::write(bench.folder.path().join("larger.png"), larger).unwrap();
    let sticker = |file: &str| {
        let bytes = std::fs::read(bench.folder.path().join(file)).unwrap();
        let image = json!({ "path": file, "sha256": digest(&bytes) });
        configuration(&[(
            "sticker.spice",
            json!({ "name": "Spice", "tags": "fire", "image": image }),
        )])
    };
    let id = async || {
        let live = bench.live().await;
        let ids: Vec<_> = live.of_kind(Kind::Sticker).map(|sticker| sticker.id).collect();
        assert_eq!(ids.len(), 1);
        ids[0]
    };
    bench.apply(&sticker("spice.png")).await.unwrap();
    let first = id().await;
    bench.apply(&sticker("spice.png")).await.unwrap();
    assert_eq!(id().await, first, "the same image changes nothing");
    bench.apply(&sticker("larger.png")).await.unwrap();
    assert_ne!(id().await, first);
}
