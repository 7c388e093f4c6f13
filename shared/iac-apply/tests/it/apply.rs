//! Whole applies: how many requests they take, and their results when the server changes meanwhile.

use std::path::Path;
use std::sync::OnceLock;

use arrakis_iac::config::from_theme;
use arrakis_iac::model::{Attributes, Configuration, Kind};
use arrakis_iac::plan::Mode;
use arrakis_iac_apply::http::CallError;
use arrakis_iac_apply::{ApplyError, Event};
use arrakis_themes::Registry;
use discord_emulator::faults::{Condition, FaultKind};
use discord_emulator::model::Id;
use discord_emulator::openapi::Checker;
use discord_emulator::world::Cause;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::bench::{Bench, configuration};
use crate::support::empty;

pub(crate) fn sietch() -> Configuration {
    let registry = Registry::load(None).unwrap();
    from_theme(registry.theme("sietch").unwrap())
}

#[tokio::test]
async fn sietch_needs_about_one_request_per_resource() {
    let bench = Bench::start(empty()).await;
    let before = bench.live().await;
    let (_, watched) = bench.apply(&sietch()).await.unwrap();
    let (roles, channels) = (
        format!("POST /guilds/{}/roles", bench.guild()),
        format!("POST /guilds/{}/channels", bench.guild()),
    );
    assert_eq!((watched.count(&roles), watched.count(&channels)), (15, 9 + 23));
    let sent = watched.sent();
    let rest: Vec<&String> = sent.iter().filter(|call| !call.starts_with("POST")).collect();
    // Four to read the server; the bot's role, and orders in bulk.
    assert_eq!(watched.count("GET"), 4, "{rest:?}");
    assert!(rest.len() <= 4 + 5, "{rest:?}");
    bench.assert_applied(&sietch(), &before).await;

    let live = bench.live().await;
    let own = live
        .of_kind(Kind::Role)
        .filter(|role| live.bot.roles.contains(&role.id));
    let names: Vec<&str> = own.filter_map(|role| role.attributes.name()).collect();
    assert!(names.contains(&"Shai-Hulud"), "{names:?}");
    let order: Vec<&str> = live
        .roles_in_order()
        .iter()
        .filter_map(|role| role.attributes.name())
        .collect();
    assert_eq!(order[1..4], ["Naib", "Shai-Hulud", "Fedaykin"]);
    conforms(&bench);
}

/// Every exchange of the run agrees with Discord's own document, where that is present.
pub(crate) fn conforms(bench: &Bench) {
    // Reading the document takes longer than a whole apply: once is enough.
    static CHECKER: OnceLock<Option<Checker>> = OnceLock::new();
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let Some(checker) = CHECKER.get_or_init(|| Checker::find(&checkout).unwrap()) else {
        return;
    };
    let entries = bench.server.emulator.app().traffic.since(0);
    let lines: Vec<String> = entries
        .iter()
        .map(|entry| serde_json::to_string(entry).unwrap())
        .collect();
    let report = checker.check_ledger(&lines.join("\n"));
    assert!(report.checked > 0);
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
}

#[tokio::test]
async fn destroy_deletes_only_managed_resources() {
    let spec = json!({"name": "Before", "community": true, "roles": [{"name": "Own"}],
        "channels": [{"name": "Hall", "kind": "category", "channels": [{"name": "own"}]}]});
    let bench = Bench::start(spec).await;
    let before = bench.live().await;
    bench.apply(&sietch()).await.unwrap();
    bench.destroy().await.unwrap();
    let (state, after) = (bench.state().await, bench.live().await);
    assert!(state.resources.is_empty(), "{:?}", state.resources.keys());
    for kind in [Kind::Role, Kind::Category, Kind::Channel] {
        let ids = |live: &arrakis_iac::live::LiveServer| live.of_kind(kind).map(|one| one.id).collect::<Vec<_>>();
        assert_eq!(ids(&after), ids(&before), "{kind}");
    }
    // What was not managed is as it was, too.
    for kind in [Kind::Category, Kind::Channel] {
        for resource in before.of_kind(kind) {
            assert_eq!(
                after.get(kind, resource.id).map(|one| &one.attributes),
                Some(&resource.attributes)
            );
        }
    }
}

fn two() -> Configuration {
    configuration(&[
        (
            "role.naib",
            json!({"name": "Naib", "permissions": ["VIEW_CHANNEL"], "color": "#FFD700"}),
        ),
        (
            "channel.council",
            json!({"kind": "text", "name": "council", "topic": "of the rock"}),
        ),
    ])
}

#[tokio::test]
async fn many_429s_only_delay_the_apply() {
    let bench = Bench::start(empty()).await;
    let before = bench.live().await;
    let faults = &bench.server.emulator.app().faults;
    for scope in ["user", "shared", "global"] {
        let often = Condition {
            count: Some(6),
            probability: Some(0.5),
            ..Condition::default()
        };
        let limit = FaultKind::RestRateLimit {
            scope: scope.to_owned(),
            retry_after: 0.01,
        };
        faults.arm(limit, often);
    }
    bench.apply(&two()).await.unwrap();
    bench.assert_applied(&two(), &before).await;
    assert!(faults.list().iter().any(|fault| fault.struck > 0));
}

#[tokio::test]
async fn outside_change_between_plan_and_apply_is_an_error_and_the_next_apply_succeeds() {
    let bench = Bench::start(empty()).await;
    let before = bench.live().await;
    bench.apply(&two()).await.unwrap();
    let changed = configuration(&[
        (
            "role.naib",
            json!({"name": "Naib", "permissions": ["VIEW_CHANNEL"], "color": "#0000FF"}),
        ),
        (
            "channel.council",
            json!({"kind": "text", "name": "council", "topic": "of nobody"}),
        ),
    ]);
    let live = bench.live().await;
    let plan = bench.plan(&changed, Mode::Apply).await;
    let role = bench.state().await.id(&"role.naib".parse().unwrap()).unwrap();
    let guild = bench.server.made.guild_id;
    let owner = Cause::by(bench.server.made.owner_id);
    bench
        .server
        .emulator
        .app()
        .world
        .write(|state| state.delete_role(guild, Id(role.get()), &owner));
    let (discord, _) = bench.server.client();
    let error = bench.carry_out(&discord, &plan, &live).await.unwrap_err();
    assert!(
        matches!(&error, ApplyError::Call { source, .. } if source.is_gone()),
        "{error}"
    );
    assert!(error.to_string().contains("role.naib"), "{error}");
    bench.apply(&changed).await.unwrap();
    bench.assert_applied(&changed, &before).await;
}

#[tokio::test]
async fn deletion_of_an_absent_resource_succeeds() {
    let bench = Bench::start(empty()).await;
    bench.apply(&two()).await.unwrap();
    let live = bench.live().await;
    let plan = bench.plan(&Configuration::default(), Mode::Destroy).await;
    let (guild, owner) = (bench.server.made.guild_id, Cause::by(bench.server.made.owner_id));
    let state = bench.state().await;
    let (role, channel) = (
        state.id(&"role.naib".parse().unwrap()).unwrap(),
        state.id(&"channel.council".parse().unwrap()).unwrap(),
    );
    bench.server.emulator.app().world.write(|world| {
        world.delete_role(guild, Id(role.get()), &owner);
        world.delete_channel(Id(channel.get()), &owner);
    });
    let (discord, _) = bench.server.client();
    bench.carry_out(&discord, &plan, &live).await.unwrap();
    assert!(bench.state().await.resources.is_empty());
}

#[tokio::test]
async fn cancelled_apply_is_completed_by_the_next() {
    let bench = Bench::start(empty()).await;
    let before = bench.live().await;
    let stop = CancellationToken::new();
    let (discord, watched) = bench
        .server
        .client_over(std::sync::Arc::new(bench.server.https()), stop.clone());
    let (live, plan) = (bench.live().await, bench.plan(&two(), Mode::Apply).await);
    stop.cancel();
    let stopped = bench.carry_out(&discord, &plan, &live).await.unwrap_err();
    assert!(stopped.is_cancelled(), "{stopped}");
    assert_eq!(watched.count("POST"), 0);
    assert!(
        bench.state().await.pending.is_empty(),
        "no request was sent, so nothing is pending"
    );
    bench.apply(&two()).await.unwrap();
    bench.assert_applied(&two(), &before).await;
}

#[tokio::test]
async fn audit_log_contains_the_plan_and_events_contain_the_steps() {
    let bench = Bench::start(empty()).await;
    let (plan, watched) = bench.apply(&two()).await.unwrap();
    let (discord, _) = bench.server.client();
    let log: Value = discord
        .get(&format!("/guilds/{}/audit-logs", bench.guild()))
        .await
        .unwrap();
    let entries = log["audit_log_entries"].as_array().unwrap();
    let reasons: Vec<&str> = entries.iter().filter_map(|entry| entry["reason"].as_str()).collect();
    let expected = format!("gaib plan {}: create role.naib", &plan.digest()[..12]);
    assert!(reasons.contains(&expected.as_str()), "{reasons:?}");
    let done = watched.events().into_iter().filter_map(|event| match event {
        Event::StepDone { step, id, .. } => Some((step, id.is_some())),
        _ => None,
    });
    let done: Vec<(String, bool)> = done.collect();
    assert!(done.contains(&("create channel.council".to_owned(), true)), "{done:?}");
}

#[tokio::test]
async fn refusal_names_step_and_reason_and_keeps_completed_steps() {
    let bench = Bench::start(json!({"name": "Small", "community": false})).await;
    let config = configuration(&[
        ("role.naib", json!({"name": "Naib"})),
        ("channel.news", json!({"kind": "announcement", "name": "news"})),
    ]);
    let error = bench.apply(&config).await.unwrap_err();
    let words = error.to_string();
    assert!(words.starts_with("create channel.news: POST /guilds/"), "{words}");
    assert!(
        matches!(
            &error,
            ApplyError::Call {
                source: CallError::Refused { .. },
                ..
            }
        ),
        "{words}"
    );
    let state = bench.state().await;
    assert!(state.pending.is_empty(), "{:?}", state.pending);
    let role = &state.resources[&"role.naib".parse().unwrap()];
    // Permissions that Discord copies from @everyone when a request has none were not copied.
    let live = bench.live().await;
    let Attributes::Role(role) = &live.get(Kind::Role, role.id).unwrap().attributes else {
        panic!("a role")
    };
    assert_eq!(role.permissions, Some(arrakis_domain::Permissions::NONE));
}
