//! Preflight against the emulator, rule by rule: what it accepts is applied, and what it refuses Discord refuses.
//!
//! Each case makes a server as an administrator, then takes the bot's permissions away that it should not have, and plans
//! the change. Every row of the table of rules has a case on each side.

mod community;
mod limits;
mod permissions;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use arrakis_iac::import::import;
use arrakis_iac::model::{Address, Snowflake};
use arrakis_iac::plan::{Mode, Options, RULES, plan, preflight};
use arrakis_iac_apply::store::{Backend, LockHolder, WorkspaceName};
use arrakis_iac_apply::{ImageFolder, all_kinds, unusable_images};
use discord_emulator::model::Permissions;
use discord_emulator::world::Cause;
use serde_json::{Value, json};

use crate::bench::{Bench, configuration};

/// An image of one pixel.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00";

type Resources = Vec<(String, Value)>;

/// The findings of preflight, and the response of the emulator when the plan is applied nevertheless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing is reported, and the plan is applied.
    Allowed,
    /// It is reported, and the emulator refuses it.
    Refused,
    /// It is reported; the emulator is more lenient than Discord's documentation, or the rule is gaib's own.
    Reported,
    /// A warning; the plan is applied.
    Warned,
}

struct Case {
    rule: &'static str,
    what: &'static str,
    spec: Value,
    /// Made by an administrator.
    before: Resources,
    /// Roles of the server that are imported, by address and name.
    adopted: Vec<(&'static str, &'static str)>,
    /// The bot's permissions afterwards; all when absent.
    bot: Option<Vec<&'static str>>,
    /// The boost level afterwards.
    tier: u8,
    after: Resources,
    verdict: Verdict,
}

fn resources(list: &[(&str, Value)]) -> Resources {
    list.iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone()))
        .collect()
}

fn case(rule: &'static str, what: &'static str, verdict: Verdict) -> Case {
    Case {
        rule,
        what,
        spec: json!({ "name": "Carthag", "community": true }),
        before: Vec::new(),
        adopted: Vec::new(),
        bot: None,
        tier: 0,
        after: Vec::new(),
        verdict,
    }
}

impl Case {
    fn spec(mut self, spec: Value) -> Self {
        self.spec = spec;
        self
    }

    fn plain(self) -> Self {
        self.spec(json!({ "name": "Carthag", "community": false }))
    }

    fn before(mut self, list: &[(&str, Value)]) -> Self {
        self.before = resources(list);
        self
    }

    fn adopted(mut self, list: &[(&'static str, &'static str)]) -> Self {
        self.adopted = list.to_vec();
        self
    }

    fn bot(mut self, permissions: &[&'static str]) -> Self {
        self.bot = Some(permissions.to_vec());
        self
    }

    fn after(mut self, list: &[(&str, Value)]) -> Self {
        self.after = resources(list);
        self
    }
}

fn text(name: &str, more: &Value) -> Value {
    let mut value = json!({ "kind": "text", "name": name, "category": "none" });
    for (key, given) in more.as_object().unwrap() {
        value[key] = given.clone();
    }
    value
}

/// A resource by its number: address and value.
type ResourceOf = fn(usize) -> (String, Value);

fn many(count: usize, each: impl Fn(usize) -> (String, Value)) -> Resources {
    (0..count).map(each).collect()
}

fn automod(trigger: &str, actions: &Value) -> Value {
    let trigger = match trigger {
        "keyword" => json!({ "type": "keyword", "keywords": ["spice"] }),
        other => json!({ "type": other }),
    };
    json!({ "name": "a", "trigger": trigger, "actions": actions })
}

struct Outcome {
    findings: Vec<arrakis_iac::plan::Finding>,
    error: Option<String>,
}

/// Files that the case names: `257kib.png` is an image of so many KiB.
fn write_images(folder: &Path, case: &Case) {
    std::fs::write(folder.join("spice.png"), PNG).unwrap();
    std::fs::write(folder.join("drawing.svg"), "<svg/>").unwrap();
    let lottie = r#"{ "v": "5.5", "w": 320, "h": 320, "fr": 30, "ip": 0, "op": 30, "layers": [] }"#;
    std::fs::write(folder.join("worm.json"), lottie).unwrap();
    let named = case
        .after
        .iter()
        .flat_map(|(_, value)| [&value["image"]["path"], &value["avatar"]["path"]]);
    for file in named.filter_map(Value::as_str) {
        let Some(kib) = file.strip_suffix("kib.png") else {
            continue;
        };
        let mut bytes = PNG.to_vec();
        bytes.resize(kib.parse::<usize>().unwrap() * 1_024, 0);
        std::fs::write(folder.join(file), bytes).unwrap();
    }
}

async fn run(case: &Case) -> Outcome {
    let mut bench = Bench::start(case.spec.clone()).await;
    write_images(bench.folder.path(), case);
    bench.kinds = all_kinds();
    let list = |resources: &Resources| -> arrakis_iac::model::Configuration {
        let borrowed: Vec<(&str, Value)> = resources
            .iter()
            .map(|(key, value)| (key.as_str(), value.clone()))
            .collect();
        configuration(&borrowed)
    };
    let fail = |error| panic!("{} ({}): {error}", case.rule, case.what);
    if !case.before.is_empty() {
        bench.apply(&list(&case.before)).await.map_err(fail).ok();
    }
    import_resources(&bench, &case.adopted).await;
    restrict(&bench, case);
    // Without MANAGE_WEBHOOKS or MANAGE_GUILD some lists cannot be read: as in `gaib`, only the kinds of the configuration are read.
    let kinds: BTreeSet<_> = list(&case.after).resources.keys().map(Address::kind).collect();
    bench.kinds = kinds;
    let (state, live) = (bench.state().await, bench.live().await);
    let options = Options {
        mode: Mode::Apply,
        allow_replace: true,
        ..Options::default()
    };
    let plan = plan(&list(&case.after), &state, &live, &options).unwrap();
    let mut findings = preflight(&plan, &live, &state);
    findings.extend(unusable_images(&plan, &ImageFolder(bench.folder.path().to_owned())));
    let (discord, _) = bench.server.client();
    let error = bench.carry_out(&discord, &plan, &live).await.err();
    Outcome {
        findings,
        error: error.map(|error| error.to_string()),
    }
}

/// Takes roles of the server into the state, also those that `gaib` would not take in.
async fn import_resources(bench: &Bench, adopted: &[(&str, &str)]) {
    if adopted.is_empty() {
        return;
    }
    let (mut state, mut live) = (bench.state().await, bench.live().await);
    for (address, name) in adopted {
        let address: Address = address.parse().unwrap();
        let id = Snowflake::new(bench.server.made.roles[*name].0).unwrap();
        live.get_mut(address.kind(), id).unwrap().managed = false;
        import(&address, id, None, &mut state, &live).unwrap();
    }
    let holder = LockHolder {
        who: "stilgar".to_owned(),
        host: "arrakeen".to_owned(),
        operation: "import".to_owned(),
    };
    let mut guard = bench.store.lock(&WorkspaceName::default(), &holder).await.unwrap();
    guard.write(&state.advance()).await.unwrap();
    guard.release().await.unwrap();
}

/// Takes permissions from the bot, and boosts from the server.
fn restrict(bench: &Bench, case: &Case) {
    let (guild, owner) = (bench.server.made.guild_id, Cause::by(bench.server.made.owner_id));
    let own = bench.server.made.bot_role_id;
    let change = |found: &mut discord_emulator::model::Guild| {
        if let Some(names) = &case.bot {
            let of = |id| found.roles.get(&id).cloned().unwrap();
            let (mut role, mut everyone) = (of(own), of(guild));
            role.permissions = Permissions::from_names(names.iter().copied()).unwrap();
            everyone.permissions = Permissions::empty();
            found.roles.insert(own, role);
            found.roles.insert(guild, everyone);
        }
        found.premium_tier = case.tier;
    };
    bench
        .server
        .emulator
        .app()
        .world
        .write(|world| world.update_guild(guild, change, &owner));
}

#[tokio::test]
async fn preflight_agrees_with_the_server() {
    let cases: Vec<Case> = [
        permissions::cases(),
        community::cases(),
        limits::cases(),
        values::cases(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut sides: BTreeMap<&str, BTreeSet<bool>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for case in &cases {
        let Outcome { findings, error } = run(case).await;
        let found = findings.iter().find(|finding| finding.rule == case.rule);
        let fits = match case.verdict {
            Verdict::Allowed => findings.is_empty() && error.is_none(),
            Verdict::Refused => found.is_some_and(|finding| finding.blocking) && error.is_some(),
            Verdict::Reported => found.is_some_and(|finding| finding.blocking),
            Verdict::Warned => found.is_some_and(|finding| !finding.blocking) && error.is_none(),
        };
        if !fits {
            wrong.push(format!(
                "{} ({}): {:?}: {findings:#?} {error:?}",
                case.rule, case.what, case.verdict
            ));
        }
        sides
            .entry(case.rule)
            .or_default()
            .insert(case.verdict == Verdict::Allowed);
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
    for rule in RULES {
        // Values and members are checked by what reads the configuration and the members: their tests are with those. What is
        // unknown of a server is in `lost` and `unreadable`.
        let elsewhere = ["value", "absent-member", "outcome-unknown", "doubled", "unreadable"];
        let elsewhere = elsewhere.contains(&rule.id);
        let both = elsewhere || sides.get(rule.id).is_some_and(|sides| sides.len() == 2);
        assert!(both, "the rule `{}` lacks a case on one side", rule.id);
    }
}
