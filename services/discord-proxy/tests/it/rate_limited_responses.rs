//! First responses that meet a 429 or the refusal of an intermediary: retried within their three seconds.

use std::time::Duration;

use http::Method;
use serde_json::json;

use crate::support::{CallResponse, Replica, Reply, World, send};

/// A refusal in Discord's error form.
fn refusal(status: u16) -> Reply {
    Reply::status(status, r#"{"message":"Missing Permissions","code":50013}"#)
}

fn edge(retry_after: &str, body: &str) -> Reply {
    Reply::status(429, body).with("retry-after", retry_after)
}

async fn respond(replica: &Replica, deadline_ms: u64) -> CallResponse {
    let call = replica.call(Method::POST, "/interactions/1/tok/callback");
    send(
        call.header("x-arrakis-deadline-ms", deadline_ms)
            .json(&json!({"type": 5})),
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_response_is_retried_after_every_429_that_leaves_time() {
    type Limited = fn() -> Reply;
    let cases: [(&str, usize, Limited); 5] = [
        ("the edge, HTML", 1, || edge("1", "<html>")),
        ("the edge, empty", 1, || edge("0.2", "")),
        ("Discord, 1 s", 1, || Reply::limited("user", 1.0)),
        ("Discord, three times", 3, || Reply::limited("user", 0.05)),
        ("Discord, ten times", 10, || Reply::limited("shared", 0.05)),
    ];
    for (name, times, limited) in cases {
        let world = World::new(move |seen| {
            if seen.number < times {
                limited()
            } else {
                Reply::status(204, "")
            }
        })
        .await;
        let replica = world.replica().await;
        let answer = respond(&replica, 2_900).await;
        assert_eq!(answer.status, 204, "{name}: {answer:?}");
        assert_eq!(world.upstream.count(), times + 1, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limit_beyond_the_deadline_is_returned_at_once_with_its_wait() {
    let world = World::new(|_| Reply::limited("user", 1.0)).await;
    let replica = world.replica().await;
    let answer = respond(&replica, 900).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.body["retry_after"], 1.0);
    assert_eq!(world.upstream.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_wait_for_a_short_pause_of_the_edge() {
    let world = World::new(|seen| if seen.number == 0 { edge("0.4", "") } else { Reply::ok() }).await;
    let replica = world.replica().await;
    assert_eq!(replica.get("/guilds/1").await.status, 200, "the call that met it");
    assert_eq!(world.upstream.count(), 2);
    // Other calls during the pause.
    let world = World::new(|seen| match seen.number {
        0 => edge("0.8", ""),
        _ => Reply::ok(),
    })
    .await;
    let replica = world.replica().await;
    let first = replica.call(Method::GET, "/guilds/1");
    let first = tokio::spawn(send(first.header("x-arrakis-deadline-ms", 300)));
    crate::support::eventually("the pause", || world.upstream.count() == 1).await;
    assert_eq!(first.await.unwrap().status, 429);
    assert_eq!(respond(&replica, 2_900).await.status, 200);
    assert_eq!(replica.get("/guilds/2").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusal_after_a_lost_response_is_an_unknown_outcome() {
    for status in [400, 401, 403, 404] {
        for lost in [Reply::Cut, Reply::status(502, "<html>"), Reply::status(200, "<html>")] {
            let world = World::new(move |seen| {
                if seen.number == 0 {
                    lost.clone()
                } else {
                    refusal(status)
                }
            })
            .await;
            let replica = world.replica().await;
            let answer = respond(&replica, 2_900).await;
            assert_eq!(answer.proxy_error(), Some("outcome-unknown"), "{status}: {answer:?}");
            assert_eq!(world.upstream.count(), 2);
        }
    }
    // An idempotent write is repeated later: its next call shows that it is refused.
    let world = World::new(|seen| if seen.number == 0 { Reply::Cut } else { refusal(403) }).await;
    let replica = world.replica().await;
    let role = || send(replica.call(Method::PUT, "/guilds/1/members/2/roles/3"));
    assert_eq!(role().await.proxy_error(), Some("outcome-unknown"));
    let alone = role().await;
    assert_eq!((alone.status, alone.proxy_error()), (403, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusal_without_discords_error_form_is_retried() {
    for status in [302, 400, 401, 403, 404, 407, 413] {
        for body in ["<html>", "", r#"{"message":"no route matched"}"#] {
            let world = World::new(move |seen| {
                if seen.number == 0 {
                    Reply::status(status, body)
                } else {
                    Reply::status(204, "")
                }
            })
            .await;
            let replica = world.replica().await;
            let given = send(replica.call(Method::PUT, "/guilds/1/members/2/roles/3")).await;
            assert_eq!(given.status, 204, "{status} {body:?}");
            assert_eq!(world.upstream.count(), 2);
        }
    }
    // A call that must not be made twice may have taken effect behind the intermediary.
    let world = World::new(|_| Reply::status(404, "<html>")).await;
    let replica = world.replica().await;
    let call = replica.call(Method::POST, "/webhooks/1/tok");
    let answer = send(call.json(&json!({"content": "a"}))).await;
    assert_eq!(answer.proxy_error(), Some("outcome-unknown"));
    assert_eq!(world.upstream.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn informational_status_as_final_response_is_an_unknown_outcome() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/api/v10", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
                let mut bytes = [0; 4_096];
                let _ = stream.read(&mut bytes).await;
                let answer = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n";
                let _ = stream.write_all(answer).await;
                tokio::time::sleep(Duration::from_secs(1)).await;
            });
        }
    });
    let world = World::new(|_| Reply::ok()).await;
    let replica = crate::support::start_replica(&base, &world.redis.url(), crate::support::TOKEN, |_| {}).await;
    let call = replica.call(Method::POST, "/webhooks/1/tok");
    let answer = send(call.json(&json!({"content": "a"}))).await;
    assert_eq!((answer.status, answer.proxy_error()), (504, Some("outcome-unknown")));
}
