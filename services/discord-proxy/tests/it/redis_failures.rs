//! Redis killed, hung, flushed, read-only or full: degraded mode with the reason in `/health`, until Redis is available.

use std::time::Duration;

use futures_util::future::join_all;
use http::Method;

use crate::support::{Reply, World, eventually, send};

const WINDOW: Duration = Duration::from_millis(1_100);

async fn burst(replicas: &[crate::support::Replica], count: usize) -> usize {
    let calls = (0..count).map(|number| {
        let call = replicas[number % replicas.len()].call(Method::GET, &format!("/guilds/{}", 1_000 + number));
        send(call.header("x-arrakis-deadline-ms", "20000"))
    });
    join_all(calls)
        .await
        .iter()
        .filter(|answer| answer.status == 200)
        .count()
}

/// Redis executes the query after the replica timed out: its grant is found by the next query. Without that the grant would count
/// against the call itself, for 20 s as the only call of an unknown bucket.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grant_whose_reply_was_lost_is_used_by_its_call() {
    let world = World::new(|_| Reply::ok()).await;
    let replica = world.replica().await;
    for number in 0..5 {
        world.redis.hang();
        let path = format!("/guilds/{}", 1_000 + number);
        let call = replica
            .call(Method::GET, &path)
            .header("x-arrakis-deadline-ms", "15000");
        let call = tokio::spawn(send(call));
        // Longer than the deadline of one query, shorter than that of two.
        tokio::time::sleep(Duration::from_millis(220)).await;
        world.redis.wake();
        let answer = call.await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        eventually("Redis decides again", || replica.trouble("redis").is_none()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_killed_under_load_begins_degraded_mode_until_it_is_back() {
    let mut world = World::new(|_| Reply::ok()).await;
    let replicas = [world.replica().await, world.replica().await];
    assert_eq!(burst(&replicas, 60).await, 60);
    world.redis.kill();
    let before = world.upstream.count();
    assert_eq!(burst(&replicas, 60).await, 60);
    let alone: Vec<_> = world.upstream.seen()[before..].iter().map(|call| call.at).collect();
    // With four seats, a seat allows ten of fifty calls.
    assert!(
        crate::support::most_in(&alone, WINDOW) <= 20,
        "{}",
        crate::support::most_in(&alone, WINDOW)
    );
    for replica in &replicas {
        assert!(
            replica.trouble("redis").unwrap().contains("limited to 10 of 50"),
            "{:?}",
            replica.trouble("redis")
        );
        assert_eq!(replica.metric("arrakis_proxy_limits_apart"), 1.0);
    }
    // An empty Redis comes back under load: calls that were sent meanwhile still count.
    let (done, ()) = tokio::join!(burst(&replicas, 120), world.redis.restart());
    assert_eq!(done, 120);
    for replica in &replicas {
        eventually("Redis decides again", || replica.trouble("redis").is_none()).await;
    }
    assert_eq!(burst(&replicas, 60).await, 60);
    assert!(
        world.upstream.most_in(WINDOW) <= 50,
        "{}",
        world.upstream.most_in(WINDOW)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hung_redis_begins_degraded_mode_and_does_not_delay_interactions() {
    let world = World::new(|_| Reply::ok()).await;
    let replicas = [world.replica().await, world.replica().await];
    assert_eq!(burst(&replicas, 50).await, 50);
    world.redis.hang();
    // Interactions, and then other calls, continue without it.
    let callback = send(
        replicas[0]
            .call(Method::POST, "/interactions/1/tok/callback")
            .header("x-arrakis-deadline-ms", "2000"),
    );
    let edit = send(replicas[0].call(Method::PATCH, "/webhooks/1/tok/messages/@original"));
    let (callback, edit, done) = tokio::join!(callback, edit, burst(&replicas, 40));
    assert_eq!((callback.status, edit.status, done), (200, 200, 40));
    assert!(
        replicas[0].trouble("redis").unwrap().contains("no response"),
        "{:?}",
        replicas[0].trouble("redis")
    );
    world.redis.wake();
    for replica in &replicas {
        eventually("Redis decides again", || replica.trouble("redis").is_none()).await;
    }
    assert_eq!(burst(&replicas, 100).await, 100);
    let bots: Vec<_> = world
        .upstream
        .seen()
        .iter()
        .filter(|call| call.path.contains("/guilds/"))
        .map(|call| call.at)
        .collect();
    assert!(crate::support::most_in(&bots, WINDOW) <= 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flushed_scripts_are_loaded_again() {
    let world = World::new(|_| Reply::ok()).await;
    let replica = world.replica().await;
    assert_eq!(replica.get("/guilds/1").await.status, 200);
    world.redis.command::<String>(&["SCRIPT", "FLUSH"]);
    assert_eq!(replica.get("/guilds/2").await.status, 200);
    assert_eq!(replica.trouble("redis"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flushed_data_does_not_allow_a_second_fifty_calls() {
    let world = World::new(|_| Reply::ok()).await;
    let replicas = [world.replica().await, world.replica().await];
    let flush = async {
        eventually("the window is full", || world.upstream.count() >= 50).await;
        world.redis.command::<String>(&["FLUSHALL"]);
    };
    let (done, ()) = tokio::join!(burst(&replicas, 120), flush);
    assert_eq!(done, 120);
    assert!(
        world.upstream.most_in(WINDOW) <= 50,
        "{}",
        world.upstream.most_in(WINDOW)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_names_the_error_reply_of_redis() {
    let world = World::new(|_| Reply::ok()).await;
    let replica = world.replica().await;
    for (break_it, repair, word) in [
        (["REPLICAOF", "127.0.0.1", "1"], ["REPLICAOF", "NO", "ONE"], "READONLY"),
        (
            ["CONFIG", "SET", "maxmemory 1"],
            ["CONFIG", "SET", "maxmemory 0"],
            "OOM",
        ),
        (
            ["CONFIG", "SET", "min-replicas-to-write 1"],
            ["CONFIG", "SET", "min-replicas-to-write 0"],
            "NOREPLICAS",
        ),
    ] {
        let words = |command: [&'static str; 3]| -> Vec<&'static str> {
            command.iter().flat_map(|word| word.split(' ')).collect()
        };
        world.redis.command::<String>(&words(break_it));
        eventually(word, || {
            replica.trouble("redis").is_some_and(|trouble| trouble.contains(word))
        })
        .await;
        world.redis.command::<String>(&words(repair));
        eventually("Redis decides again", || replica.trouble("redis").is_none()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replica_that_starts_without_redis_sends_one_call_in_a_window() {
    let mut world = World::new(|_| Reply::ok()).await;
    world.redis.kill();
    let replicas = [world.unready(crate::support::TOKEN, |_| {}).await];
    assert_eq!(burst(&replicas, 4).await, 4);
    assert_eq!(world.upstream.most_in(WINDOW), 1);
    let trouble = replicas[0].trouble("redis").unwrap();
    assert!(
        trouble.contains("unreachable") && trouble.contains("1 of 50"),
        "{trouble}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_key_has_a_time_to_live() {
    let world = World::new(|seen| match seen.number {
        0 => Reply::ok(),
        1 => Reply::ok().bucket("b", 5, 4, 1.0),
        2 => Reply::limited("user", 0.1).bucket("b", 5, 0, 0.1),
        3 => Reply::limited("global", 0.1),
        4 => Reply::status(403, "{}"),
        _ => Reply::status(401, r#"{"message":"401: Unauthorized","code":0}"#),
    })
    .await;
    let replica = world.replica().await;
    for path in [
        "/guilds/1",
        "/channels/5",
        "/channels/6",
        "/channels/7",
        "/channels/8",
        "/channels/9",
    ] {
        replica.get(path).await;
    }
    for (what, pattern) in [
        ("invalid requests are shared", "*invalid:*"),
        ("the refused token is shared", "*dead"),
    ] {
        eventually(what, || {
            !world.redis.command::<Vec<String>>(&["KEYS", pattern]).is_empty()
        })
        .await;
    }
    let keys: Vec<String> = world.redis.command(&["KEYS", "*"]);
    for kind in ["state", "members", "global", "route:", "bucket:", "dead", "invalid:"] {
        assert!(
            keys.iter().any(|key| key.contains(kind)),
            "{kind} is missing from {keys:?}"
        );
    }
    for key in &keys {
        assert!(key.starts_with("{arrakis:proxy:"), "{key}");
        assert!(!key.contains(crate::support::TOKEN), "{key}");
        let lives: i64 = world.redis.command(&["PTTL", key]);
        assert!(lives != -1, "{key} has no time to live");
    }
}
