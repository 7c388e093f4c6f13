//! First responses to interactions: retried within their three seconds, and not later.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::json;

use crate::support::{CallResponse, Replica, Reply, World, send};

const PATH: &str = "/interactions/1/tok/callback";
const ACKNOWLEDGED: &str = r#"{"message":"Interaction has already been acknowledged.","code":40060}"#;
const UNKNOWN: &str = r#"{"message":"Unknown interaction","code":10062}"#;

async fn respond(replica: &Replica) -> CallResponse {
    send(replica.call(Method::POST, PATH).json(&json!({"type": 5}))).await
}

fn no_content() -> Reply {
    Reply::status(204, "")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_first_response_is_retried_within_its_time() {
    for first in [
        Reply::status(500, ""),
        Reply::status(502, "<html>"),
        Reply::status(503, ""),
        Reply::Cut,
    ] {
        let failed = first.clone();
        let world = World::new(move |seen| if seen.number == 0 { failed.clone() } else { no_content() }).await;
        let replica = world.replica().await;
        let answer = respond(&replica).await;
        assert_eq!(
            (answer.status, answer.header("x-arrakis-attempts")),
            (204, Some("2")),
            "{first:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hung_attempt_leaves_time_for_another() {
    let world = World::new(|seen| match seen.number {
        0 => no_content().after(Duration::from_secs(60)),
        _ => no_content(),
    })
    .await;
    let replica = world.replica().await;
    let answer = respond(&replica).await;
    assert_eq!((answer.status, answer.header("x-arrakis-attempts")), (204, Some("2")));
}

/// Every response takes longer than the delay after which another attempt is sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_response_counts_after_another_attempt_began() {
    let world = World::new(|seen| match seen.number {
        0 => no_content().after(Duration::from_millis(1_200)),
        _ => Reply::status(400, ACKNOWLEDGED).after(Duration::from_secs(20)),
    })
    .await;
    let replica = world.replica().await;
    assert_eq!(respond(&replica).await.status, 204);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn already_acknowledged_is_success_only_after_an_earlier_attempt() {
    for first in [
        Reply::status(502, ""),
        Reply::Cut,
        no_content().after(Duration::from_secs(60)),
    ] {
        let failed = first.clone();
        let world = World::new(move |seen| match seen.number {
            0 => failed.clone(),
            _ => Reply::status(400, ACKNOWLEDGED),
        })
        .await;
        let replica = world.replica().await;
        assert_eq!(respond(&replica).await.status, 204, "{first:?}");
    }
    let world = World::new(|_| Reply::status(400, ACKNOWLEDGED)).await;
    let replica = world.replica().await;
    let answer = respond(&replica).await;
    assert_eq!((answer.status, answer.body["code"].as_u64()), (400, Some(40_060)));
    assert_eq!(world.upstream.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_interaction_is_unknown_only_after_an_attempt_that_may_have_taken_effect() {
    let world = World::new(|_| Reply::status(404, UNKNOWN)).await;
    let replica = world.replica().await;
    let answer = respond(&replica).await;
    assert_eq!((answer.status, answer.body["code"].as_u64()), (404, Some(10_062)));
    assert_eq!(world.upstream.count(), 1);

    let world = World::new(|seen| match seen.number {
        0 => Reply::Cut,
        _ => Reply::status(404, UNKNOWN),
    })
    .await;
    let replica = world.replica().await;
    let answer = respond(&replica).await;
    assert_eq!((answer.status, answer.proxy_error()), (504, Some("outcome-unknown")));
    assert_eq!(world.upstream.count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_end_with_the_callers_deadline_or_after_three_seconds() {
    let world = World::new(|_| Reply::status(502, "")).await;
    let replica = world.replica().await;
    let begun = Instant::now();
    let call = replica.call(Method::POST, PATH).json(&json!({"type": 5}));
    let answer = send(call.header("x-arrakis-deadline-ms", "900")).await;
    assert_eq!((answer.status, answer.proxy_error()), (504, Some("outcome-unknown")));
    let attempts: u32 = answer.header("x-arrakis-attempts").unwrap().parse().unwrap();
    assert!((2..=12).contains(&attempts), "{attempts}");
    assert_eq!(world.upstream.count(), attempts as usize);
    // Without a deadline of the caller's, the window is the bound.
    assert_eq!(respond(&replica).await.proxy_error(), Some("outcome-unknown"));
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "the window ends the attempts"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_response_that_was_not_sent_is_not_unknown() {
    let mut world = World::new(|_| no_content()).await;
    world.upstream.stop().await;
    let replica = world.replica().await;
    let answer = respond(&replica).await;
    assert_eq!((answer.status, answer.proxy_error()), (502, Some("unreachable")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rate_limit_of_a_first_response_is_waited_for() {
    let world = World::new(|seen| match seen.number {
        0 => Reply::limited("user", 0.3),
        _ => no_content(),
    })
    .await;
    let replica = world.replica().await;
    let answer = respond(&replica).await;
    assert_eq!((answer.status, answer.header("x-arrakis-attempts")), (204, Some("2")));
    let seen = world.upstream.seen();
    assert!(seen[1].at - seen[0].at >= Duration::from_millis(300));
}
