//! A server that stores other values than were sent: the second plan is empty, reports the differences, and sends nothing.

use std::sync::Arc;

use arrakis_iac::model::{Attributes, Configuration, Kind};
use arrakis_iac::plan::{Mode, Options, Step, plan};
use arrakis_iac_apply::http::{Body, Https, Request, Response, SendError, Transport};
use async_trait::async_trait;
use http::Method;
use parking_lot::Mutex;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::bench::{Bench, configuration};
use crate::laws::{any_configuration, before, cases, runtime};

/// Changes values of requests before they reach the server, which so keeps something else.
#[derive(Debug)]
struct Mangling {
    inner: Https,
    /// Which values, and how.
    seed: u64,
    changed: Mutex<usize>,
}

impl Mangling {
    /// A number for a key of a request that decides whether, and how, its value is changed.
    fn dice(&self, path: &str, key: &str) -> u64 {
        let mut hash = self.seed ^ 0xcbf2_9ce4_8422_2325;
        for byte in path.bytes().chain(key.bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        hash >> 7
    }

    fn mangle(&self, path: &str, value: &mut Value) {
        match value {
            Value::Object(map) => {
                for (key, value) in map.iter_mut() {
                    let dice = self.dice(path, key);
                    if value.is_object() || value.is_array() {
                        self.mangle(&format!("{path}/{key}"), value);
                    } else if dice.is_multiple_of(3)
                        && let Some(other) = mangled(key, value, dice)
                        && other != *value
                    {
                        *value = other;
                        *self.changed.lock() += 1;
                    }
                }
            }
            Value::Array(list) => {
                for (index, value) in list.iter_mut().enumerate() {
                    self.mangle(&format!("{path}/{index}"), value);
                }
            }
            _ => {}
        }
    }
}

/// Another value that the server can keep.
fn mangled(key: &str, value: &Value, dice: u64) -> Option<Value> {
    Some(match (key, value) {
        ("name", Value::String(name)) if dice.is_multiple_of(2) => json!(format!("{name}x")),
        ("name", Value::String(name)) => {
            let short: String = name.chars().take(name.chars().count().div_ceil(2).max(2)).collect();
            json!(short.trim().to_owned() + "y")
        }
        ("topic", Value::String(text)) => json!(text.to_uppercase()),
        ("permissions" | "allow" | "deny", Value::String(bits)) => {
            json!((bits.parse::<u64>().ok()? & !(1 << (dice % 32))).to_string())
        }
        ("rate_limit_per_user", Value::Number(number)) => json!(number.as_u64()? / 2),
        ("bitrate", Value::Number(_)) => json!(8_000),
        ("nsfw" | "hoist" | "mentionable", Value::Bool(flag)) => json!(!flag),
        ("primary_color" | "color", Value::Number(number)) => json!(number.as_u64()? & 0xFF_FF00),
        ("verification_level", Value::Number(_)) => json!(1),
        _ => return None,
    })
}

#[async_trait]
impl Transport for Mangling {
    async fn send(&self, request: &Request) -> Result<Response, SendError> {
        let mut request = request.clone();
        // Positions and the roles of members are orders and not values.
        if let Some(Body::Json(body)) = &request.body
            && body.first() != Some(&b'[')
        {
            let mut value: Value = serde_json::from_slice(body).unwrap();
            self.mangle(&request.path, &mut value);
            request.body = Some(Body::json(&value));
        }
        self.inner.send(&request).await
    }
}

/// Plans and applies over a server that mangles; gives how many values it changed and which writes were sent.
async fn apply_mangled(bench: &Bench, config: &Configuration, seed: u64) -> (usize, Vec<String>) {
    let transport = Arc::new(Mangling {
        inner: bench.server.https(),
        seed,
        changed: Mutex::new(0),
    });
    let (discord, watched) = bench.server.client_over(transport.clone(), CancellationToken::new());
    bench
        .run_by(&discord, config, Mode::Apply)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let writes = watched
        .sent()
        .into_iter()
        .filter(|call| !call.starts_with("GET"))
        .collect();
    let changed = *transport.changed.lock();
    (changed, writes)
}

async fn converges(config: Configuration, seed: u64) {
    let bench = Bench::start(before()).await;
    let (changed, _) = apply_mangled(&bench, &config, seed).await;
    let second = bench.plan(&config, Mode::Apply).await;
    assert!(
        second.is_empty() && second.steps.iter().all(|step| !step.is_request()),
        "{changed} values were changed, and the second plan has {:#?} {:#?}\n{:#?}",
        second.changes,
        second.steps,
        bench.state().await.altered,
    );
    assert!(second.drift.is_empty(), "{:#?}", second.drift);
    // Each attribute that is stored differently is reported; a value that differed only between two requests is not.
    let state = bench.state().await;
    let differing: usize = state.altered.values().map(std::collections::BTreeMap::len).sum();
    let noted = second
        .notes
        .iter()
        .filter(|note| note.contains("Discord stores"))
        .count();
    assert_eq!(noted, differing, "{:#?} {:#?}", second.notes, state.altered);
    let (_, writes) = apply_mangled(&bench, &config, seed).await;
    assert!(writes.is_empty(), "{writes:?}");
    // A refresh removes the record: on a server that stores what is sent, the next apply corrects all values.
    let (discord, _) = bench.server.client();
    bench
        .run_by(&discord, &Configuration::default(), Mode::RefreshOnly)
        .await
        .unwrap();
    bench.apply(&config).await.unwrap();
    let settled = bench.plan(&config, Mode::Apply).await;
    assert!(
        settled.is_empty() && settled.notes.iter().all(|note| !note.contains("Discord stores")),
        "{settled:#?}"
    );
    assert!(bench.state().await.altered.is_empty());
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn second_plan_is_empty_if_the_server_alters_values(config in any_configuration(), seed in any::<u64>()) {
        runtime().block_on(converges(config, seed));
    }
}

#[tokio::test]
async fn altered_value_is_noted_until_the_configuration_changes() {
    let config = |bits: Value, topic: &str| {
        configuration(&[
            ("role.naib", json!({ "name": "Naib", "permissions": bits })),
            (
                "channel.gate",
                json!({ "kind": "text", "name": "what?! now", "topic": topic, "category": "none",
                "overwrites": { "everyone": { "deny": ["BIT_60", "SPEAK"] } } }),
            ),
        ])
    };
    let bench = Bench::start(before()).await;
    // A bit that the emulator, as Discord, does not keep in roles.
    let asked = config(json!(["VIEW_CHANNEL", "BIT_60"]), "of water");
    bench.apply(&asked).await.unwrap();
    let second = bench.plan(&asked, Mode::Apply).await;
    assert!(second.is_empty(), "{:#?}", second.changes);
    let note = second
        .notes
        .iter()
        .find(|note| note.starts_with("role.naib"))
        .unwrap_or_else(|| panic!("{:?}", second.notes));
    assert!(
        note.contains("`permissions`") && note.contains("BIT_60") && note.contains("Discord stores [\"VIEW_CHANNEL\"]"),
        "{note}"
    );
    // Another attribute changes: the one that is kept otherwise is not sent with it.
    let (plan, _) = bench
        .apply(&config(json!(["VIEW_CHANNEL", "BIT_60"]), "of spice"))
        .await
        .unwrap();
    let fields: Vec<_> = plan
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::Update { fields, .. } => Some(fields.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(fields, [["topic"]]);
    // With the values that Discord stores in the configuration, there is nothing left to report.
    let written = config(json!(["VIEW_CHANNEL"]), "of spice");
    let last = bench.plan(&written, Mode::Apply).await;
    assert!(
        last.is_empty() && last.notes.iter().all(|note| !note.starts_with("role.naib")),
        "{:#?}",
        last.notes
    );
}

#[tokio::test]
async fn outside_change_of_an_altered_value_is_drift() {
    let bench = Bench::start(before()).await;
    let asked = configuration(&[(
        "role.naib",
        json!({ "name": "Naib", "permissions": ["VIEW_CHANNEL", "BIT_60"] }),
    )]);
    bench.apply(&asked).await.unwrap();
    let id = bench.state().await.id(&"role.naib".parse().unwrap()).unwrap();
    let (discord, _) = bench.server.client();
    let path = format!("/guilds/{}/roles/{id}", bench.guild());
    let reason = arrakis_iac_apply::http::Reason::new("manually");
    discord
        .write(Method::PATCH, &path, Some(&json!({ "permissions": "0" })), &reason)
        .await
        .unwrap();
    let (state, live) = (bench.state().await, bench.live().await);
    let plan = plan(&asked, &state, &live, &Options::default()).unwrap();
    assert_eq!(plan.drift[0].fields, ["permissions"]);
    assert_eq!(plan.changes[0].fields, ["permissions"]);
}

fn forum(tags: &[&str]) -> Configuration {
    let tags: Vec<Value> = tags.iter().map(|name| json!({ "name": name })).collect();
    configuration(&[(
        "channel.lore",
        json!({ "kind": "forum", "name": "lore", "category": "none", "tags": tags }),
    )])
}

async fn tag_ids(bench: &Bench) -> Vec<(String, u64)> {
    let live = bench.live().await;
    let channel = live
        .of_kind(Kind::Channel)
        .find(|channel| channel.attributes.name() == Some("lore"))
        .unwrap();
    let Attributes::Channel(channel) = &channel.attributes else {
        panic!("a channel")
    };
    let tags = channel.tags.iter().flatten();
    tags.map(|tag| (tag.name.clone(), tag.id.unwrap().get())).collect()
}

#[tokio::test]
async fn renamed_tag_keeps_its_id_and_a_removed_one_is_reported() {
    let bench = Bench::start(before()).await;
    bench.apply(&forum(&["old", "new", "lost"])).await.unwrap();
    let first = tag_ids(&bench).await;
    // Renamed, and in another order.
    let renamed = forum(&["lost", "ancient", "new"]);
    let plan = bench.plan(&renamed, Mode::Apply).await;
    assert!(
        plan.notes
            .iter()
            .any(|note| note.contains("`old` is renamed to `ancient`")),
        "{:?}",
        plan.notes
    );
    bench.apply(&renamed).await.unwrap();
    let second = tag_ids(&bench).await;
    let expected =
        [("lost", first[2].1), ("ancient", first[0].1), ("new", first[1].1)].map(|(name, id)| (name.to_owned(), id));
    assert_eq!(second, expected);
    assert!(bench.plan(&renamed, Mode::Apply).await.is_empty());
    // Renamed manually: the configuration's name comes back to the same tag.
    let (discord, _) = bench.server.client();
    let id = bench.state().await.id(&"channel.lore".parse().unwrap()).unwrap();
    let by_hand: Vec<Value> = second
        .iter()
        .map(|(name, id)| json!({ "id": id.to_string(), "name": name.replace("new", "newest") }))
        .collect();
    let reason = arrakis_iac_apply::http::Reason::new("manually");
    discord
        .write(
            Method::PATCH,
            &format!("/channels/{id}"),
            Some(&json!({ "available_tags": by_hand })),
            &reason,
        )
        .await
        .unwrap();
    bench.apply(&renamed).await.unwrap();
    assert_eq!(tag_ids(&bench).await, expected);
    let removed = bench.plan(&forum(&["lost", "ancient"]), Mode::Apply).await;
    let text = arrakis_iac::render::plan(&removed, arrakis_iac::render::Style { color: true });
    assert!(text.contains("posts will lose the tags `new`"), "{text}");
}
