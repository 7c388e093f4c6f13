//! Shadow workers: answers are computed and compared, and nothing is sent, written or published.

use std::time::Duration;

use arrakis_config::Secret;
use arrakis_contracts::names;
use arrakis_db::{LeaderElection, Leadership};
use arrakis_test_support::eventually_within;
use serde_json::json;

use crate::platform::{Platform, Worker, labels};

/// The last comparison is 20 s after the answer.
const LIMIT: Duration = Duration::from_secs(30);

fn answers(command: &str, outcome: &str) -> String {
    format!("arrakis_worker_shadow_answers_total{{command=\"{command}\",outcome=\"{outcome}\"}}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_answer_is_counted_and_has_no_effect() {
    let (platform, _stable) = Platform::with_worker().await;
    let shadow = platform.shadow().await;
    let id = platform.run_command("chani", "position", json!({})).await;
    platform.control.answered(&id).await;
    let equal = answers("position", "equal");
    eventually_within(
        LIMIT,
        async || shadow.worker.metric(&equal) == Some(1.0),
        "the answers to be compared",
    )
    .await;
    assert_eq!(
        platform.control.count("POST", "/callback", 204).await,
        1,
        "of the stable worker"
    );
    assert_eq!(platform.control.count("PATCH", "/messages/@original", 200).await, 1);
    assert_eq!(shadow.worker.metric("arrakis_worker_leader"), Some(0.0));
    for queue in [names::DEAD_LETTERS, names::INTERACTIONS] {
        platform.until_messages(queue, 0).await;
    }
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn different_answer_is_counted() {
    let (platform, _stable) = Platform::with_worker().await;
    let shadow = platform.shadow().await;
    // The copy has another state, as another build would compute another answer.
    let mut tx = shadow.database.tenant(platform.community.id).await.unwrap();
    let user = platform.community.user_id("chani");
    tx.profiles().link_wallet(user, None).await.unwrap();
    tx.commit().await.unwrap();
    let id = platform.run_command("chani", "position", json!({})).await;
    platform.control.answered(&id).await;
    let different = answers("position", "different");
    eventually_within(
        LIMIT,
        async || shadow.worker.metric(&different) == Some(1.0),
        "the answers to be compared",
    )
    .await;
    platform.vhost.finish().await;
}

/// The member's join gives a role and a welcome, which the stable worker alone does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_changes_nothing_a_second_time() {
    let (platform, stable) = Platform::with_worker().await;
    let shadow = platform.shadow().await;
    let new = serde_json::from_value(json!({"name": "duncan"})).unwrap();
    platform.control.join(&platform.community.guild, &new).await.unwrap();
    platform.deliver("GUILD_MEMBER_ADD").await;
    let settled = |queue: &str| format!("arrakis_worker_messages_total{{queue=\"{queue}\",verdict=\"done\"}}");
    stable.until_metric(&settled(names::EVENTS_GUILD), 1.0).await;
    let of_stable = platform.control.rest_calls().await.unwrap();
    let changes = of_stable.iter().filter(|call| call.method != "GET").count();
    let copy = names::shadow(names::EVENTS_GUILD);
    shadow.worker.until_metric(&settled(&copy), 1.0).await;
    let calls = platform.control.rest_calls().await.unwrap();
    let after = calls.iter().filter(|call| call.method != "GET").count();
    assert_eq!(after, changes);
    platform.vhost.finish().await;
}

/// What a shadow worker cannot handle is counted, and neither retried nor a dead letter: the stable worker's is the only one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_that_cannot_be_handled_is_counted_as_failed() {
    let (platform, _stable) = Platform::with_worker().await;
    let shadow = platform.shadow().await;
    let (id, event) = ("poison", "GUILD_MEMBER_ADD");
    let headers = labels(event, "x", None).headers();
    platform
        .publish_raw("member.join", id, event, headers, b"not json".to_vec())
        .await;
    shadow.worker.until_metric(&answers("event", "failed"), 1.0).await;
    assert_eq!(platform.take(names::DEAD_LETTERS).await.id, id);
    platform.until_messages(names::DEAD_LETTERS, 0).await;
    platform.vhost.finish().await;
}

/// A shadow worker that is configured with what workers use would write to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shadow_without_copies_does_not_start() {
    let (platform, stable) = Platform::with_worker().await;
    stable.until_metric("arrakis_worker_leader", 1.0).await;
    let mut environment = platform.environment();
    environment.push(("WORKER_GROUP", "shadow".to_owned()));
    let error = Worker::spawn(&environment).ended().await.unwrap_err();
    assert!(
        error.to_string().contains("a shadow worker needs copies: DATABASE_URL"),
        "{error:#}"
    );
    platform.vhost.finish().await;
}

/// Between two leaders nobody leads for a moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shadow_that_starts_between_two_leaders_does_not_start() {
    let platform = Platform::start().await;
    let mut environment = platform.environment();
    environment.push(("WORKER_GROUP", "shadow".to_owned()));
    let shadow = Worker::spawn(&environment);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let url = Secret::new(platform.app_url());
    let mut leader = LeaderElection::connect(&url, Leadership::ScheduledJobs).await.unwrap();
    assert!(leader.try_lead().await.unwrap());
    let error = shadow.ended().await.unwrap_err();
    assert!(
        error.to_string().contains("a shadow worker needs copies: DATABASE_URL"),
        "{error:#}"
    );
}
