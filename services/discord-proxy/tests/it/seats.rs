//! Seats: how much replicas may send without Redis, however many they are, and how a share becomes free.

use std::time::Duration;

use futures_util::future::join_all;
use http::Method;

use crate::support::{Replica, Reply, TOKEN, World, eventually, send, start_with};

const WINDOW: Duration = Duration::from_millis(1_100);

async fn burst(replicas: &[Replica], count: usize, deadline: &str) -> usize {
    let calls = (0..count).map(|number| {
        let call = replicas[number % replicas.len()].call(Method::GET, &format!("/guilds/{}", 1_000 + number));
        send(call.header("x-arrakis-deadline-ms", deadline))
    });
    let answers = join_all(calls).await;
    answers.iter().filter(|answer| answer.status == 200).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_replicas_than_seats_stay_within_fifty_without_redis() {
    let mut world = World::new(|_| Reply::ok()).await;
    let mut replicas = Vec::new();
    for _ in 0..6 {
        let replica = start_with(&world.upstream.base(), &world.redis.url(), TOKEN, |config| {
            config.max_replicas = 2;
        })
        .await;
        eventually("Redis decides", || replica.trouble("redis").is_none()).await;
        replicas.push(replica);
    }
    assert_eq!(burst(&replicas, 60, "20000").await, 60);
    world.redis.kill();
    // Each has more calls than it may send: 2 seats allow 20 calls each, and 4 replicas without a seat one each.
    let before = world.upstream.count();
    let done = burst(&replicas, 300, "7000").await;
    let alone: Vec<_> = world.upstream.seen()[before..].iter().map(|call| call.at).collect();
    assert!(done >= 60, "the shares are used: {done}");
    let most = crate::support::most_in(&alone, WINDOW);
    assert!(most <= 44, "{most}");
    let limited = |text: &str| {
        replicas
            .iter()
            .filter(|replica| replica.trouble("redis").unwrap().contains(text))
            .count()
    };
    assert_eq!((limited("limited to 20 of 50"), limited("limited to 1 of 50")), (2, 4));
    // Redis comes back: the whole limit again.
    world.redis.restart().await;
    for replica in &replicas {
        eventually("the whole limit", || {
            replica.metric("arrakis_proxy_limit_in_force") == 50.0
        })
        .await;
    }
    assert!(
        world.upstream.most_in(WINDOW) <= 50,
        "{}",
        world.upstream.most_in(WINDOW)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn share_of_a_replica_that_shut_down_is_free_at_once() {
    let world = World::new(|_| Reply::ok()).await;
    let stays = world.replica().await;
    let leaves = world.replica().await;
    assert_eq!(leaves.get("/guilds/1").await.status, 200);
    leaves.runtime.shutdown.soft.cancel();
    eventually("it is removed from Redis", || {
        let members: Vec<String> = world.redis.command(&["KEYS", "*:members"]);
        world.redis.command::<u32>(&["ZCARD", &members[0]]) == 1
    })
    .await;
    assert_eq!(burst(&[stays], 60, "20000").await, 60);
    assert!(world.upstream.most_in(WINDOW) <= 50);
}
