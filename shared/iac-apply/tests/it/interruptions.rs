//! The matrix of interruptions: an apply that is killed before or after each single one of its requests, or that loses each
//! single answer, is finished by the next one, with nothing doubled and nothing orphaned.

use std::sync::Arc;

use arrakis_iac::model::Configuration;
use discord_emulator::faults::{Condition, DeadHost, FaultKind};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::apply::sietch;
use crate::bench::{Bench, configuration};
use crate::support::{Cut, Strike, Watched, empty};

/// A bit of everything that an apply does: creations, a private channel, the bot's role, settings, an order.
pub(crate) fn small() -> Configuration {
    configuration(&[
        ("server", json!({"name": "Sietch Tabr", "verification_level": "medium"})),
        (
            "role.naib",
            json!({"name": "Naib", "permissions": ["ADMINISTRATOR"], "color": "#FFD700", "hoist": true}),
        ),
        (
            "role.bot",
            json!({"name": "Shai-Hulud", "permissions": [], "given_to_bot": true}),
        ),
        (
            "category.rock",
            json!({"kind": "category", "name": "Rock",
            "overwrites": {"everyone": {"deny": ["VIEW_CHANNEL"]}, "role.naib": {"allow": ["VIEW_CHANNEL"]}}}),
        ),
        (
            "channel.council",
            json!({"kind": "text", "name": "council", "category": "category.rock", "topic": "Naib only",
            "overwrites": {"everyone": {"deny": ["VIEW_CHANNEL"]}, "role.naib": {"allow": ["VIEW_CHANNEL"]},
                "bot": {"allow": ["VIEW_CHANNEL", "SEND_MESSAGES"]}}}),
        ),
        (
            "channel.tales",
            json!({"kind": "forum", "name": "tales", "require_tag": true,
            "tags": [{"name": "old"}, {"name": "new", "moderated": true, "emoji": "🔥"}]}),
        ),
    ])
}

/// The server before the apply: an unmanaged role and an unmanaged channel, one of them with the name of a managed one.
fn before() -> serde_json::Value {
    json!({ "name": "Before", "community": true, "roles": [{"name": "Naib"}], "channels": [{"name": "council"}] })
}

/// One cell: an apply that ends at request `at`, then a whole one.
async fn killed_at(config: Configuration, at: usize, strike: Strike) {
    let bench = Bench::start(before()).await;
    let at_first = bench.live().await;
    let stop = CancellationToken::new();
    let cut = Cut::new(Arc::new(bench.server.https()), at, strike, stop.clone());
    tokio::select! {
        biased;
        ended = bench.apply_over(Arc::new(cut), &config) => panic!("request {at} was never made: {ended:?}"),
        () = stop.cancelled() => {}
    }
    if let Err(error) = bench.apply(&config).await {
        panic!("{strike:?} request {at}: the second apply failed: {error}");
    }
    bench.assert_applied(&config, &at_first).await;
}

/// Every request of an apply, in order.
async fn requests(config: &Configuration) -> Vec<String> {
    let bench = Bench::start(before()).await;
    let (_, watched): (_, Arc<Watched>) = bench.apply(config).await.unwrap();
    watched.sent()
}

/// Kills an apply of `config` before and after every `step`th of its requests.
async fn matrix(config: &Configuration, step: usize) {
    let requests = requests(config).await;
    assert!(requests.len() > 10, "{requests:?}");
    for (at, request) in requests.iter().enumerate().step_by(step) {
        let cells = [Strike::Before, Strike::After].map(|strike| tokio::spawn(killed_at(config.clone(), at, strike)));
        for cell in cells {
            cell.await.unwrap_or_else(|error| panic!("{request}: {error}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apply_killed_at_any_request_is_completed_by_the_next() {
    matrix(&small(), 1).await;
}

/// The whole theme takes a while: every ninth request each time, every single one with `INTERRUPT_EVERY=1`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_apply_of_sietch_is_completed_by_the_next() {
    let every = std::env::var("INTERRUPT_EVERY").map_or(9, |every| every.parse().unwrap());
    matrix(&sietch(), every).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_response_at_any_request_creates_no_duplicate() {
    let requests = requests(&small()).await;
    for (at, request) in requests.iter().enumerate() {
        let bench = Bench::start(before()).await;
        let at_first = bench.live().await;
        let cut = Cut::new(
            Arc::new(bench.server.https()),
            at,
            Strike::Lose,
            CancellationToken::new(),
        );
        let config = small();
        // Whether the run itself recovers or ends, the next one has nothing left that could double.
        let first = bench.apply_over(Arc::new(cut), &config).await;
        assert!(first.is_ok(), "{request}: {first:?}");
        bench.assert_applied(&config, &at_first).await;
    }
}

#[tokio::test]
async fn lost_responses_of_the_emulator_create_no_duplicate() {
    for mode in [DeadHost::Refuse, DeadHost::Hang] {
        let bench = Bench::start(empty()).await;
        let at_first = bench.live().await;
        let every_route = Condition {
            count: Some(1),
            method: Some("POST".to_owned()),
            ..Condition::default()
        };
        bench
            .server
            .emulator
            .app()
            .faults
            .arm(FaultKind::RestLostAnswer { mode }, every_route);
        bench.apply(&small()).await.unwrap();
        bench.assert_applied(&small(), &at_first).await;
    }
}

#[tokio::test]
async fn creation_that_did_not_arrive_is_repeated() {
    let bench = Bench::start(empty()).await;
    let at_first = bench.live().await;
    let once = Condition {
        count: Some(1),
        method: Some("POST".to_owned()),
        ..Condition::default()
    };
    bench
        .server
        .emulator
        .app()
        .faults
        .arm(FaultKind::RestStatus { status: 502 }, once);
    let (_, watched) = bench.apply(&small()).await.unwrap();
    assert_eq!(watched.count("POST"), 6);
    bench.assert_applied(&small(), &at_first).await;
}

#[tokio::test]
async fn unwanted_pending_creation_is_removed_from_the_state() {
    let bench = Bench::start(before()).await;
    let config = small();
    let requests = requests(&config).await;
    let first_create = requests.iter().position(|call| call.starts_with("POST")).unwrap();
    let stop = CancellationToken::new();
    let cut = Cut::new(
        Arc::new(bench.server.https()),
        first_create,
        Strike::Before,
        stop.clone(),
    );
    tokio::select! {
        biased;
        _ = bench.apply_over(Arc::new(cut), &config) => panic!("not cut"),
        () = stop.cancelled() => {}
    }
    assert_eq!(bench.state().await.pending.len(), 1);
    bench.destroy().await.unwrap();
    let state = bench.state().await;
    assert!(state.pending.is_empty() && state.resources.is_empty(), "{state:?}");
}
