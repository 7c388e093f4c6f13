//! One replica loses Redis and the others do not; clocks that jump. All together stay within fifty.

use std::time::Duration;

use arrakis_test_support::FaultProxy;
use futures_util::future::join_all;
use http::Method;

use crate::support::{Replica, Reply, TOKEN, World, eventually, send, start_replica};

const WINDOW: Duration = Duration::from_millis(1_100);

async fn burst(replicas: &[&Replica], count: usize) -> usize {
    let calls = (0..count).map(|number| {
        let call = replicas[number % replicas.len()].call(Method::GET, &format!("/guilds/{}", 1_000 + number));
        send(call.header("x-arrakis-deadline-ms", "25000"))
    });
    join_all(calls)
        .await
        .iter()
        .filter(|answer| answer.status == 200)
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replica_without_redis_and_another_with_it_stay_within_fifty() {
    let world = World::new(|_| Reply::ok()).await;
    let between = FaultProxy::start(&world.redis.url()).await;
    let cut_off = start_replica(
        &world.upstream.base(),
        &between.proxied_url(&world.redis.url()),
        TOKEN,
        |_| {},
    )
    .await;
    let other = world.replica().await;
    eventually("Redis decides", || cut_off.trouble("redis").is_none()).await;
    assert_eq!(burst(&[&cut_off, &other], 100).await, 100);
    let (one, rest, both) = ([&cut_off], [&other], [&cut_off, &other]);
    between.refuse(true);
    between.close_connections();
    // Both have more calls than they may send: one in degraded mode, one with Redis, which reserves the share of the missing one.
    let (alone, together) = tokio::join!(burst(&one, 40), burst(&rest, 260));
    assert_eq!((alone, together), (40, 260));
    assert!(cut_off.trouble("redis").is_some() && other.trouble("redis").is_none());
    let (done, ()) = tokio::join!(burst(&both, 150), async { between.refuse(false) });
    assert_eq!(done, 150);
    eventually("Redis decides again", || cut_off.trouble("redis").is_none()).await;
    assert!(
        world.upstream.most_in(WINDOW) <= 50,
        "{}",
        world.upstream.most_in(WINDOW)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_clock_set_back_an_hour_delays_no_call() {
    let world = World::new(|_| Reply::ok().bucket("b", 5, 4, 5.0)).await;
    let replica = world.replica().await;
    assert_eq!(replica.get("/channels/5").await.status, 200);
    // The data of an hour later: a full window, a used-up bucket, pauses of a route and of the bot.
    let now: Vec<u64> = world.redis.command(&["TIME"]);
    let later = ((now[0] + 3_600) * 1_000).to_string();
    let keys: Vec<String> = world.redis.command(&["KEYS", "*state"]);
    let prefix = keys[0].strip_suffix("state").unwrap();
    let key = |name: &str| format!("{prefix}{name}");
    for number in 0..50 {
        world
            .redis
            .command::<i64>(&["ZADD", &key("global"), &later, &format!("old:{number}")]);
    }
    let bucket = ["remaining", "0", "reset", &later, "guess", "0", "set_at", &later];
    world
        .redis
        .command::<i64>(&[&["HSET", &key("bucket:b:channel:5")][..], &bucket].concat());
    let pause = key("pause:GET /channels/{channel}:channel:5");
    world
        .redis
        .command::<i64>(&["HSET", &pause, "till", &later, "set_at", &later]);
    world
        .redis
        .command::<i64>(&["HSET", &keys[0], "pause", &later, "paused_at", &later, "hold", &later]);
    let answer = send(
        replica
            .call(Method::GET, "/channels/5")
            .header("x-arrakis-deadline-ms", "10000"),
    )
    .await;
    assert_eq!(answer.status, 200, "{answer:?}");
}
