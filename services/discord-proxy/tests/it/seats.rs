//! Seats: what a replica may do without Redis, however many there are, and who is reckoned with after a replica has gone.

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
async fn more_replicas_than_seats_lose_redis_and_all_together_keep_to_fifty() {
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
    // Each has more to send than it may: 2 seats of 20, and 4 that have none.
    let before = world.upstream.count();
    let done = burst(&replicas, 300, "7000").await;
    let alone: Vec<_> = world.upstream.seen()[before..].iter().map(|call| call.at).collect();
    assert!(done >= 60, "the shares are used: {done}");
    let most = crate::support::most_in(&alone, WINDOW);
    assert!(most <= 44, "{most}");
    let keeps = |words: &str| {
        replicas
            .iter()
            .filter(|replica| replica.trouble("redis").unwrap().contains(words))
            .count()
    };
    assert_eq!((keeps("keeps to 20 of 50"), keeps("keeps to 1 of 50")), (2, 4));
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
async fn a_replica_that_leaves_is_not_reckoned_with() {
    let world = World::new(|_| Reply::ok()).await;
    let stays = world.replica().await;
    let leaves = world.replica().await;
    assert_eq!(leaves.get("/guilds/1").await.status, 200);
    leaves.runtime.shutdown.soft.cancel();
    eventually("it has said goodbye", || {
        let members: Vec<String> = world.redis.command(&["KEYS", "*:members"]);
        world.redis.command::<u32>(&["ZCARD", &members[0]]) == 1
    })
    .await;
    assert_eq!(burst(&[stays], 60, "20000").await, 60);
    assert!(world.upstream.most_in(WINDOW) <= 50);
}
