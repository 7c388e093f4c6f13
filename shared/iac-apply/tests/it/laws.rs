//! Laws, for random configurations: after an apply the plan is empty, from any earlier state of the server; the plan of an exported
//! and imported server has no changes; destroy removes what is managed and nothing else. `PROPTEST_CASES` sets the number of
//! cases.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use arrakis_iac::config::{VariableInputs, load};
use arrakis_iac::export::{ExportDetail, assign, from_live, to_yaml};
use arrakis_iac::import::{import, matches};
use arrakis_iac::model::{Configuration, Kind};
use arrakis_iac::plan::{Options, plan};
use arrakis_iac::state::State;
use arrakis_iac_apply::http::Reason;
use arrakis_themes::Registry;
use http::Method;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

use crate::apply::conforms;
use crate::bench::{Bench, configuration};

const BITS: [&str; 6] = [
    "VIEW_CHANNEL",
    "SEND_MESSAGES",
    "CONNECT",
    "SPEAK",
    "READ_MESSAGE_HISTORY",
    "ADD_REACTIONS",
];

fn permissions() -> impl Strategy<Value = Vec<&'static str>> {
    subsequence(BITS.to_vec(), 0..=BITS.len())
}

fn maybe<S: Strategy<Value: Clone>>(strategy: S) -> impl Strategy<Value = Option<S::Value>> {
    proptest::option::of(strategy)
}

/// An object of the fields that have a value.
fn object(fields: &[(&str, Option<Value>)]) -> Value {
    let given = fields
        .iter()
        .filter_map(|(key, value)| Some(((*key).to_owned(), value.clone()?)));
    Value::Object(given.collect::<Map<_, _>>())
}

fn role() -> impl Strategy<Value = Value> {
    (
        select(vec!["Naib", "Fedaykin", "🏜️ Água", "new role"]),
        maybe(select(vec!["#FFD700", "#000000", "#123456"])),
        maybe(any::<bool>()),
        maybe(any::<bool>()),
        maybe(permissions()),
        maybe(any::<bool>()),
    )
        .prop_map(|(name, color, hoist, mentionable, permissions, bot)| {
            object(&[
                ("name", Some(json!(name))),
                ("color", color.map(Value::from)),
                ("hoist", hoist.map(Value::from)),
                ("mentionable", mentionable.map(Value::from)),
                ("permissions", permissions.map(Value::from)),
                ("given_to_bot", bot.map(Value::from)),
            ])
        })
}

/// Whom, by number; what is granted, and denied.
type AnyOverwrite = (usize, Vec<&'static str>, Vec<&'static str>);

/// Who is granted and denied what; roles by number, to be cut to those there are.
fn overwrites() -> impl Strategy<Value = Vec<AnyOverwrite>> {
    vec((0_usize..8, permissions(), permissions()), 0..4)
}

fn overwrites_of(given: &[AnyOverwrite], roles: usize) -> Value {
    let mut map = Map::new();
    for (who, allow, deny) in given {
        let target = match who {
            0 => "everyone".to_owned(),
            1 => "bot".to_owned(),
            2 => "member:77".to_owned(),
            number if number - 3 < roles => format!("role.r{}", number - 3),
            _ => continue,
        };
        let deny: Vec<&&str> = deny.iter().filter(|bit| !allow.contains(bit)).collect();
        map.insert(target, json!({ "allow": allow, "deny": deny }));
    }
    Value::Object(map)
}

#[derive(Clone, Debug)]
struct AnyChannel {
    kind: &'static str,
    name: &'static str,
    category: usize,
    overwrites: Option<Vec<AnyOverwrite>>,
    numbers: (Option<u16>, Option<u32>, Option<bool>),
    topic: Option<&'static str>,
    tags: Option<Vec<&'static str>>,
}

fn channel() -> impl Strategy<Value = AnyChannel> {
    (
        select(vec!["text", "text", "voice", "announcement", "stage", "forum"]),
        select(vec!["general", "spice", "águas-🔥", "old-tales"]),
        0_usize..4,
        maybe(overwrites()),
        (
            maybe(select(vec![0_u16, 5, 300])),
            maybe(select(vec![8_000_u32, 64_000])),
            maybe(any::<bool>()),
        ),
        maybe(select(vec!["", "what it is for"])),
        maybe(subsequence(vec!["old", "new", "Mixed Case"], 0..=3)),
    )
        .prop_map(|(kind, name, category, overwrites, numbers, topic, tags)| AnyChannel {
            kind,
            name,
            category,
            overwrites,
            numbers,
            topic,
            tags,
        })
}

impl AnyChannel {
    fn attributes(&self, roles: usize, categories: usize) -> Value {
        let (slow, bitrate, flag) = self.numbers;
        let (voice, forum) = (matches!(self.kind, "voice" | "stage"), self.kind == "forum");
        let category = match self.category {
            0 => None,
            number if number - 1 < categories => Some(json!(format!("category.c{}", number - 1))),
            _ => Some(json!("none")),
        };
        let tags = self
            .tags
            .as_ref()
            .map(|tags| tags.iter().map(|tag| json!({ "name": tag })).collect::<Vec<_>>());
        object(&[
            ("kind", Some(json!(self.kind))),
            ("name", Some(json!(self.name))),
            ("category", category),
            (
                "overwrites",
                self.overwrites.as_ref().map(|given| overwrites_of(given, roles)),
            ),
            ("slow_mode", slow.map(Value::from)),
            ("nsfw", flag.map(Value::from)),
            ("topic", self.topic.filter(|_| !voice).map(Value::from)),
            ("bitrate", bitrate.filter(|_| voice).map(Value::from)),
            ("tags", tags.filter(|_| forum).map(Value::from)),
            ("require_tag", flag.filter(|_| forum).map(Value::from)),
        ])
    }
}

prop_compose! {
    pub(crate) fn any_configuration()(
        roles in vec(role(), 0..4),
        categories in vec((select(vec!["Rock", "Sand", "🏛️"]), maybe(overwrites())), 0..3),
        channels in vec(channel(), 0..6),
        level in maybe(select(vec!["none", "low", "high"])),
        everyone in maybe(permissions()),
    ) -> Configuration {
        let mut resources: Vec<(String, Value)> = Vec::new();
        if let Some(level) = level {
            resources.push(("server".to_owned(), json!({ "verification_level": level })));
        }
        if let Some(permissions) = everyone {
            resources.push(("role.everyone".to_owned(), json!({ "permissions": permissions })));
        }
        for (index, role) in roles.iter().enumerate() {
            resources.push((format!("role.r{index}"), role.clone()));
        }
        for (index, (name, given)) in categories.iter().enumerate() {
            let given = given.as_ref().map(|given| overwrites_of(given, roles.len()));
            let attributes = object(&[("kind", Some(json!("category"))), ("name", Some(json!(name))), ("overwrites", given)]);
            resources.push((format!("category.c{index}"), attributes));
        }
        for (index, channel) in channels.iter().enumerate() {
            resources.push((format!("channel.t{index}"), channel.attributes(roles.len(), categories.len())));
        }
        let resources: Vec<(&str, Value)> = resources.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        configuration(&resources)
    }
}

pub(crate) fn cases(few: u32) -> ProptestConfig {
    let asked = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() {
        asked.cases
    } else {
        few
    };
    ProptestConfig { cases, ..asked }
}

/// A server with things of its own among which the managed ones must find their place.
pub(crate) fn before() -> Value {
    json!({ "name": "Before", "community": true, "roles": [{"name": "Above"}, {"name": "Naib"}],
        "channels": [{"name": "Hall", "kind": "category", "channels": [{"name": "own"}, {"name": "talk", "kind": "voice"}]},
            {"name": "general"}] })
}

/// A community server has channels for its rules and for Discord's notices to moderators.
async fn a_true_community(bench: &Bench) {
    let (discord, _) = bench.server.client();
    let channels = &bench.server.made.channels;
    let body = json!({ "rules_channel_id": channels["own"], "public_updates_channel_id": channels["general"] });
    let path = format!("/guilds/{}", bench.guild());
    discord
        .write(Method::PATCH, &path, Some(&body), &Reason::new("manually"))
        .await
        .unwrap();
}

/// Any server that is exported, read back and imported has a plan without changes.
async fn exports_to_no_change(bench: &Bench) {
    let live = bench.live().await;
    let themes = Registry::load(None).unwrap();
    for detail in [ExportDetail::Readable, ExportDetail::Complete] {
        let yaml = to_yaml(&from_live(&live, &assign(&live, &BTreeMap::new()), detail), "");
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
}

async fn law(one: Configuration, other: Configuration) {
    let bench = Bench::start(before()).await;
    a_true_community(&bench).await;
    let at_first = bench.live().await;
    for config in [&one, &other] {
        if let Err(error) = bench.apply(config).await {
            panic!("{error}");
        }
        bench.assert_applied(config, &at_first).await;
        exports_to_no_change(&bench).await;
    }
    bench.destroy().await.unwrap();
    conforms(&bench);
    let (state, live) = (bench.state().await, bench.live().await);
    assert!(state.resources.is_empty() && state.pending.is_empty());
    for kind in [Kind::Role, Kind::Category, Kind::Channel] {
        let ids = |live: &arrakis_iac::live::LiveServer| live.of_kind(kind).map(|one| one.id).collect::<Vec<_>>();
        assert_eq!(ids(&live), ids(&at_first), "{kind}");
    }
}

/// One for all cases: connections live in it.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().unwrap())
}

proptest! {
    #![proptest_config(cases(10))]

    #[test]
    fn apply_converges_from_any_server_and_destroy_keeps_unmanaged_resources(
        one in any_configuration(),
        other in any_configuration(),
    ) {
        runtime().block_on(law(one, other));
    }
}
