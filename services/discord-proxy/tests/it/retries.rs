//! Which calls are retried, and which never are.

use std::time::Duration;

use http::Method;
use serde_json::json;

use crate::support::{Reply, World, eventually, send};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn post_whose_response_was_lost_is_not_repeated() {
    let world = World::new(|_| Reply::Cut).await;
    let replica = world.replica().await;
    for path in ["/channels/5/messages", "/webhooks/1/tok", "/guilds/1/roles"] {
        let answer = send(replica.call(Method::POST, path).json(&json!({"content": "a"}))).await;
        assert_eq!(
            (answer.status, answer.proxy_error()),
            (504, Some("outcome-unknown")),
            "{path}"
        );
        assert_eq!(answer.header("x-arrakis-attempts"), Some("1"));
        assert!(
            answer.message().contains("may have taken effect"),
            "{}",
            answer.message()
        );
    }
    assert_eq!(world.upstream.count(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn post_answered_5xx_is_unknown_and_not_repeated() {
    let world = World::new(|seen| Reply::status([500, 502, 503, 504, 520][seen.number % 5], "<html>")).await;
    let replica = world.replica().await;
    for _ in 0..5 {
        let call = replica.call(Method::POST, "/channels/5/messages");
        let answer = send(call.json(&json!({"content": "a"}))).await;
        assert_eq!((answer.status, answer.proxy_error()), (504, Some("outcome-unknown")));
        assert_eq!(answer.header("x-arrakis-attempts"), Some("1"));
        assert!(answer.message().contains("Discord returned 5"), "{}", answer.message());
    }
    assert_eq!(world.upstream.count(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claimed_class_makes_a_call_stricter_and_not_laxer() {
    let world = World::new(|_| Reply::Cut).await;
    let replica = world.replica().await;
    for (method, path, claim) in [
        (Method::PUT, "/guilds/1/members/2/roles/3", "once"),
        (Method::POST, "/interactions/1/tok/callback", "once"),
        (Method::POST, "/channels/5/messages", "idempotent"),
        (Method::POST, "/channels/5/messages", "time-bound"),
    ] {
        let call = replica.call(method, path).header("x-arrakis-call-class", claim);
        let answer = send(call.json(&json!({}))).await;
        assert_eq!(answer.proxy_error(), Some("outcome-unknown"), "{path} {claim}");
        assert_eq!(answer.header("x-arrakis-attempts"), Some("1"), "{path} {claim}");
    }
    let call = replica
        .call(Method::GET, "/guilds/1")
        .header("x-arrakis-call-class", "twice");
    let answer = send(call).await;
    assert_eq!((answer.status, answer.proxy_error()), (400, Some("bad-request")));
    assert!(answer.message().contains("time-bound"), "{}", answer.message());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_with_an_enforced_nonce_is_repeated() {
    let world = World::new(|seen| if seen.number == 0 { Reply::Cut } else { Reply::ok() }).await;
    let replica = world.replica().await;
    let message = json!({"content": "a", "nonce": "event-1", "enforce_nonce": true});
    let answer = send(replica.call(Method::POST, "/channels/5/messages").json(&message)).await;
    assert_eq!((answer.status, answer.header("x-arrakis-attempts")), (200, Some("2")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idempotent_call_is_repeated_after_a_lost_response_and_a_5xx() {
    let world = World::new(|seen| match seen.number % 3 {
        0 => Reply::Cut,
        1 => Reply::status(503, ""),
        _ => Reply::ok(),
    })
    .await;
    let replica = world.replica().await;
    for (method, path) in [
        (Method::GET, "/guilds/1"),
        (Method::PUT, "/guilds/1/members/2/roles/3"),
        (Method::DELETE, "/guilds/1/members/2/roles/3"),
        (Method::PATCH, "/webhooks/1/tok/messages/@original"),
    ] {
        let answer = send(replica.call(method.clone(), path)).await;
        assert_eq!(
            (answer.status, answer.header("x-arrakis-attempts")),
            (200, Some("3")),
            "{method} {path}"
        );
    }
    assert_eq!(world.upstream.count(), 12);
    assert_eq!(replica.metric(r#"arrakis_proxy_retries_total{why="lost"}"#), 4.0);
    assert_eq!(replica.metric(r#"arrakis_proxy_retries_total{why="failed"}"#), 4.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lasting_failure_is_returned_and_degrades_health() {
    let world = World::new(|seen| {
        if seen.method == Method::GET {
            Reply::status(500, "")
        } else {
            Reply::Cut
        }
    })
    .await;
    let replica = world.replica().await;
    let read = replica.get("/guilds/1").await;
    assert_eq!(
        (read.status, read.proxy_error(), read.header("x-arrakis-attempts")),
        (500, None, Some("4"))
    );
    assert!(replica.trouble("discord").unwrap().contains("500"));
    let write = send(replica.call(Method::PUT, "/guilds/1/members/2/roles/3")).await;
    assert_eq!((write.status, write.proxy_error()), (504, Some("outcome-unknown")));
    assert_eq!(world.upstream.count(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_error_is_returned_at_once() {
    let world = World::new(|_| Reply::status(404, r#"{"message":"Unknown Member","code":10007}"#)).await;
    let replica = world.replica().await;
    let answer = replica.get("/guilds/1/members/2").await;
    assert_eq!((answer.status, answer.body["code"].as_u64()), (404, Some(10_007)));
    assert_eq!(world.upstream.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_that_was_not_sent_is_repeated() {
    let mut world = World::new(|_| Reply::ok()).await;
    world.upstream.stop().await;
    let replica = world.replica().await;
    let answer = send(
        replica
            .call(Method::POST, "/channels/5/messages")
            .json(&json!({"content": "a"})),
    )
    .await;
    assert_eq!((answer.status, answer.proxy_error()), (502, Some("unreachable")));
    assert_eq!(answer.header("x-arrakis-attempts"), Some("4"));
    assert!(replica.trouble("discord").unwrap().contains("cannot be reached"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn response_after_the_callers_deadline_still_updates_the_limits() {
    let world = World::new(|_| Reply::ok().bucket("b", 5, 4, 60.0).after(Duration::from_millis(1_200))).await;
    let replica = world.replica().await;
    let call = replica
        .call(Method::POST, "/channels/5/messages")
        .json(&json!({"content": "a"}));
    let answer = send(call.header("x-arrakis-deadline-ms", "400")).await;
    assert_eq!((answer.status, answer.proxy_error()), (504, Some("outcome-unknown")));
    assert_eq!(world.upstream.count(), 1);
    eventually("the bucket is in Redis", || {
        !world
            .redis
            .command::<Vec<String>>(&["KEYS", "*bucket:b:channel:5"])
            .is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replica_that_shuts_down_answers_sent_calls_and_refuses_waiting_ones() {
    let world = World::new(|_| Reply::ok().after(Duration::from_millis(500))).await;
    let replica = world.replica().await;
    let calls = futures_util::future::join_all(
        (0..80).map(|number| send(replica.call(Method::GET, &format!("/guilds/{}", 1_000 + number)))),
    );
    let shut_down = async {
        eventually("the window is full", || world.upstream.count() == 50).await;
        replica.runtime.shutdown.soft.cancel();
    };
    let (answers, ()) = tokio::join!(calls, shut_down);
    let answered = answers.iter().filter(|answer| answer.status == 200).count();
    let refused = answers
        .iter()
        .filter(|answer| answer.proxy_error() == Some("shutting-down"))
        .count();
    assert_eq!((answered, refused), (50, 30));
    assert_eq!(world.upstream.count(), 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delete_of_an_unknown_object_after_a_lost_response_is_a_success() {
    let deletes = [
        ("/channels/5", 10_003),
        ("/guilds/1/roles/5", 10_011),
        ("/guilds/1/emojis/5", 10_014),
        ("/webhooks/5", 10_015),
        ("/guilds/1/auto-moderation/rules/5", 10_066),
        ("/guilds/1/scheduled-events/5", 10_070),
    ];
    let world = World::new(move |seen| {
        let code = deletes.iter().find(|(path, _)| seen.path.ends_with(path)).unwrap().1;
        match seen.number % 4 {
            0 => Reply::Cut,
            2 => Reply::status(502, ""),
            _ => Reply::status(404, &format!(r#"{{"message":"Unknown","code":{code}}}"#)),
        }
    })
    .await;
    let replica = world.replica().await;
    for (path, _) in deletes {
        for _ in ["a lost answer", "a failure"] {
            let answer = send(replica.call_as(crate::support::GAIB, Method::DELETE, path)).await;
            assert_eq!(
                (answer.status, answer.header("x-arrakis-attempts")),
                (204, Some("2")),
                "{path}: {answer:?}"
            );
        }
    }
}
